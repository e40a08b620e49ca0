/**
 * Compares the nodes hour by hour, for as long as a term of the job runner lasts. Each turn compares the last full
 * hour, the hours that differed, and one more hour. That one goes backwards from now through everything that is kept,
 * and then begins again. So a row that was inserted wrongly is found within one or two intervals. A row that was
 * changed later is found when its hour is reached: at one turn a minute, the 35 days that are compared by the hour and
 * the days before them take 20 hours.
 */

import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { repeatedly } from '../../../infra/repeatedly.ts';
import { checkedAt, differences } from '../../replicas/metrics.ts';
import { type Bucket, comparedTables, keyOf } from '../../store/replicas/replica-digests.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { ReplicaFindings } from './replica-check.ts';

export interface CheckLoopDeps {
  readonly check: (range: TimeRange) => Promise<ReplicaFindings>;
  /** Returns the differences that an earlier term has found. */
  readonly before?: () => Promise<readonly Bucket[]>;
  /** Is called after each turn, which ended at `at` (epoch ms). */
  readonly onChecked?: (differences: readonly Bucket[], at: number) => Promise<unknown>;
  readonly intervalMs: number;
  /** Epoch ms. */
  readonly now: () => number;
  readonly log: Logger;
}

export function openCheckLoop(deps: CheckLoopDeps): AsyncDisposable {
  const { check, before: foundBefore = none, onChecked = none, intervalMs, now, log } = deps;
  const known = createKnownDifferences(log);
  let isBegun = false;
  let sweep: TimeRange | undefined;

  // A term that compares nothing must be noticed as well as one that stops comparing.
  checkedAt.set(now() / 1_000);

  const turn = async (closing: AbortSignal) => {
    if (!isBegun) known.restore(await foundBefore());
    isBegun = true;
    const at = now();
    sweep = nextSweep(sweep, at);
    const hour = Math.floor(at / hourMs) * hourMs;
    const again = known.all().slice(0, mostAgain);
    const hoursAgain = again.map(({ hour: from }) => ({ from, to: from + hourMs }));
    for (const range of [{ from: hour - hourMs, to: hour }, ...hoursAgain, sweep]) {
      closing.throwIfAborted();
      known.enter(range, await check(range));
    }
    const last = now();
    checkedAt.set(last / 1_000);
    await onChecked(known.all(), last);
  };

  const running = repeatedly(async closing => {
    await turn(closing).catch(error => {
      if (!closing.aborted) log.warn({ why: messageOf(error) }, 'replicas not compared');
    });
    return intervalMs;
  });

  return {
    async [Symbol.asyncDispose]() {
      await running[Symbol.asyncDispose]();
      // From now on, the next active job runner reports differences.
      resetDifferences();
    },
  };
}

const none = async () => [];

/** Keeps the differences that are known, and reports each change of them in the log and as a metric. */
function createKnownDifferences(log: Logger) {
  const found = new Map<string, Bucket>();
  const measure = () => {
    for (const { table } of comparedTables)
      differences.set({ table }, [...found.values()].filter(difference => difference.table === table).length);
  };
  return {
    all: (): readonly Bucket[] => [...found.values()],

    /** They count until they are found equal, also while no comparison succeeds. */
    restore(places: readonly Bucket[]): void {
      for (const place of places) found.set(keyOf(place), place);
      measure();
    },

    enter(range: TimeRange, findings: ReplicaFindings): void {
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
      measure();
    },
  };
}

/** A table in which no difference was ever found has the value 0, and is not left out. */
function resetDifferences(): void {
  for (const { table } of comparedTables) differences.set({ table }, 0);
}
resetDifferences();

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The most hours that differed which one turn compares again, so that the turn ends. */
const mostAgain = 5;

/** Goes backwards by the hour as far as raw clicks are kept, and then by the day. */
export function nextSweep(before: TimeRange | undefined, now: number): TimeRange {
  const newest = Math.floor(now / hourMs) * hourMs - hourMs;
  const to = before?.from ?? newest;
  if (to <= now - 400 * dayMs) return { from: newest - hourMs, to: newest };
  return { from: to > now - 35 * dayMs ? to - hourMs : to - dayMs, to };
}

function isoOf(ms: number): string {
  return new Date(ms).toISOString();
}
