/**
 * Compares the sums by hour of the roll-up with the minutes of which they were made. Long ranges are answered from these
 * sums, so the count of a month, of which an invoice is made, is read from them. The minutes are compared with raw clicks
 * in sql-recount.ts.
 */
import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { createBlockDirectory } from '../rollup/block-directory.ts';
import { hourMs } from '../rollup/blocks.ts';
import { type RowOf, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { inRanges, minuteWithin } from '../sql/within.ts';
import { AdDrift, adsReported, type Reconciled } from './sql-recount.ts';

const HourDrift = rowShape('drift of an hour of the roll-up', { ...AdDrift.columns.properties, off: Type.Integer() });

export interface HourComparison {
  /**
   * Compares the hour that begins at `from` (epoch ms). `raw` is then what the minutes say. `cells` is 0, because no
   * further count was compared with raw clicks.
   */
  compare(from: number): Promise<Reconciled>;
}

export interface HourComparisonDeps {
  readonly clickhouse: ClickHouse;
  /** The number of shards that `clickhouse` reads. The default is one. */
  readonly shards?: number;
}

export function createHourComparison({ clickhouse, shards = 1 }: HourComparisonDeps): HourComparison {
  const directory = createBlockDirectory(clickhouse, { timeoutMs, shards });
  /** Whether answers take the hour from `ad_hour`. Where they do not, it need not be right. */
  const isAnswered = async (range: TimeRange) => (await directory.plan(range, { hours: true })).hours.length > 0;
  return {
    async compare(from) {
      const range = { from, to: from + hourMs };
      if (!(await isAnswered(range))) return nothing;
      const ads = await differingAds(clickhouse, range);
      // A restatement may have come between the two reads. Then the hour is not answered from the roll-up any more.
      if (ads.length === 0 || !(await isAnswered(range))) return nothing;
      const sumOf = (field: 'cells' | 'off') => ads.reduce((sum, ad) => sum + ad[field], 0);
      const named = ads.slice(0, adsReported).map(({ off: _off, ...ad }) => ad);
      return { ...nothing, differing: sumOf('cells'), off: sumOf('off'), ads: named, minutes: [from] };
    },
  };
}

async function differingAds(clickhouse: ClickHouse, range: TimeRange): Promise<RowOf<typeof HourDrift>[]> {
  return await readRows(
    clickhouse,
    HourDrift,
    statement`SELECT ad AS ad_id, count() AS cells, sum(of_hour.1) AS counted, sum(of_minutes.1) AS raw,
       sum(abs(of_hour.1 - of_minutes.1) + abs(of_hour.2 - of_minutes.2) + abs(of_hour.3 - of_minutes.3)) AS off
     FROM (
       SELECT ad, code, (sum(h.1), sum(h.2), sum(h.3)) AS of_hour, (sum(m.1), sum(m.2), sum(m.3)) AS of_minutes FROM (
         SELECT ad_id AS ad, country AS code, ${sums} AS h, ${none} AS m
         FROM ${sharded('ad_hour')} FINAL WHERE ${inRanges('hour', [range])}
         UNION ALL
         SELECT ad_id AS ad, country AS code, ${none} AS h, ${sums} AS m
         FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
       ) GROUP BY ad, code HAVING of_hour != of_minutes
     ) GROUP BY ad ORDER BY off DESC, ad ${settingsOf(mostAds, timeoutMs, { max_threads: 1 })}`,
  );
}

const sums: Sql = sql`(toInt64(clicks), toInt64(duplicates), toInt64(invalid))`;
const none: Sql = sql`(toInt64(0), toInt64(0), toInt64(0))`;
const nothing: Reconciled = { cells: 0, differing: 0, off: 0, conflicts: 0, ads: [], minutes: [] };
/** Of an hour in which everything is wrong. */
const mostAds = 5_000_000;
const timeoutMs = 120_000;
