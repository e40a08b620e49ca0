/** SQL of the rows that are compared with counters. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { joined, named, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type RowOf, readRow, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { minuteWithin } from '../sql/within.ts';

/** Sums over the rows of one partition. */
const LiveRows = rowShape('sums of ad_minute', {
  partition: Type.Integer(),
  counted: Type.Integer(),
  duplicates: Type.Integer(),
  invalid: Type.Integer(),
  /** The newest version of a row that was counted live, or 0 when there is none. */
  version: Type.Integer(),
  /** Restated rows whose restatement is not there, or not the first one of their cell. */
  untold: Type.Integer(),
});
export type LiveRows = RowOf<typeof LiveRows>;
export type RowSums = Pick<LiveRows, 'counted' | 'duplicates' | 'invalid' | 'version'>;

const FirstMinute = rowShape('first minute of ad_minute', { at: Type.Integer(), n: Type.Integer() });

const QuarantineSums = rowShape('sums of quarantine', {
  partition: Type.Integer(),
  lines: Type.Integer(),
  /** When the broker received the first of the lines, in epoch ms, or 0 when there is none. */
  oldest: Type.Integer(),
});
export type QuarantinedLines = Omit<RowOf<typeof QuarantineSums>, 'partition'>;

export type ConservationQueries = ReturnType<typeof createConservationQueries>;

/** Quarantined lines of a partition whose offsets are in [since, until). */
export interface OffsetRange {
  readonly partition: number;
  readonly since: number;
  readonly until: number;
}

/** Long because it holds one short question after another. Each of them can be read on its own. */
export function createConservationQueries(clickhouse: ClickHouse) {
  return {
    /**
     * Returns by partition what was counted live. These are the rows of the stream. Where a restatement has replaced a
     * row, its first revision says what it replaced. (Revisions of releases that did not keep `stated` have only the sum
     * of the cell. It is added to the row that has the clicks.)
     *
     * What a restated row says beyond the restatement that has made it, or less, is added too. So a row that somebody has
     * changed since makes a difference, as one of the stream does.
     *
     * A restatement is inserted before the rows that it restates. So `untold` rows are newer than the moment at which
     * this read began to look at restatements. If they stay untold, no restatement has made them, and they are taken for
     * rows of the stream: they are in no counter, and make a difference.
     */
    async liveRows(range: TimeRange): Promise<LiveRows[]> {
      return await readRows(
        clickhouse,
        LiveRows,
        statement`SELECT part AS partition, ${countedLive('clicks', 'before')} AS counted,
           ${countedLive('duplicates', 'before_duplicates')} AS duplicates,
           ${invalidLive} AS invalid,
           maxIf(version, revision = 0) AS version, countIf(revision > 0 AND is_told * is_made = 0) AS untold
         FROM (
           SELECT minute, ad_id, country, partition AS part, version, bitShiftRight(version, 48) AS revision, clicks,
             duplicates, invalid AS invalid_now
           FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
         ) AS counts
         LEFT JOIN (
           SELECT minute, ad_id, country, stated, stated_judged, before, before_duplicates, after, 1 AS is_told
           FROM restatement FINAL WHERE revision = 1 AND ${minuteWithin(range)}
         ) AS history USING (minute, ad_id, country)
         LEFT JOIN (
           SELECT minute, ad_id, country, revision, rows AS made, rows_judged AS made_judged, 1 AS is_made
           FROM restatement FINAL WHERE ${minuteWithin(range)}
         ) AS latest USING (minute, ad_id, country, revision)
         GROUP BY part ${settings(65_536)}`,
      );
    },

    /** Returns the first minute in the range that has rows, in epoch ms. */
    async firstMinute(range: TimeRange): Promise<number | undefined> {
      const row = await readRow(
        clickhouse,
        FirstMinute,
        statement`SELECT toUnixTimestamp(min(minute)) * 1000 AS at, count() AS n FROM ${sharded('ad_minute')}
         WHERE ${minuteWithin(range)} ${settings(1)}`,
      );
      return row && row.n > 0 ? row.at : undefined;
    },

    /** Returns the lines by partition, without lines that the sink has put there (`refused`), which are counted clicks. */
    async quarantinedLines(ranges: readonly OffsetRange[]): Promise<Map<number, QuarantinedLines>> {
      const wanted = ranges.filter(({ since, until }) => since < until);
      if (wanted.length === 0) return new Map();
      const within = wanted.map(
        ({ partition, since, until }) => sql`(partition = ${partition} AND offset >= ${since} AND offset < ${until})`,
      );
      const rows = await readRows(
        clickhouse,
        QuarantineSums,
        statement`SELECT partition, countIf(reason != 'refused') AS lines,
           toUnixTimestamp64Milli(minIf(appended_at, reason != 'refused')) AS oldest
         FROM ${sharded('quarantine')} FINAL WHERE ${joined(within, ' OR ')} GROUP BY partition ${settings(65_536)}`,
      );
      return new Map(rows.map(({ partition, ...lines }) => [partition, lines]));
    },
  };
}

/** SQL for the sum of what was counted live, from the columns of `counts`, `history` and `latest`. */
function countedLive(stated: 'clicks' | 'duplicates', before: 'before' | 'before_duplicates'): Sql {
  const live = sql`multiIf(notEmpty(stated), toInt64(arraySum(s -> if(s.partition = part, ${named(`s.${stated}`)}, 0), stated)),
    clicks > 0 OR after = 0, toInt64(${named(before)}), 0)`;
  return sumOver(named(stated), live, sql`arraySum(m -> if(m.partition = part, ${named(`m.${stated}`)}, 0), made)`);
}

/** The same for invalid clicks. Releases that did not keep `stated` had none. */
const invalidLive = sumOver(
  sql`invalid_now`,
  sql`if(notEmpty(stated), toInt64(arraySum((s, judged) -> if(s.partition = part, judged.invalid, 0), stated,
    arrayResize(stated_judged, length(stated)))), 0)`,
  sql`arraySum((m, judged) -> if(m.partition = part, judged.invalid, 0), made, arrayResize(made_judged, length(made)))`,
);

/**
 * `now` is what a row says, `live` what was counted live in its place, and `restated` what its restatement has made it
 * say. Releases that did not keep `rows` have made no rows that could be compared.
 */
function sumOver(now: Sql, live: Sql, restated: Sql): Sql {
  return sql`sum(multiIf(revision = 0 OR is_told * is_made = 0, toInt64(${now}), empty(made), ${live},
    ${live} + toInt64(${now}) - toInt64(${restated})))`;
}

/** Reads with one thread, because live counting needs the other cores. */
function settings(maxResultRows: number): Sql {
  return settingsOf(maxResultRows, timeoutMs, { max_threads: 1, join_use_nulls: 0 });
}

const timeoutMs = 20_000;
