/**
 * Works out one block from the FINAL rows of its minutes, and writes it with the number of restatements that are in it.
 *
 * A restatement is told in `restatement` before the rows of `ad_minute` are changed, maybe by a process that dies in
 * between. So what is told is counted first, and a block with a restatement that is told and not yet in the rows is left
 * for later; one that is told meanwhile makes the number differ, and the block due again. Nothing is kept in memory, and
 * no clock is compared.
 */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import type { TimeRange } from '../queries.ts';
import { integer, settingsOf } from '../read-settings.ts';
import { minuteMs } from '../time-range.ts';
import { isWholeHour } from './blocks.ts';
import type { Due } from './due-blocks.ts';
import { blocksRolledUp } from './metrics.ts';
import { inRanges } from './rolled-sql.ts';
import type { TopQueries } from './top-queries.ts';

export interface RollUpDeps {
  readonly clickhouse: ClickHouse;
  readonly tops: TopQueries;
  /** Epoch ms. */
  readonly now: () => number;
  readonly listed?: AdsListed;
}

/** How many ads a row names, by kind of block. Minutes and hours are what longer ranges are answered from. */
export interface AdsListed {
  readonly minute: number;
  readonly hour: number;
  readonly window: number;
}

const adsListed: AdsListed = { minute: 1_000, hour: 5_000, window: 100 };

/** Resolves with false where the block has to wait for a restatement to be in the rows. */
export type RollUp = (block: Due) => Promise<boolean>;

export function createRollUp({ clickhouse, tops, now, listed = adsListed }: RollUpDeps): RollUp {
  const settings = `${settingsOf(0, timeoutMs)}, max_threads=1`;

  const toldOf = async (range: TimeRange): Promise<number> => {
    const [row] = await clickhouse.query<{ n: number }>(
      `SELECT count() AS n FROM restatement FINAL WHERE ${inRanges('minute', [range])} ${settings}`,
    );
    return row?.n ?? 0;
  };

  const isApplied = async (range: TimeRange): Promise<boolean> => {
    const [row] = await clickhouse.query<{ n: number }>(
      `SELECT countIf(applied < revised) AS n
       FROM (
         SELECT minute, ad_id, country, max(revision) AS revised FROM restatement FINAL
         WHERE ${inRanges('minute', [range])} GROUP BY minute, ad_id, country
       ) AS told
       LEFT JOIN (
         SELECT minute, ad_id, country, max(bitShiftRight(version, 48)) AS applied FROM ad_minute FINAL
         WHERE ${inRanges('minute', [range])} GROUP BY minute, ad_id, country
       ) AS stated USING (minute, ad_id, country) ${settings}, join_use_nulls=0`,
    );
    return row?.n === 0;
  };

  /** A minute or a whole hour, in one row: it is there as a whole or not at all. */
  const listAds = async (block: Due, range: TimeRange, most: number, told: number) => {
    const rows = `ad_minute FINAL WHERE ${inRanges('minute', [range])}`;
    await clickhouse.longCommand(
      `INSERT INTO most_clicked_ads (window, ends, ads, others, counts, restatements, version)
       WITH (
         SELECT arraySort(ad -> (-toInt64(ad.2), ad.1), groupArray((ad_id, total)))
         FROM (
           SELECT ad_id, sum(clicks) AS total FROM ${rows}
           GROUP BY ad_id HAVING total > 0 ORDER BY total DESC, ad_id LIMIT ${integer(most + 1)}
         )
       ) AS top, (
         SELECT arraySort(groupArray((name, n, copies, lates)))
         FROM (
           SELECT country::String AS name, sum(clicks) AS n, sum(duplicates) AS copies, sum(late) AS lates
           FROM ${rows} GROUP BY name
         )
       ) AS sums
       SELECT ${integer(block.window)}, toDateTime(${integer(block.ends / 1_000)}, 'UTC'),
         arraySlice(top, 1, ${integer(most)}), if(length(top) > ${integer(most)}, top[-1].2, 0), sums,
         ${integer(told)}, ${integer(now())} ${settings}, ${boundedMemory}`,
    );
  };

  const rollUpHour = async (range: TimeRange): Promise<void> => {
    await clickhouse.longCommand(
      `INSERT INTO ad_hour (hour, ad_id, country, version, clicks, duplicates, late)
       SELECT toDateTime(${integer(range.from / 1_000)}, 'UTC'), ad_id, country, ${integer(now())},
         sum(clicks), sum(duplicates), sum(late)
       FROM ad_minute FINAL WHERE ${inRanges('minute', [range])}
       GROUP BY ad_id, country ${settings}, ${boundedMemory}`,
    );
  };

  const listWindow = async ({ window, ends }: Due, range: TimeRange, restatements: number): Promise<void> => {
    const top = await tops.popularAds(listed.window + 1, { ...range, country: undefined });
    const ads = top.slice(0, listed.window).map(({ ad_id, count }) => ({ ad_id, clicks: count }));
    const others = top[listed.window]?.count ?? 0;
    const row = { window, ends: ends / 1_000, ads, others, counts: [], restatements, version: now() };
    await clickhouse.insert('most_clicked_ads', JSON.stringify(row));
  };

  return async block => {
    const range = { from: block.ends - block.window * minuteMs, to: block.ends };
    const told = await toldOf(range);
    if (told > 0 && !(await isApplied(range))) return false;
    if (block.window === 1) await listAds(block, range, listed.minute, told);
    else if (isWholeHour(block)) {
      // Its row of most_clicked_ads says that the hour is there, so it comes after it.
      await rollUpHour(range);
      await listAds(block, range, listed.hour, told);
    } else await listWindow(block, range, told);
    blocksRolledUp.inc({ window: block.window });
    return true;
  };
}

const timeoutMs = 60_000;
/** An hour at 10,000 clicks/s has some millions of (ad, country): beyond this they go to disk. */
const boundedMemory = 'max_bytes_before_external_group_by=400000000, max_bytes_ratio_before_external_group_by=0';
