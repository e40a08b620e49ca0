/** Where sums are read from: the roll-up as far as it reaches, and the rows of minutes for the rest. */

import { type Sql, sql } from '../../../infra/clickhouse/sql.ts';
import { stepsMs } from '../../time/time-range.ts';
import type { StatedRange } from '../sql/stated-rows.ts';
import type { BlockDirectory, PlanOptions } from './block-directory.ts';
import { rowsOfAds, sumsOfAll } from './rolled-sql.ts';

export type RolledRows = ReturnType<typeof createRolledRows>;

export function createRolledRows(directory: BlockDirectory) {
  return {
    /**
     * A table expression with the columns minute, country, clicks, duplicates, late, and ad_id where ads are named. An
     * hour that is one row has its begin as `minute`: with `hours` false there are none.
     */
    async of(adIds: readonly string[], range: StatedRange, { hours }: PlanOptions): Promise<Sql> {
      if (adIds.length === 0) return sumsOfAll(await directory.plan(range, { hours }), range);
      const among = sql`ad_id IN ${adIds}`;
      // A day of one ad is read from its minutes in no time.
      const isLong = hours && range.to - range.from > stepsMs.day;
      return rowsOfAds(isLong ? await directory.plan(range, { hours }) : unplanned(range), range, among, true);
    },

    async ofPrefix(prefix: string, range: StatedRange): Promise<Sql> {
      const plan = await directory.plan(range, { hours: true });
      return rowsOfAds(plan, range, sql`startsWith(ad_id, ${prefix})`, prefix !== '');
    },

    /** Of ads in whose id the text stands, in capital or small letters. */
    async ofText(text: string, range: StatedRange): Promise<Sql> {
      const plan = await directory.plan(range, { hours: true });
      return rowsOfAds(plan, range, sql`positionCaseInsensitive(ad_id, ${text}) > 0`, false);
    },
  };
}

function unplanned({ from, to }: StatedRange) {
  return { hours: [], minutes: [], rest: [{ from, to }] };
}
