/** Reads the stored top list of a window, which was computed when the window became final. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { AdCount } from '../ad-counts.ts';
import { readRow, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import type { BlockDirectoryOptions } from './block-directory.ts';
import type { WindowMinutes } from './due-blocks.ts';
import { inRanges } from './rolled-sql.ts';

export interface StoredTop {
  readonly ads: readonly AdCount[];
  /** False when there may be more ads than the list names, and it names fewer than were asked for. */
  readonly isWhole: boolean;
}

/** Tuples of ad and clicks. */
const TopRow = rowShape('most_clicked_ads', {
  top: Type.Array(Type.Tuple([Type.String(), Type.Integer()])),
  others: Type.Integer(),
});

export function createHistoryQueries(clickhouse: ClickHouse, { timeoutMs, shards = 1 }: BlockDirectoryOptions) {
  return {
    /** Returns undefined when there is no list that includes all restatements. */
    async mostClicked(window: WindowMinutes, range: TimeRange, limit: number): Promise<StoredTop | undefined> {
      // The lists of the shards together are not the top list of all clicks: they leave ads out (top-lists.ts).
      if (shards > 1) return undefined;
      const row = await readRow(
        clickhouse,
        TopRow,
        statement`SELECT arraySlice(ads, 1, ${limit})::Array(Tuple(String, UInt64)) AS top, others
         FROM ${sharded('most_clicked_ads')} FINAL
         WHERE window = ${window} AND ends = toDateTime(${range.to / 1_000}, 'UTC')
           AND restatements = (
             SELECT count() FROM restatement FINAL WHERE ${inRanges(sql`minute`, [range])} AND ${isVisible(range)}
           )
         ${settingsOf(1, timeoutMs)}`,
      );
      if (row === undefined) return undefined;
      const ads = row.top.map(([ad_id, count]) => ({ ad_id, count }));
      return { ads, isWhole: ads.length >= limit || row.others === 0 };
    },
  };
}
