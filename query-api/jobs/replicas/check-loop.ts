/**
 * Compares the nodes hour by hour, for as long as a term of the job runner lasts: each turn the hour that has ended last, the hours that
 * differed, and one more, from now backwards through all that is kept; then from now again. So a row that came in wrong is
 * found within an interval or two, and one that was changed later once the turn comes to its hour: 35 days of hours, and
 * the days before that, take 20 hours at a turn a minute.
 */

import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { pause } from '../../../infra/pause.ts';
import { checkedAt, differences } from '../../replicas/metrics.ts';
import { type Bucket, comparedTables, keyOf } from '../../store/replicas/replica-digests.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { ReplicaFindings } from './replica-check.ts';

export interface CheckLoopDeps {
  readonly check: (range: TimeRange) => Promise<ReplicaFindings>;
  /** What was found by who compared before. */
  readonly before?: () => Promise<readonly Bucket[]>;
  /** After each turn; at `at`, epoch ms. */
  readonly onChecked?: (differences: readonly Bucket[], at: number) => Promise<unknown>;
  readonly intervalMs: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
}

export function openCheckLoop(deps: CheckLoopDeps): AsyncDisposable {
  const { check, before: foundBefore = none, onChecked = none, intervalMs, now, log } = deps;
  const closing = new AbortController();
  const found = new Map<string, Bucket>();
  let isBegun = false;
  let sweep: TimeRange | undefined;

  const enter = (range: TimeRange, findings: ReplicaFindings) => {
    const isIn = ({ hour }: Bucket) => hour === 0 || (hour >= range.from && hour < range.to);
    const before = [...found].filter(([, difference]) => isIn(difference));
    const differing = new Set(findings.differences.map(keyOf));
    for (const [key, { table, hour }] of before) {
      if (differing.has(key) || findings.unsettled > 0) continue;
      found.delete(key);
      log.info({ table, hour: isoOf(hour) }, 'replicas agree again');
    }
    for (const difference of findings.differences) {
      const { table, hour, partition } = difference;
      if (!found.has(keyOf(difference)))
        log.error(
          { table, hour: isoOf(hour), partition, found: Object.fromEntries(difference.found) },
          'replicas DIFFER',
        );
      found.set(keyOf(difference), difference);
    }
    tell();
  };
  const tell = () => {
    for (const { table } of comparedTables)
      differences.set({ table }, [...found.values()].filter(difference => difference.table === table).length);
  };

  const turn = async () => {
    if (!isBegun) for (const place of await foundBefore()) found.set(keyOf(place), place);
    isBegun = true;
    const at = now();
    sweep = nextSweep(sweep, at);
    const hour = Math.floor(at / hourMs) * hourMs;
    const again = [...found.values()].slice(0, mostAgain).map(({ hour: from }) => ({ from, to: from + hourMs }));
    for (const range of [{ from: hour - hourMs, to: hour }, ...again, sweep]) {
      closing.signal.throwIfAborted();
      enter(range, await check(range));
    }
    const last = now();
    checkedAt.set(last / 1_000);
    await onChecked([...found.values()], last);
  };

  const run = async () => {
    while (!closing.signal.aborted) {
      await turn().catch(error => {
        if (!closing.signal.aborted) log.warn({ why: messageOf(error) }, 'replicas not compared');
      });
      await pause(intervalMs, closing.signal);
    }
  };
  const running = run();

  return {
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
      // Of what differs the next one tells.
      tellNone();
    },
  };
}

const none = async () => [];

/** What never happened shows as 0, not as nothing. */
function tellNone(): void {
  for (const { table } of comparedTables) differences.set({ table }, 0);
}
tellNone();

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** Of hours that differed, so that a turn has an end. */
const mostAgain = 5;

/** Backwards: an hour at a time as far as raw clicks are kept, then a day at a time. */
export function nextSweep(before: TimeRange | undefined, now: number): TimeRange {
  const newest = Math.floor(now / hourMs) * hourMs - hourMs;
  const to = before?.from ?? newest;
  if (to <= now - 400 * dayMs) return { from: newest - hourMs, to: newest };
  return { from: to > now - 35 * dayMs ? to - hourMs : to - dayMs, to };
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
