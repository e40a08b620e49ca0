/**
 * Works out one block of the roll-up from the FINAL rows of its minutes, and writes it with the number of restatements
 * that are in it.
 *
 * A restatement becomes visible before the rows of `ad_minute` are changed, maybe by a process that dies in between. So what is told was counted before (due-blocks.ts), and a block with a restatement that is told and not yet in the rows is left
 * for later; one that is told meanwhile makes the number differ, and the block due again. Nothing is kept in memory,
 * and no clock is asked: the number is the version, too.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { type InShards, oneShard } from '../../../infra/clickhouse/topology.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import { isWholeHour } from './blocks.ts';
import type { Due } from './due-blocks.ts';
import { inRanges } from './rolled-sql.ts';
import type { TopQueries } from './top-lists.ts';

export interface RollUpDeps {
  readonly clickhouse: ClickHouse;
  readonly tops: TopQueries;
  readonly listed?: AdsListed;
  /** Whose clicks `clickhouse` has; left out: there is one shard. */
  readonly shard?: InShards;
  readonly onRolledUp?: (block: Due) => void;
}

/** How many ads a row names, by kind of block. Minutes and hours are what longer ranges are answered from. */
export interface AdsListed {
  readonly minute: number;
  readonly hour: number;
  readonly window: number;
}

const adsListed: AdsListed = { minute: 1_000, hour: 5_000, window: 100 };

/** Works out what is due, in that order; how many blocks it were, without those that wait for a restatement. */
export type RollUp = (due: readonly Due[]) => Promise<number>;

export function createRollUp({
  clickhouse,
  tops,
  listed = adsListed,
  shard = oneShard,
  onRolledUp = () => undefined,
}: RollUpDeps): RollUp {
  const settings = settingsOf(0, timeoutMs, { max_threads: 1 });
  const boundedSettings = settingsOf(0, timeoutMs, { max_threads: 1, ...boundedMemory });

  // Of a cell whose clicks lie elsewhere there is nothing here to wait for.
  const ofShard =
    shard.of === 1 ? noSql : sql`AND arrayExists(r -> r.partition % ${shard.of} = ${shard.shard}, restatement.rows)`;

  const isApplied = async (range: TimeRange): Promise<boolean> => {
    const [row] = await clickhouse.query<{ n: number }>(
      ...statement`SELECT countIf(applied < revised) AS n
       FROM (
         SELECT minute, ad_id, country, max(revision) AS revised FROM restatement FINAL
         WHERE ${inRanges(sql`minute`, [range])} AND ${isVisible(range)} ${ofShard} GROUP BY minute, ad_id, country
       ) AS told
       LEFT JOIN (
         SELECT minute, ad_id, country, max(bitShiftRight(version, 48)) AS applied FROM ${sharded('ad_minute')} FINAL
         WHERE ${inRanges(sql`minute`, [range])} GROUP BY minute, ad_id, country
       ) AS stated USING (minute, ad_id, country) ${settings}, join_use_nulls=0`,
    );
    return row?.n === 0;
  };

  /** A minute or a whole hour, in one row: it is there as a whole or not at all. */
  const listAds = async (block: Due, range: TimeRange, most: number): Promise<void> => {
    const rows = sql`${sharded('ad_minute')} FINAL WHERE ${inRanges(sql`minute`, [range])}`;
    await clickhouse.command(
      ...statement`INSERT INTO most_clicked_ads (window, ends, ads, others, counts, restatements)
       WITH (
         SELECT arraySort(ad -> (-toInt64(ad.2), ad.1), groupArray((ad_id, total)))
         FROM (
           SELECT ad_id, sum(clicks) AS total FROM ${rows}
           GROUP BY ad_id HAVING total > 0 ORDER BY total DESC, ad_id LIMIT ${most + 1}
         )
       ) AS top, (
         SELECT arraySort(groupArray((name, n, copies, lates)))
         FROM (
           SELECT country::String AS name, sum(clicks) AS n, sum(duplicates) AS copies, sum(late) AS lates
           FROM ${rows} GROUP BY name
         )
       ) AS sums
       SELECT ${block.window}, toDateTime(${block.ends / 1_000}, 'UTC'),
         arraySlice(top, 1, ${most}), if(length(top) > ${most}, top[-1].2, 0), sums,
         ${block.restatements} ${boundedSettings}`,
    );
  };

  const rollUpHour = async ({ restatements }: Due, range: TimeRange): Promise<void> => {
    await clickhouse.command(
      ...statement`INSERT INTO ad_hour (hour, ad_id, country, restatements, clicks, duplicates, late)
       SELECT toDateTime(${range.from / 1_000}, 'UTC'), ad_id, country, ${restatements},
         sum(clicks), sum(duplicates), sum(late)
       FROM ${sharded('ad_minute')} FINAL WHERE ${inRanges(sql`minute`, [range])}
       GROUP BY ad_id, country ${boundedSettings}`,
    );
  };

  const windowRow = async ({ window, ends, restatements }: Due, range: TimeRange): Promise<string> => {
    const top = await tops.popularAds(listed.window + 1, { ...range, ...applied, country: undefined });
    const ads = top.slice(0, listed.window).map(({ ad_id, count }) => ({ ad_id, clicks: count }));
    const others = top[listed.window]?.count ?? 0;
    return JSON.stringify({ window, ends: ends / 1_000, ads, others, counts: [], restatements });
  };

  /** A row that is still to be written, or undefined where it is written. */
  const rollUp = async (block: Due, range: TimeRange): Promise<string | undefined> => {
    if (block.window === 1) return void (await listAds(block, range, listed.minute));
    if (!isWholeHour(block)) return await windowRow(block, range);
    // Its row of most_clicked_ads says that the hour is there, so it comes after it.
    await rollUpHour(block, range);
    return void (await listAds(block, range, listed.hour));
  };

  return async due => {
    let done = 0;
    const rows: string[] = [];
    for (const block of due) {
      const range = { from: block.ends - block.window * minuteMs, to: block.ends };
      if (block.restatements > 0 && !(await isApplied(range))) continue;
      const row = await rollUp(block, range);
      if (row !== undefined) rows.push(row);
      onRolledUp(block);
      done++;
    }
    await clickhouse.insert('most_clicked_ads', rows.join('\n'));
    return done;
  };
}

const timeoutMs = 60_000;
/** What was told by the time a block became due was in `ad_minute`. */
const applied = { isSettled: true };
/** An hour at 10,000 clicks/s has some millions of (ad, country): beyond this they go to disk. */
const boundedMemory = { max_bytes_before_external_group_by: 400_000_000, max_bytes_ratio_before_external_group_by: 0 };

/** The first minute that has rows, from `since` on, epoch ms; undefined: there is none. */
export async function firstMinute(clickhouse: ClickHouse, since: number): Promise<number | undefined> {
  const at = Math.max(0, Math.floor(since / 1_000));
  const [row] = await clickhouse.query<{ at: number }>(
    ...statement`SELECT toUnixTimestamp(minute) * 1000 AS at FROM ${sharded('ad_minute')} WHERE minute >= toDateTime(${at}, 'UTC')
     ORDER BY minute LIMIT 1 ${settingsOf(1, timeoutMs)}`,
  );
  return row?.at;
}
