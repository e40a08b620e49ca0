/**
 * Clients that post clicks through thick and thin: in batches, to one ingest or the other, with the same event_ids again
 * while they do not know, and now and then though they do. Some clicks come hours late, some are no clicks.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Ledger, LedgerClick } from './ledger.ts';

export interface Load {
  /** Posts that wait for their answer. */
  readonly inFlight: number;
  readonly acked: number;
  readonly unavailable: number;
  /** Ends posting; resolves when every post is answered or given up. */
  stop(): Promise<void>;
}

export interface LoadOptions {
  readonly urls: readonly string[];
  readonly ledger: Ledger;
  /** Makes event_ids of several loads differ. */
  readonly name: string;
  readonly clients?: number;
  readonly clicksPerPost?: number;
  /** Of each client, between two posts. */
  readonly pauseMs?: number;
}

const ads = 60;
const hourMs = 3_600_000;
const burstEveryMs = 18_000;
const burstMs = 4_000;
const timeoutMs = 8_000;
const mostAttempts = 12;

/** Not one that ingest has to refuse. */
export function isMeantWell({ event_id }: LedgerClick): boolean {
  return !event_id.startsWith('broken');
}

export function startLoad({ urls, ledger, name, clients = 6, clicksPerPost = 25, pauseMs = 150 }: LoadOptions): Load {
  const state = { inFlight: 0, acked: 0, unavailable: 0, isStopping: false };
  const sequences = new Map<string, number>();
  const startedAt = Date.now();
  let serial = 0;
  let last: LedgerClick[] = [];

  const fresh = (): LedgerClick => {
    serial++;
    const ad_id = `${name}-${Math.floor(ads * Math.random() ** 2)}`;
    const sequence = (sequences.get(ad_id) ?? 0) + 1;
    sequences.set(ad_id, sequence);
    // Some happened three hours ago, on a few minutes only, and come in bursts: to be restated when it is quiet again.
    const isBurst = (Date.now() - startedAt) % burstEveryMs < burstMs;
    const clicked_at =
      isBurst && serial % 10 === 0
        ? startedAt - 3 * hourMs + (serial % 3) * 60_000
        : Date.now() - Math.floor(Math.random() * 1_500);
    return { event_id: `${ad_id}#${sequence}`, ad_id, clicked_at, country: serial % 3 === 0 ? 'KR' : 'DE' };
  };
  /** Ingest has to refuse it. */
  const broken = (): LedgerClick => {
    return { event_id: `broken-${name}-${++serial}`, ad_id: 'no such ad!', clicked_at: Date.now(), country: 'DE' };
  };

  const post = async (clicks: readonly LedgerClick[]): Promise<boolean> => {
    const number = ledger.planned(clicks);
    state.inFlight++;
    try {
      const response = await fetch(`${urls[number % urls.length]}/v1/clicks`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(clicks),
        signal: AbortSignal.timeout(timeoutMs),
      });
      const body = (await response.json()) as { rejected?: { index: number }[] };
      if (response.status === 503) state.unavailable++;
      const accepted = response.status === 202;
      if (!accepted && response.status !== 400) return false;
      const rejected = (body.rejected ?? []).map(({ index }) => index);
      ledger.answered(number, accepted, rejected);
      if (accepted) state.acked += clicks.length - rejected.length;
      return true;
    } catch {
      return false;
    } finally {
      state.inFlight--;
    }
  };

  const client = async (index: number) => {
    for (let turn = index; !state.isStopping; turn++) {
      const clicks = Array.from({ length: clicksPerPost }, fresh);
      if (turn % 7 === 0) clicks.push(broken());
      // Copies of what another client has posted just now.
      if (turn % 5 === 0) clicks.push(...last.slice(0, 5));
      last = clicks.filter(isMeantWell);
      // One in twenty gives up at once: what it does not know then, it never will.
      const attempts = turn % 20 === 0 ? 1 : mostAttempts;
      for (let attempt = 0; attempt < attempts && !(await post(clicks)); attempt++) await sleep(300);
      await sleep(pauseMs);
    }
  };
  const running = Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  return {
    get inFlight() {
      return state.inFlight;
    },
    get acked() {
      return state.acked;
    },
    get unavailable() {
      return state.unavailable;
    },
    async stop() {
      state.isStopping = true;
      await running;
    },
  };
}
