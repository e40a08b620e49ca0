/**
 * Compares rows with counters, and raw clicks with counts, about every minute. It logs an error when they do not agree.
 * It also writes the result into the job log, so that every query API can show it.
 */

import { readingAs } from '../../../infra/clickhouse/clickhouse.ts';
import { messageOf } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { repeatedly } from '../../../infra/repeatedly.ts';
import type { CountedLog } from '../../log/counted-log.ts';
import type { JobLog } from '../../log/job-log.ts';
import type { OpenReplicas } from '../../replicas/open-replicas.ts';
import { turnsOn } from '../../replicas/turns.ts';
import { createQueries } from '../../store/ad-counts.ts';
import { createConservationQueries } from '../../store/jobs/conservation-rows.ts';
import { type RowsChecked, rowOf } from '../../store/jobs/conservation-store.ts';
import { createSealStore } from '../../store/jobs/seal-store.ts';
import type { UncountedClicks } from '../../store/jobs/uncounted-rows.ts';
import type { JobsConfig } from '../config.ts';
import { conservationCheckedAt, conservationDifference, uncountedClicks } from '../writing/metrics.ts';
import { keyOf } from './conservation.ts';
import { type ConservationCheck, createConservationCheck, type Finding } from './conservation-check.ts';
import { idsPerAdEverywhereFrom } from './id-rule.ts';
import { createUncountedCheck, type UncountedCheck } from './uncounted-clicks.ts';

export interface ConservationWatchDeps {
  readonly config: Pick<JobsConfig, 'CONSERVATION_INTERVAL_MS' | 'QUERY_TIMEOUT_MS'>;
  readonly store: Pick<OpenReplicas, 'replicas'>;
  readonly countedLog: Pick<CountedLog, 'sinkPositions' | 'nodePositions'>;
  readonly jobLog: JobLog;
  readonly now: () => number;
  readonly log: Logger;
}

/** Watches until it is disposed of. */
export function openConservationWatch({
  config,
  store: { replicas },
  countedLog,
  jobLog,
  now,
  log,
}: ConservationWatchDeps): AsyncDisposable {
  const intervalMs = config.CONSERVATION_INTERVAL_MS;
  const clickhouse = readingAs('jobs', replicas.clickhouse);
  const turns = turnsOn({ replicas, countedLog });
  const closing = new AbortController();
  const books = createBooks(now, log);
  const { progress } = createQueries(clickhouse, { timeoutMs: config.QUERY_TIMEOUT_MS });
  // Each node has a check of its own, because one node must not confirm what was suspected on another.
  const checkOf = replicas.each(() =>
    createConservationCheck({
      queries: createConservationQueries(clickhouse),
      store: createSealStore({ clickhouse, jobLog, now }),
      ...{ progress, countedLog, now, log, closing: closing.signal },
    }),
  );
  const uncountedOf = replicas.each(() =>
    createUncountedCheck({
      ...{ clickhouse, now },
      idsPerAdFrom: async () => idsPerAdEverywhereFrom(await progress()),
    }),
  );
  return repeatedly(async signal => {
    const isComplete = await compare(() => turns(() => checkOf()()), books, log, signal);
    await lookForUncounted({ run: () => turns(() => uncountedOf().run()) }, books, log, signal);
    await publish(books, jobLog, now(), log, signal);
    return isComplete ? intervalMs : Math.min(intervalMs, incompletePauseMs);
  }, closing);
}

/** An incomplete comparison is repeated soon, because lines on their way arrive within seconds. */
const incompletePauseMs = 5_000;

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
    if (!closing.aborted) log.warn({ why: messageOf(error) }, 'search for clicks in no count failed');
  }
}

async function publish(
  books: Books,
  jobLog: Pick<JobLog, 'write'>,
  at: number,
  log: Logger,
  closing: AbortSignal,
): Promise<void> {
  const known = books.latest();
  if (known === undefined || closing.aborted) return;
  try {
    await jobLog.write([{ kind: 'conservation-check', rows: [rowOf(known, at)] }]);
  } catch (error) {
    if (!closing.aborted) log.warn({ why: messageOf(error) }, 'result of the comparison not written');
  }
}

type Books = ReturnType<typeof createBooks>;

/** Keeps what is established so far. A finding holds until the next one for the same partition and outcome. */
export function createBooks(now: () => number, log: Logger) {
  const findings = new Map<string, Finding>();
  let checkedAt: number | undefined;
  let uncounted: readonly UncountedClicks[] | undefined;
  const report = (finding: Finding) => {
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
    /** With `isComplete`, something is known about every partition. */
    enter(found: readonly Finding[], isComplete: boolean): void {
      for (const finding of found) report(finding);
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
      return { checkedAt, differences, uncounted: uncounted && clicksIn(uncounted) };
    },
  };
}

function clicksIn(found: readonly UncountedClicks[]): number {
  return found.reduce((sum, { clicks }) => sum + clicks, 0);
}
