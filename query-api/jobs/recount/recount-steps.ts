/**
 * Recounts ranges, step by step: each yields the cells of some whole minutes that differ. While a page is counted in
 * the recount's thread, the next is read. At most two pages of clicks and the rows of one step are in memory.
 */

import { openRecountThread, type RecountThread } from '../../../aggregator/replay/recount-thread.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import type { PartitionRule } from '../../../ingest/hot-ads/partition-rule.ts';
import type { Cursor, RecountQueries } from '../../store/jobs/recount-rows.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';

export interface RecountStep {
  /** All minutes before (epoch ms) are compared. */
  readonly until: number;
  /** Raw clicks of these minutes, and of no others: whoever ends after a step and goes on later counts each once. */
  readonly lines: number;
  readonly changes: readonly CellChange[];
}

export interface RecountOptions {
  readonly queries: RecountQueries;
  readonly partitions: number;
  readonly partitionRules?: readonly PartitionRule[];
  readonly idsPerAdFrom?: readonly number[];
  readonly hashSeed: number;
  readonly pageRows?: number;
}

/** Of ranges one after another, in order, in one thread: to start one takes longer than to recount a minute. */
export async function* recountSteps(
  ranges: readonly TimeRange[],
  options: RecountOptions,
): AsyncGenerator<RecountStep> {
  await using thread = openRecountThread(options);
  for (const range of ranges) yield* stepsOf(range, thread, options);
}

async function* stepsOf(
  range: TimeRange,
  thread: RecountThread,
  { queries, pageRows = defaultPageRows }: RecountOptions,
): AsyncGenerator<RecountStep> {
  let settled = range.from;
  let fedUntil = range.from;
  let next: Promise<Uint8Array> | undefined = queries.rawPage(range, undefined, pageRows);
  while (next) {
    const page: Uint8Array = await next;
    const more: boolean = linesOf(page) >= pageRows;
    next = more ? readAhead(queries.rawPage(range, cursorAfter(page), pageRows)) : undefined;
    if (page.length > 0) fedUntil = await thread.feed(page);
    const complete = more ? fedUntil : range.to;
    while (settled < complete) {
      const until = await stepEnd(queries, settled, complete);
      const { changes, lines } = await thread.compare(until, [await queries.stated({ from: settled, to: until })]);
      yield { until, lines, changes };
      settled = until;
    }
  }
}

/** 100,000 lines are about 17 MB, and 0.1 to 0.3 s of reading. */
const defaultPageRows = 100_000;
const longestStepMinutes = 360;
/** Rows of `ad_minute` that may be compared at a time, unless one minute has more. */
const stepRows = 200_000;

async function stepEnd(queries: RecountQueries, from: number, complete: number): Promise<number> {
  let minutes = Math.min(longestStepMinutes, (complete - from) / minuteMs);
  while (minutes > 1 && (await queries.statedRows({ from, to: from + minutes * minuteMs })) > stepRows) {
    minutes = Math.floor(minutes / 2);
  }
  return from + minutes * minuteMs;
}

/** A failure is told to who awaits the page, later, and to nobody if the recount is given up before. */
function readAhead(page: Promise<Uint8Array>): Promise<Uint8Array> {
  page.catch(() => undefined);
  return page;
}

function linesOf(page: Uint8Array): number {
  let lines = 0;
  for (let at = page.indexOf(newline); at !== -1; at = page.indexOf(newline, at + 1)) lines++;
  return lines;
}

function cursorAfter(page: Uint8Array): Cursor {
  const start = page.lastIndexOf(newline, page.length - 2) + 1;
  const last: { ad_id: string; click_id: string; clicked_at: number } = JSON.parse(
    new TextDecoder().decode(page.subarray(start)),
  );
  return { minute: last.clicked_at - (last.clicked_at % minuteMs), adId: last.ad_id, clickId: last.click_id };
}

const newline = 10;
