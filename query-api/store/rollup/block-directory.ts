/** Finds the blocks of the roll-up that exist, and plans how a range is read with them. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { minuteMs, type TimeRange } from '../../time/time-range.ts';
import { readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import { inRanges, minuteWithin } from '../sql/within.ts';
import { type BlockRow, hourMs, type Plan, planOf, type RestatedMinute, usableBlocks } from './blocks.ts';

export interface PlanOptions {
  /** False when the answer needs single minutes, so that no hour can be used. */
  readonly hours: boolean;
}

export interface Directory {
  readonly rows: readonly BlockRow[];
  readonly restated: readonly RestatedMinute[];
}

/** `window` is 0 in a row that counts the restatements of a minute. */
const DirectoryRow = rowShape('blocks of the roll-up', {
  window: Type.Integer(),
  at: Type.Integer(),
  n: Type.Integer(),
});

export type BlockDirectory = ReturnType<typeof createBlockDirectory>;

export interface Planner {
  plan(range: TimeRange, options: PlanOptions): Promise<Plan>;
}

export interface BlockDirectoryOptions {
  readonly timeoutMs: number;
  /** The number of shards that `clickhouse` reads. */
  readonly shards?: number;
}

export function createBlockDirectory(clickhouse: ClickHouse, { timeoutMs, shards = 1 }: BlockDirectoryOptions) {
  const settings = settingsOf(2_000_000, timeoutMs);

  /** Returns the rows of all windows that end in (from, to], and the restatements of minutes in [from, to). */
  const read = async ({ from, to }: TimeRange, among: Sql): Promise<Directory> => {
    const rows = await readRows(
      clickhouse,
      DirectoryRow,
      statement`SELECT window, toUnixTimestamp(ends) * 1000 AS at, restatements AS n
       FROM ${sharded('most_clicked_ads')} FINAL WHERE ${among}
       UNION ALL
       SELECT toUInt16(0) AS window, toUnixTimestamp(minute) * 1000 AS at, count() AS n
       FROM restatement FINAL WHERE ${minuteWithin({ from, to })} AND ${isVisible({ from, to })}
       GROUP BY minute ${settings}`,
    );
    return {
      rows: rows.filter(({ window }) => window > 0).map(({ window, at, n }) => ({ window, ends: at, restatements: n })),
      restated: rows.filter(({ window }) => window === 0).map(({ at, n }) => ({ minute: at, restatements: n })),
    };
  };

  const readAll = (range: TimeRange) =>
    read(range, inRanges('ends', [{ from: range.from + minuteMs, to: range.to + minuteMs }]));

  return {
    read: readAll,

    /** Reads a range once, and returns what plans any range within it by what was there at that moment. */
    async within(range: TimeRange): Promise<Planner> {
      const { rows, restated } = await readAll(range);
      const blocks = usableBlocks(rows, restated, shards);
      return { plan: async asked => planOf(asked, blocks) };
    },

    async plan(range: TimeRange, { hours }: PlanOptions): Promise<Plan> {
      if (range.to - range.from <= minuteMs) return { hours: [], minutes: [], rest: [range] };
      const minutes = hours ? edgesOf(range) : [range];
      const ended = (ranges: readonly TimeRange[]) =>
        inRanges(
          'ends',
          ranges.map(({ from, to }) => ({ from: from + minuteMs, to: to + minuteMs })),
        );
      const wholeHours = hours ? sql`OR (window = 60 AND toMinute(ends) = 0 AND ${ended([range])})` : noSql;
      const { rows, restated } = await read(range, sql`((window = 1 AND ${ended(minutes)}) ${wholeHours})`);
      return planOf(range, usableBlocks(rows, restated, shards));
    },
  };
}

/**
 * Returns the parts of the range in which single minutes are looked up, because there may be no whole hour: both ends.
 * The later end includes hours that are not final yet.
 */
function edgesOf({ from, to }: TimeRange): TimeRange[] {
  if (to - from <= 24 * hourMs) return [{ from, to }];
  return [
    { from, to: from + hourMs },
    { from: to - 6 * hourMs, to },
  ];
}
