/** Compares rows with counters every minute or so, and raw clicks with counts, and alarms where they do not agree. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { messageOf } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import type { QueryApiConfig } from '../config.ts';
import type { Pipeline } from '../counted-log.ts';
import { createQueries } from '../queries.ts';
import { keyOf } from './conservation.ts';
import { type ConservationCheck, createConservationCheck, type Finding } from './conservation-check.ts';
import { createConservationQueries } from './conservation-queries.ts';
import { idsPerAdEverywhereFrom } from './id-rule.ts';
import type { JobLog } from './job-log.ts';
import { conservationCheckedAt, conservationDifference, uncountedClicks } from './metrics.ts';
import { createSealStore } from './seal-store.ts';
import { createUncountedCheck, type UncountedCheck, type UncountedClicks } from './uncounted-clicks.ts';

export interface ConservationWatch extends AsyncDisposable {
  /** Undefined before the first comparison, and where this process makes none. */
  latest(): RowsChecked | undefined;
}

/** The last comparison of the rows in ClickHouse with the counters. */
export interface RowsChecked {
  /** When something was known of every partition, epoch ms; undefined: not yet. */
  readonly checkedAt: number | undefined;
  readonly differences: readonly {
    readonly partition: number;
    readonly outcome: 'received' | 'counted' | 'duplicates' | 'quarantined';
    readonly expected: number;
    readonly found: number;
    readonly difference: number;
  }[];
  /** Accepted clicks that are in no count, long after they came too late; undefined: not looked for yet. */
  readonly uncounted?: readonly UncountedClicks[] | undefined;
}

export interface ConservationWatchDeps {
  readonly config: QueryApiConfig;
  readonly clickhouse: ClickHouse;
  readonly pipeline: Pick<Pipeline, 'sinkPositions'>;
  readonly jobLog: JobLog;
  readonly now: () => number;
  readonly log: Logger;
}

/** Starts to watch, if the configuration says so, until it is disposed of. */
export function openConservationWatch({
  config,
  clickhouse,
  pipeline,
  jobLog,
  now,
  log,
}: ConservationWatchDeps): ConservationWatch {
  const intervalMs = config.CONSERVATION_INTERVAL_MS;
  const closing = new AbortController();
  const books = createBooks(now, log);
  const { progress } = createQueries(clickhouse, { timeoutMs: config.QUERY_TIMEOUT_MS });
  const check = createConservationCheck({
    queries: createConservationQueries(clickhouse),
    store: createSealStore({ clickhouse, jobLog, now }),
    ...{ progress, pipeline, now, log, closing: closing.signal },
  });
  const uncounted = createUncountedCheck({
    ...{ clickhouse, now },
    idsPerAdFrom: async () => idsPerAdEverywhereFrom(await progress()),
  });
  const watch = async () => {
    while (!closing.signal.aborted) {
      const isComplete = await compare(check, books, log, closing.signal);
      await lookForUncounted(uncounted, books, log, closing.signal);
      const pauseMs = isComplete ? intervalMs : Math.min(intervalMs, untoldPauseMs);
      await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  const watching = config.JOBS_ENABLED ? watch() : Promise.resolve();
  return {
    latest: books.latest,
    async [Symbol.asyncDispose]() {
      closing.abort();
      await watching;
    },
  };
}

/** What is not told yet is asked again soon: lines on their way arrive within seconds. */
const untoldPauseMs = 5_000;

async function compare(check: ConservationCheck, books: Books, log: Logger, closing: AbortSignal): Promise<boolean> {
  try {
    const { findings, isComplete } = await check();
    books.enter(findings, isComplete);
    return isComplete;
  } catch (error) {
    if (!closing.aborted) log.warn({ why: messageOf(error) }, 'rows not compared with counters');
    return true;
  }
}

async function lookForUncounted(check: UncountedCheck, books: Books, log: Logger, closing: AbortSignal): Promise<void> {
  try {
    books.enterUncounted(await check.run());
  } catch (error) {
    if (!closing.aborted) log.warn({ why: messageOf(error) }, 'clicks in no count not looked for');
  }
}

type Books = ReturnType<typeof createBooks>;

/** What is established so far. A finding stays until another of the same partition and outcome is made. */
export function createBooks(now: () => number, log: Logger) {
  const findings = new Map<string, Finding>();
  let checkedAt: number | undefined;
  let uncounted: readonly UncountedClicks[] | undefined;
  const tell = (finding: Finding) => {
    const { partition, outcome, expected, found, difference } = finding;
    conservationDifference.set({ partition, outcome }, difference);
    const known = findings.get(keyOf(finding))?.difference ?? 0;
    findings.set(keyOf(finding), finding);
    if (difference === known) return;
    const fields = { partition, outcome, expected, found, difference };
    if (difference === 0) log.info(fields, 'conservation: rows agree with counters again');
    else log.error(fields, 'conservation: rows DIFFER from counters');
  };
  return {
    /** `isComplete`: something is known of every partition. */
    enter(found: readonly Finding[], isComplete: boolean): void {
      for (const finding of found) tell(finding);
      if (!isComplete) return;
      checkedAt = now();
      conservationCheckedAt.set(checkedAt / 1_000);
    },

    enterUncounted(found: readonly UncountedClicks[]): void {
      const [before, clicks] = [clicksIn(uncounted ?? []), clicksIn(found)];
      uncountedClicks.set(clicks);
      uncounted = found;
      if (clicks === before) return;
      const fields = { clicks, largest: found.slice(0, 10) };
      if (clicks === 0) log.info(fields, 'every accepted click is counted again');
      else log.error(fields, 'accepted clicks are in NO COUNT');
    },

    latest(): RowsChecked | undefined {
      if (checkedAt === undefined && findings.size === 0 && uncounted === undefined) return undefined;
      const differences = [...findings.values()].filter(({ difference }) => difference !== 0);
      return { checkedAt, differences, uncounted };
    },
  };
}

function clicksIn(found: readonly UncountedClicks[]): number {
  return found.reduce((sum, { clicks }) => sum + clicks, 0);
}
