/** Decides from where sums are read: from the roll-up as far as it reaches, and from the rows of minutes for the rest. */

import { type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import { stepsMs } from '../../time/time-range.ts';
import type { StatedRange } from '../sql/stated-rows.ts';
import type { BlockDirectory, PlanOptions } from './block-directory.ts';
import { rowsOfAds, sumsOfAll } from './rolled-sql.ts';

/** `useSums` is false where the sums of all ads together are not those that are asked for. */
export function createRolledRows(directory: BlockDirectory, { useSums }: { readonly useSums: boolean }) {
  return {
    /**
     * Returns a table expression with the columns of `sumsOfAll`, and ad_id if ads are named.
     * A row of an hour has the beginning of the hour as `minute`. If `hours` is false, there are no such rows.
     */
    async of(adIds: readonly string[], range: StatedRange, { hours }: PlanOptions): Promise<Sql> {
      if (adIds.length === 0 && useSums) return sumsOfAll(await directory.plan(range, { hours }), range);
      if (adIds.length === 0)
        return rowsOfAds(hours ? await directory.plan(range, { hours }) : unplanned(range), range, sql`1`, false);
      const among = sql`ad_id IN ${adIds}`;
      // Reading a day of one ad from its minutes is fast enough.
      const isLong = hours && range.to - range.from > stepsMs.day;
      return rowsOfAds(isLong ? await directory.plan(range, { hours }) : unplanned(range), range, among, true);
    },

    async ofPrefix(prefix: string, range: StatedRange): Promise<Sql> {
      const plan = await directory.plan(range, { hours: true });
      return rowsOfAds(plan, range, sql`startsWith(ad_id, ${prefix})`, prefix !== '');
    },

    /** Returns the rows of ads whose id contains the text, in capital or small letters. */
    async ofText(text: string, range: StatedRange): Promise<Sql> {
      const plan = await directory.plan(range, { hours: true });
      return rowsOfAds(plan, range, sql`positionCaseInsensitive(ad_id, ${text}) > 0`, false);
    },
  };
}

function unplanned({ from, to }: StatedRange) {
  return { hours: [], minutes: [], rest: [{ from, to }] };
}
