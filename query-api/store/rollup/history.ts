/** Reads the stored top list of a window, in the order of net clicks. It was computed when the window became final. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import type { AdCount } from '../ad-counts.ts';
import { clicksOf } from '../net-and-gross.ts';
import { readRow, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { isVisible } from '../sql/stated-rows.ts';
import { minuteWithin } from '../sql/within.ts';
import type { BlockDirectoryOptions } from './block-directory.ts';
import type { WindowMinutes } from './due-blocks.ts';

export interface StoredTop {
  readonly ads: readonly AdCount[];
  /** False when there may be more ads than the list names, and it names fewer than were asked for. */
  readonly isWhole: boolean;
}

/** Tuples of ad, net clicks, duplicates and invalid clicks. */
const TopRow = rowShape('most_clicked_ads', {
  top: Type.Array(Type.Tuple([Type.String(), Type.Integer(), Type.Integer(), Type.Integer()])),
  others: Type.Integer(),
});

export function createHistoryQueries(clickhouse: ClickHouse, { timeoutMs, shards = 1 }: BlockDirectoryOptions) {
  return {
    /**
     * Returns undefined when there is no list that includes all restatements, or none that tells invalid clicks and
     * duplicates, because an earlier release has written it.
     */
    async mostClicked(window: WindowMinutes, range: TimeRange, limit: number): Promise<StoredTop | undefined> {
      // The lists of the shards together are not the top list of all clicks: they leave ads out (top-lists.ts).
      if (shards > 1) return undefined;
      const row = await readRow(
        clickhouse,
        TopRow,
        statement`SELECT arrayMap(
             (ad, aside) -> (ad.1, ad.2, aside.1, aside.2), arraySlice(ads, 1, ${limit}), arraySlice(beside, 1, ${limit})
           ) AS top, others
         FROM ${sharded('most_clicked_ads')} FINAL
         WHERE length(beside) = length(ads) AND window = ${window} AND ends = toDateTime(${range.to / 1_000}, 'UTC')
           AND restatements = (
             SELECT count() FROM restatement FINAL WHERE ${minuteWithin(range)} AND ${isVisible(range)}
           )
         ${settingsOf(1, timeoutMs)}`,
      );
      if (row === undefined) return undefined;
      const named = row.top.map(([ad_id, net, duplicates, invalid]) => ({
        ...{ ad_id, count: net + invalid, duplicates, invalid },
      }));
      const ads = named.filter(ad => clicksOf(ad, 'net') > 0);
      // A list that names an ad without net clicks names all that have any.
      return { ads, isWhole: ads.length >= limit || row.others === 0 || ads.length < named.length };
    },
  };
}
