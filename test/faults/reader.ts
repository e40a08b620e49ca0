/** A reader who asks all the while, and remembers: nothing it sees may be above the final count, fall, or become less final. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Seen {
  /** `minute (epoch ms)|ad` → the highest count shown. */
  readonly highest: ReadonlyMap<string, number>;
  readonly answers: number;
  readonly violations: readonly string[];
}

export interface ConcurrentReader {
  stop(): Promise<Seen>;
}

interface TopList {
  readonly state: 'provisional' | 'final' | 'restated';
  readonly ads: readonly { readonly ad_id: string; readonly count: number }[];
}

const finality = { provisional: 0, final: 1, restated: 2 };
const minuteMs = 60_000;

/** `minutes` are asked for besides the latest. */
export function startReader(url: string, minutes: readonly number[]): ConcurrentReader {
  const highest = new Map<string, number>();
  const states = new Map<number, TopList['state']>();
  const violations: string[] = [];
  let answers = 0;
  let isStopping = false;

  const look = async (minute: number) => {
    const response = await fetch(`${url}/v1/ads/popular_ads?count=1000&from=${minute}&to=${minute + minuteMs}`, {
      signal: AbortSignal.timeout(3_000),
    });
    if (!response.ok) return;
    const { state, ads } = (await response.json()) as TopList;
    answers++;
    const before = states.get(minute) ?? 'provisional';
    if (finality[state] < finality[before]) violations.push(`I6: minute ${minute} was ${before}, then ${state}`);
    states.set(minute, state);
    const shown = new Map(ads.map(({ ad_id, count }) => [`${minute}|${ad_id}`, count]));
    for (const [key, most] of highest) {
      if (key.startsWith(`${minute}|`) && (shown.get(key) ?? 0) < most)
        violations.push(`I6: ${key} showed ${most}, then ${shown.get(key) ?? 0}`);
    }
    for (const [key, count] of shown) highest.set(key, Math.max(count, highest.get(key) ?? 0));
  };

  const running = (async () => {
    while (!isStopping) {
      const now = Date.now() - (Date.now() % minuteMs);
      for (const minute of [now, now - minuteMs, now - 2 * minuteMs, ...minutes]) {
        // The store is being killed: no answer is no wrong answer.
        await look(minute).catch(() => undefined);
      }
      await sleep(300);
    }
  })();
  return {
    async stop() {
      isStopping = true;
      await running;
      return { highest, answers, violations };
    },
  };
}
