/**
 * Computes blocks of the roll-up from the FINAL rows of their minutes, and writes each with the number of restatements
 * that it includes. What several blocks need to know is asked for once: a store with one old click has a hundred
 * thousand blocks without any.
 *
 * A restatement becomes visible before the rows of `ad_minute` are changed, possibly by a process that dies in between.
 * So the visible restatements are counted first (due-blocks.ts). A block with a restatement that is visible and not yet
 * in the rows is left for later. A restatement that becomes visible meanwhile makes the number wrong, so the block is
 * due again. Nothing is kept in memory and no clock is read: the number is also the version of the row.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { type InShards, oneShard } from '../../../infra/clickhouse/topology.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { clicksOf } from '../net-and-gross.ts';
import { type Reader, readRow, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import { inRanges, minuteWithin } from '../sql/within.ts';
import type { BlockDirectory, Planner } from './block-directory.ts';
import { hourMs, isWholeHour } from './blocks.ts';
import type { Due } from './due-blocks.ts';
import { createTopQueries, type TopQueries } from './top-lists.ts';

export interface RollUpDeps {
  readonly clickhouse: ClickHouse;
  readonly directory: Pick<BlockDirectory, 'within'>;
  readonly listed?: AdsListed;
  /** The shard whose clicks `clickhouse` has. The default is a single shard. */
  readonly shard?: InShards;
  readonly onRolledUp?: (block: Due) => void;
}

/** The number of ads that a row names, by kind of block. Longer ranges are answered from minutes and hours. */
export interface AdsListed {
  readonly minute: number;
  readonly hour: number;
  readonly window: number;
}

const adsListed: AdsListed = { minute: 1_000, hour: 5_000, window: 100 };

/** Computes the due blocks in this order. Returns their number, without blocks that wait for a restatement. */
export type RollUp = (due: readonly Due[]) => Promise<number>;

export function createRollUp({
  clickhouse,
  directory,
  listed = adsListed,
  shard = oneShard,
  onRolledUp = () => undefined,
}: RollUpDeps): RollUp {
  const windowRow = async (
    { window, ends, restatements }: Due,
    range: TimeRange,
    tops: TopQueries,
  ): Promise<string> => {
    const top = await tops.popularAds(listed.window + 1, { ...range, ...applied, country: undefined });
    const named = top.slice(0, listed.window);
    const ads = named.map(ad => ({ ad_id: ad.ad_id, clicks: clicksOf(ad, 'net') }));
    const beside = named.map(({ duplicates, invalid }) => ({ duplicates, invalid }));
    const next = top[listed.window];
    const others = next === undefined ? 0 : clicksOf(next, 'net');
    return JSON.stringify({ window, ends: ends / 1_000, ads, beside, others, counts: [], restatements });
  };

  /** Returns a row that the caller has to write, or undefined when the row is already written. */
  const rollUp = async (block: Due, range: TimeRange, tops: TopQueries): Promise<string | undefined> => {
    if (block.window === 1) return void (await listAds(clickhouse, block, range, listed.minute));
    if (!isWholeHour(block)) return await windowRow(block, range, tops);
    // The row of most_clicked_ads says that the hour is complete, so it is written after the hour.
    await rollUpHour(clickhouse, block, range);
    return void (await listAds(clickhouse, block, range, listed.hour));
  };

  return async due => {
    let done = 0;
    const rows: string[] = [];
    const isEmpty = await whatIsEmpty(clickhouse, due);
    const isApplied = whatIsApplied(clickhouse, shard);
    const tops = createTopQueries(clickhouse, plannerOf(directory, due), { timeoutMs, maxThreads: 1 });
    for (const block of due) {
      const range = rangeOf(block);
      if (block.restatements > 0 && !(await isApplied(range))) continue;
      const row = isEmpty(block) ? emptyRow(block) : await rollUp(block, range, tops);
      if (row !== undefined) rows.push(row);
      onRolledUp(block);
      done++;
    }
    await clickhouse.insert('most_clicked_ads', rows.join('\n'));
    return done;
  };
}

function rangeOf({ ends, window }: Due): TimeRange {
  return { from: ends - window * minuteMs, to: ends };
}

/** Plans windows by what is worked out when the first of them is planned: their minutes and hours come before them. */
function plannerOf(directory: RollUpDeps['directory'], due: readonly Due[]): Planner {
  const windows = due.filter(block => block.window > 1 && !isWholeHour(block)).map(rangeOf);
  const all = () => ({
    from: Math.min(...windows.map(({ from }) => from)),
    to: Math.max(...windows.map(({ to }) => to)),
  });
  let planner: Promise<Planner> | undefined;
  return {
    async plan(range, options) {
      planner ??= directory.within(all());
      return await (await planner).plan(range, options);
    },
  };
}

const AMinute = rowShape('minutes of ad_minute', { at: Type.Integer() });

/**
 * Returns what says whether a block has no rows at all. A restated block is not asked about: it may get its rows between
 * this question and the one whether its restatements are applied.
 */
async function whatIsEmpty(clickhouse: Reader, due: readonly Due[]): Promise<(block: Due) => boolean> {
  const asked = due.filter(({ restatements }) => restatements === 0);
  if (asked.length === 0) return () => false;
  const found = await readRows(
    clickhouse,
    AMinute,
    statement`SELECT DISTINCT toUnixTimestamp(minute) * 1000 AS at FROM ${sharded('ad_minute')}
       WHERE ${inRanges('minute', joinedRanges(asked.map(rangeOf)))} ${settings}`,
  );
  return block => block.restatements === 0 && !found.some(({ at }) => isIn(at, rangeOf(block)));
}

function isIn(at: number, { from, to }: TimeRange): boolean {
  return at >= from && at < to;
}

/** Returns the same minutes, in as few ranges as possible. */
function joinedRanges(ranges: readonly TimeRange[]): TimeRange[] {
  const joined: TimeRange[] = [];
  for (const { from, to } of ranges.toSorted((a, b) => a.from - b.from)) {
    const last = joined.at(-1);
    if (last !== undefined && from <= last.to)
      joined[joined.length - 1] = { from: last.from, to: Math.max(last.to, to) };
    else joined.push({ from, to });
  }
  return joined;
}

function emptyRow({ window, ends, restatements }: Due): string {
  return JSON.stringify({ window, ends: ends / 1_000, ads: [], others: 0, counts: [], restatements });
}

/**
 * Returns what says whether `ad_minute` has the rows of all restatements of a range that were visible when its block
 * became due. It asks about each hour once: the windows of an hour lie in two.
 */
function whatIsApplied(clickhouse: Reader, shard: InShards): (range: TimeRange) => Promise<boolean> {
  const known = new Map<number, Promise<readonly number[]>>();
  const unappliedOf = (hour: number) => {
    const asked = known.get(hour) ?? unapplied(clickhouse, { from: hour, to: hour + hourMs }, shard);
    known.set(hour, asked);
    return asked;
  };
  return async range => {
    for (let hour = range.from - (range.from % hourMs); hour < range.to; hour += hourMs)
      if ((await unappliedOf(hour)).some(at => isIn(at, range))) return false;
    return true;
  };
}

/**
 * Returns the minutes of which `ad_minute` lacks rows of visible restatements. Each row of a cell is looked for: those of a
 * split ad are of several partitions, and so in several records, of which a sink may have inserted some.
 */
async function unapplied(clickhouse: Reader, range: TimeRange, { shard, of }: InShards): Promise<readonly number[]> {
  // Rows of other shards never come here.
  const ofShard = of === 1 ? noSql : sql`AND each.partition % ${of} = ${shard}`;
  const minutes = await readRows(
    clickhouse,
    AMinute,
    statement`SELECT DISTINCT toUnixTimestamp(visible.minute) * 1000 AS at
       FROM (
         SELECT minute, ad_id, country, each.partition AS in_partition, max(revision) AS revised
         FROM restatement FINAL ARRAY JOIN restatement.rows AS each
         WHERE ${minuteWithin(range)} AND ${isVisible(range)} ${ofShard} GROUP BY minute, ad_id, country, in_partition
       ) AS visible
       LEFT JOIN (
         SELECT minute, ad_id, country, partition AS in_partition, bitShiftRight(version, 48) AS applied
         FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
       ) AS stated USING (minute, ad_id, country, in_partition) WHERE applied < revised
       ${of === 1 ? unappliedCells(range) : noSql} ${settings}, join_use_nulls=0`,
  );
  return minutes.map(({ at }) => at);
}

/** SQL that adds the minutes of restatements of a release that kept no rows. It had no shards. */
function unappliedCells(range: TimeRange): Sql {
  return sql`UNION DISTINCT
       SELECT DISTINCT toUnixTimestamp(visible.minute) * 1000 AS at
       FROM (
         SELECT minute, ad_id, country, max(revision) AS revised FROM restatement FINAL
         WHERE ${minuteWithin(range)} AND ${isVisible(range)} AND empty(restatement.rows) GROUP BY minute, ad_id, country
       ) AS visible
       LEFT JOIN (
         SELECT minute, ad_id, country, max(bitShiftRight(version, 48)) AS applied FROM ${sharded('ad_minute')} FINAL
         WHERE ${minuteWithin(range)} GROUP BY minute, ad_id, country
       ) AS stated USING (minute, ad_id, country) WHERE applied < revised`;
}

/**
 * Writes a minute or a whole hour in one row, so that the row is there as a whole or not at all. It lists ads without net
 * clicks too, and `others` is 0 only if it lists all that have any clicks at all: what it says beside the clicks is then
 * all that there is (threshold.ts).
 */
async function listAds(clickhouse: ClickHouse, block: Due, range: TimeRange, most: number): Promise<void> {
  const rows = sql`${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}`;
  await clickhouse.command(
    ...statement`INSERT INTO most_clicked_ads (window, ends, ads, beside, others, counts, judged, restatements)
       WITH (
         SELECT arraySort(ad -> (-ad.2, ad.1), groupArray((ad_id, net, copies, invalids)))
         FROM (
           SELECT ad_id, toInt64(sum(clicks)) - toInt64(sum(invalid)) AS net, sum(duplicates) AS copies,
             sum(invalid) AS invalids
           FROM ${rows} GROUP BY ad_id HAVING net + invalids + copies > 0 ORDER BY net DESC, ad_id LIMIT ${most + 1}
         )
       ) AS top, (
         SELECT arraySort(groupArray((name, n, copies, lates, invalids, reasons, low, high)))
         FROM (
           SELECT country::String AS name, sum(clicks) AS n, sum(duplicates) AS copies, sum(late) AS lates,
             sum(invalid) AS invalids, sumMap(invalid_by) AS reasons, min(rules) AS low, max(rules) AS high
           FROM ${rows} GROUP BY name
         )
       ) AS sums, arraySlice(top, 1, ${most}) AS named
       SELECT ${block.window}, toDateTime(${block.ends / 1_000}, 'UTC'),
         arrayMap(ad -> (ad.1, toUInt64(ad.2)), named), arrayMap(ad -> (ad.3, ad.4), named),
         if(length(top) > ${most}, greatest(1, toUInt64(top[-1].2)), 0),
         arrayMap(each -> (each.1, each.2, each.3, each.4), sums),
         arrayMap(each -> (each.5, each.6, each.7, each.8), sums),
         ${block.restatements} ${boundedSettings}`,
  );
}

async function rollUpHour(clickhouse: ClickHouse, { restatements }: Due, range: TimeRange): Promise<void> {
  await clickhouse.command(
    ...statement`INSERT INTO ad_hour (hour, ad_id, country, restatements, clicks, duplicates, late, invalid, invalid_by,
         rules_low, rules_high)
       SELECT toDateTime(${range.from / 1_000}, 'UTC'), ad_id, country, ${restatements},
         sum(clicks), sum(duplicates), sum(late), sum(invalid), sumMap(invalid_by), min(rules), max(rules)
       FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
       GROUP BY ad_id, country ${boundedSettings}`,
  );
}

const timeoutMs = 60_000;
/** When a block is computed, `ad_minute` has the rows of all restatements that were visible when it became due. */
const applied = { isSettled: true };
/** An hour at 10,000 clicks/s has some millions of pairs of ad and country. Above this size they go to disk. */
const boundedMemory = { max_bytes_before_external_group_by: 400_000_000, max_bytes_ratio_before_external_group_by: 0 };
const settings = settingsOf(0, timeoutMs, { max_threads: 1 });
const boundedSettings = settingsOf(0, timeoutMs, { max_threads: 1, ...boundedMemory });

const FirstMinute = rowShape('first minute of ad_minute', { at: Type.Integer() });

/** Returns the first minute that has rows, from `since` on, in epoch ms. Returns undefined when there is none. */
export async function firstMinute(clickhouse: Reader, since: number): Promise<number | undefined> {
  const at = Math.max(0, Math.floor(since / 1_000));
  const row = await readRow(
    clickhouse,
    FirstMinute,
    statement`SELECT toUnixTimestamp(minute) * 1000 AS at FROM ${sharded('ad_minute')} WHERE minute >= toDateTime(${at}, 'UTC')
     ORDER BY minute LIMIT 1 ${settingsOf(1, timeoutMs)}`,
  );
  return row?.at;
}
