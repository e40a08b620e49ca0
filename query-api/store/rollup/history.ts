/** The top list at a moment, as it was worked out once its window was final. */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import type { BlockDirectoryOptions } from './block-directory.ts';
import type { WindowMinutes } from './due-blocks.ts';
import { inRanges } from './rolled-sql.ts';
import type { AdCount } from './threshold.ts';

export interface StoredTop {
  readonly ads: readonly AdCount[];
  /** It may name fewer ads than asked for only if there are no more. */
  readonly isWhole: boolean;
}

export type HistoryQueries = ReturnType<typeof createHistoryQueries>;

export function createHistoryQueries(clickhouse: ClickHouse, { timeoutMs, shards = 1 }: BlockDirectoryOptions) {
  return {
    /** Undefined where there is none that knows of all restatements. */
    async mostClicked(window: WindowMinutes, range: TimeRange, limit: number): Promise<StoredTop | undefined> {
      // Lists of parts are none of the whole: these make the top list only with what they leave out (top-lists.ts).
      if (shards > 1) return undefined;
      const [row] = await clickhouse.query<{ top: [string, number][]; others: number }>(
        ...statement`SELECT arraySlice(ads, 1, ${limit})::Array(Tuple(String, UInt64)) AS top, others
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
