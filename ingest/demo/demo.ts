/**
 * Creates artificial traffic with the features that make counting hard: a few hot ads (Zipf), clicks that are posted
 * twice, clicks out of order by seconds, and occasionally one that is minutes late. It is a pure function of its random
 * numbers and the given clock.
 */
export interface DemoClick {
  readonly event_id: string;
  readonly ad_id: string;
  readonly clicked_at: number;
  readonly country: string;
  readonly user_id: string;
  readonly ip: string;
}

export interface DemoOptions {
  readonly ads: number;
  /** In [0, 1). */
  readonly random: () => number;
  /** Makes event_ids of this run different from those of any other run. */
  readonly runId: string;
}

/** Shares of all clicks. */
export const demoShares = { duplicate: 0.04, outOfOrder: 0.05, late: 0.002 } as const;
export const outOfOrderMaxMs = 10_000;
/** These clicks arrive after their minute is final, so they are too late. */
export const lateMs = { min: 2 * 60_000, max: 6 * 60_000 } as const;

/** Returns the next click, at `nowMs`. */
export type DemoTraffic = (nowMs: number) => DemoClick;

export function createDemoTraffic({ ads, random, runId }: DemoOptions): DemoTraffic {
  const pickAd = zipf(ads, random);
  const recent: DemoClick[] = [];
  let count = 0;
  const below = (limit: number) => Math.floor(random() * limit);
  return nowMs => {
    const previous = recent[below(recent.length)];
    if (previous && random() < demoShares.duplicate) return previous;
    const kind = random();
    let behindMs = 0;
    if (kind < demoShares.late) behindMs = lateMs.min + below(lateMs.max - lateMs.min);
    else if (kind < demoShares.late + demoShares.outOfOrder) behindMs = 1 + below(outOfOrderMaxMs);
    const user = below(50_000);
    const click = {
      event_id: `${runId}-${count}`,
      ad_id: `ad-${String(pickAd() + 1).padStart(4, '0')}`,
      clicked_at: nowMs - behindMs,
      country: countries[user % countries.length]!,
      user_id: `user-${user}`,
      ip: `203.0.113.${user % 256}`,
    };
    // Late clicks are not repeated, because a copy of one would show nothing new.
    if (behindMs <= outOfOrderMaxMs) recent[count % maxRecent] = click;
    count++;
    return click;
  };
}

/** Copies are made of one of the latest clicks. */
const maxRecent = 100;

/** Repeated where there are more clicks. */
const countries = [
  'US',
  'US',
  'US',
  'US',
  'KR',
  'KR',
  'JP',
  'JP',
  'DE',
  'DE',
  'GB',
  'FR',
  'BR',
  'IN',
  'IN',
  'ZZ',
] as const;

/** Returns the k-th of `n` with a probability in proportion to 1 / k, counted from 0. */
function zipf(n: number, random: () => number): () => number {
  const upTo = new Float64Array(n);
  let sum = 0;
  for (let k = 0; k < n; k++) {
    sum += 1 / (k + 1);
    upTo[k] = sum;
  }
  return () => {
    const at = random() * sum;
    let low = 0;
    let high = n - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (upTo[middle]! <= at) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}
