/** What the comparison of rows with counters reads. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { joined, named, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { minuteWithin } from './recount-rows.ts';

/** Lines of one partition, as the rows of a stretch show them. */
export interface RowSums {
  readonly counted: number;
  readonly duplicates: number;
  /** The newest version of a live row; 0: there is none. */
  readonly version: number;
}

export type ConservationQueries = ReturnType<typeof createConservationQueries>;

/** Quarantined lines of a partition, by their offsets: [since, until). */
export interface OffsetRange {
  readonly partition: number;
  readonly since: number;
  readonly until: number;
}

export interface QuarantinedLines {
  readonly lines: number;
  /** When the broker took the first of them, epoch ms; 0: there is none. */
  readonly oldest: number;
}

export function createConservationQueries(clickhouse: ClickHouse) {
  return {
    /**
     * What was counted live, by partition: the rows of the stream, and where a restatement has replaced one, what its
     * first revision says it found. (Revisions from before `stated` was kept tell only the cell's sum: it goes to the
     * row that has the clicks.) `untold` are restated rows whose history is not there: it is inserted first, so they
     * are rows of after this read has begun to look at the history.
     */
    async liveRows(range: TimeRange): Promise<(RowSums & { partition: number; untold: number })[]> {
      const live = (stated: 'clicks' | 'duplicates', before: 'before' | 'before_duplicates') =>
        sql`sum(multiIf(revision = 0, ${named(stated)}, notEmpty(stated),
           arraySum(s -> if(s.partition = part, ${named(`s.${stated}`)}, 0), stated), clicks > 0 OR after = 0, ${named(before)}, 0))`;
      return await clickhouse.query(
        ...statement`SELECT part AS partition, ${live('clicks', 'before')} AS counted,
           ${live('duplicates', 'before_duplicates')} AS duplicates,
           maxIf(version, revision = 0) AS version, countIf(revision > 0 AND is_told = 0) AS untold
         FROM (
           SELECT minute, ad_id, country, partition AS part, version, bitShiftRight(version, 48) AS revision, clicks,
             duplicates
           FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
         ) AS counts
         LEFT JOIN (
           SELECT minute, ad_id, country, stated, before, before_duplicates, after, 1 AS is_told
           FROM restatement FINAL WHERE revision = 1 AND ${minuteWithin(range)}
         ) AS history USING (minute, ad_id, country)
         GROUP BY part ${settings(65_536)}`,
      );
    },

    /** The first minute in the range that has rows, epoch ms. */
    async firstMinute(range: TimeRange): Promise<number | undefined> {
      const [row] = await clickhouse.query<{ at: number; n: number }>(
        ...statement`SELECT toUnixTimestamp(min(minute)) * 1000 AS at, count() AS n FROM ${sharded('ad_minute')}
         WHERE ${minuteWithin(range)} ${settings(1)}`,
      );
      return row && row.n > 0 ? row.at : undefined;
    },

    /** By partition; without the lines that the sink itself has put there (`refused`): they are counted clicks. */
    async quarantinedLines(ranges: readonly OffsetRange[]): Promise<Map<number, QuarantinedLines>> {
      const wanted = ranges.filter(({ since, until }) => since < until);
      if (wanted.length === 0) return new Map();
      const within = wanted.map(
        ({ partition, since, until }) => sql`(partition = ${partition} AND offset >= ${since} AND offset < ${until})`,
      );
      const rows = await clickhouse.query<QuarantinedLines & { partition: number }>(
        ...statement`SELECT partition, countIf(reason != 'refused') AS lines,
           toUnixTimestamp64Milli(minIf(appended_at, reason != 'refused')) AS oldest
         FROM ${sharded('quarantine')} FINAL WHERE ${joined(within, ' OR ')} GROUP BY partition ${settings(65_536)}`,
      );
      return new Map(rows.map(({ partition, ...lines }) => [partition, lines]));
    },
  };
}

/** One thread, as in recounts: live counting needs the rest. */
function settings(maxResultRows: number): Sql {
  return settingsOf(maxResultRows, timeoutMs, { max_threads: 1, join_use_nulls: 0 });
}

const timeoutMs = 20_000;
