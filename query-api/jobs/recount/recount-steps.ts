/**
 * Recounts ranges in steps of whole minutes. Each step yields the cells that differ. While one page of clicks is
 * counted in the recount's thread, the next page is read. At most two pages of clicks and the rows of one step are in
 * memory.
 */
import { Type } from 'typebox';
import { openRecountThread, type RecountThread } from '../../../aggregator/replay/recount-thread.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { checkedRows } from '../../../infra/clickhouse/checked-rows.ts';
import type { PartitionRule } from '../../../ingest/hot-ads/partition-rule.ts';
import type { Cursor, RecountQueries } from '../../store/jobs/recount-rows.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { type LookAtErasures, nobodyErased } from './erased-meanwhile.ts';
import { noneAnnounced, type RecountRules, rulesOfRange } from './recount-rules.ts';

export interface RecountStep {
  /** All minutes before this time (epoch ms) are compared. */
  readonly until: number;
  /**
   * The number of raw clicks in exactly these minutes. So a job that is interrupted between steps counts each click
   * once.
   */
  readonly lines: number;
  readonly changes: readonly CellChange[];
}

export interface RecountOptions {
  readonly queries: RecountQueries;
  readonly partitions: number;
  readonly partitionRules?: readonly PartitionRule[];
  readonly idsPerAdFrom?: readonly number[];
  /** Left out: nobody has announced rules of invalid clicks. */
  readonly rules?: RecountRules;
  /** Left out: no person is erased. */
  readonly erasures?: LookAtErasures;
  readonly hashSeed: number;
  readonly pageRows?: number;
}

/** Recounts the ranges in order, in one thread, because starting a thread takes longer than recounting a minute. */
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
  { queries, pageRows = defaultPageRows, rules = noneAnnounced, erasures = nobodyErased }: RecountOptions,
): AsyncGenerator<RecountStep> {
  const inForce = rulesOfRange(range, await queries.rulesOf(range), rules);
  const isJudged = inForce.some(({ set }) => set.version > 0);
  await thread.judgeBy(inForce);
  // Without rules, nothing about persons is read.
  const erased = await (isJudged ? erasures : nobodyErased)();
  const pageAfter = async (cursor?: Cursor) =>
    await erased.renamed(await queries.rawPage(range, cursor, pageRows, isJudged));
  let settled = range.from;
  let fedUntil = range.from;
  let next: Promise<Uint8Array> | undefined = pageAfter();
  while (next) {
    const page: Uint8Array = await next;
    const more: boolean = linesOf(page) >= pageRows;
    next = more ? readAhead(pageAfter(cursorAfter(page))) : undefined;
    if (page.length > 0) fedUntil = await thread.feed(page);
    const complete = more ? fedUntil : range.to;
    while (settled < complete) {
      const until = await stepEnd(queries, settled, complete);
      const { changes, lines } = await thread.compare(until, [await queries.stated({ from: settled, to: until })]);
      await erased.assertNobody();
      yield { until, lines, changes };
      settled = until;
    }
  }
}

/** 100,000 lines are about 17 MB, and 0.1 to 0.3 s of reading. */
const defaultPageRows = 100_000;
const longestStepMinutes = 360;
/** The most rows of `ad_minute` that one step compares, unless a single minute has more. */
const stepRows = 200_000;

async function stepEnd(queries: RecountQueries, from: number, complete: number): Promise<number> {
  let minutes = Math.min(longestStepMinutes, (complete - from) / minuteMs);
  while (minutes > 1 && (await queries.statedRows({ from, to: from + minutes * minuteMs })) > stepRows) {
    minutes = Math.floor(minutes / 2);
  }
  return from + minutes * minuteMs;
}

/** A failure is reported when the page is awaited. If the recount ends before that, nobody needs to know. */
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
  const row: unknown = JSON.parse(new TextDecoder().decode(page.subarray(start)));
  const [last] = checkedRows(LastClick, [row], 'click_raw, last row of a page');
  if (last === undefined) throw new Error('a page of click_raw has no last row');
  return { minute: last.clicked_at - (last.clicked_at % minuteMs), adId: last.ad_id, clickId: last.click_id };
}

/** The fields of a raw click that a page is continued after. */
const LastClick = Type.Object({ ad_id: Type.String(), click_id: Type.String(), clicked_at: Type.Integer() });

const newline = 10;
