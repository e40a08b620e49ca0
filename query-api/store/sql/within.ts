/**
 * SQL for whether a time is within a range.
 *
 * The trap: a column of milliseconds (DateTime64) must not be compared by `<` or `>` with a whole second (DateTime) or a
 * number. While ClickHouse looks which parts of a table need not be read, it takes `< 12:31:00` for `<= 12:30:59`
 * (ClickHouse#113993). So a part whose clicks are all of the last second before 12:31:00 is left out, without an error.
 * Here each kind of column has a function of its own, which compares it with its own type.
 */
import { joined, named, type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';

/** The columns that hold whole seconds: the beginning of a minute or an hour, and the end of a block. */
export type WholeTime = 'minute' | 'hour' | 'ends';

/** Whether `column` is in one of the half-open ranges. Without a range it is never true. */
export function inRanges(column: WholeTime, ranges: readonly TimeRange[]): Sql {
  if (ranges.length === 0) return sql`0`;
  const at = (ms: number) => sql`toDateTime(${ms / 1_000}, 'UTC')`;
  const each = ranges.map(({ from, to }) => sql`${named(column)} >= ${at(from)} AND ${named(column)} < ${at(to)}`);
  return sql`(${joined(each, ' OR ')})`;
}

export function minuteWithin(range: TimeRange): Sql {
  return inRanges('minute', [range]);
}

/** Of raw clicks. Their table is sorted by the minute of `clicked_at`, and ClickHouse finds its granules by this too. */
export function clickedWithin({ from, to }: TimeRange): Sql {
  const at = (ms: number) => sql`fromUnixTimestamp64Milli(${ms}, 'UTC')`;
  return sql`clicked_at >= ${at(from)} AND clicked_at < ${at(to)}`;
}
