/** SQL of what is known about the validity of single clicks: the rules of their cells, and the clicks of one cell. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { sql, statement } from '../../infra/clickhouse/sql.ts';
import { facts } from '../../ingest/validity/facts.ts';
import { minuteMs } from '../time/time-range.ts';
import { within } from './ad-counts.ts';
import { received } from './raw-counts.ts';
import { type RowOf, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { statedRows } from './sql/stated-rows.ts';
import { clickedWithin } from './sql/within.ts';

/** An ad and a country in a minute (epoch ms). */
export interface Cell {
  readonly ad_id: string;
  readonly country: string;
  readonly minute: number;
}

const CellRules = rowShape('rules of cells', {
  ad_id: Type.String(),
  country: Type.String(),
  minute: Type.Integer(),
  rules: Type.Integer(),
  /** Distinct clicks. */
  clicks: Type.Integer(),
});
export type CellRules = RowOf<typeof CellRules>;

const CellClickRow = rowShape('clicks of a cell', {
  event_id: Type.String(),
  ms: Type.Integer(),
  /** Letters, as in its line. */
  facts: Type.String(),
  person: Type.String(),
  user: Type.String(),
  address: Type.String(),
});
export type CellClickRow = RowOf<typeof CellClickRow>;

/** A cell with more clicks is not judged click by click. */
export const cellClicksRead = 100_000;
/** Nor is a cell of an ad with more in the minute, in all countries: its clicks are told by all copies of clicks of the ad. */
export const adClicksRead = 500_000;

export type CellQueries = ReturnType<typeof createCellQueries>;

export function createCellQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  return {
    /** Returns by which version of the rules the counted clicks of these ads and minutes (epoch ms) were judged, and how many there are. */
    async rules(adIds: readonly string[], minutes: readonly number[]): Promise<CellRules[]> {
      if (adIds.length === 0) return [];
      const range = { from: Math.min(...minutes), to: Math.max(...minutes) + minuteMs, isSettled: false };
      const where = sql`${within({ ...range, country: undefined })} AND ad_id IN ${adIds}
        AND toUnixTimestamp(minute) IN ${minutes.map(ms => ms / 1_000)}`;
      return await readRows(
        clickhouse,
        CellRules,
        statement`SELECT ad_id, country, toUnixTimestamp(m) * 1000 AS minute, version AS rules, total AS clicks FROM (
           SELECT ad_id, country::String AS country, counted.minute AS m, max(counted.rules) AS version,
             sum(counted.clicks) AS total
           FROM ${statedRows('ad_minute_by_ad', where, range)} AS counted GROUP BY ad_id, country, m
         ) ${settingsOf(cellsRead, timeoutMs)}`,
      );
    },

    /**
     * Returns the clicks of a cell in the order of their time and then their event id, each once, or undefined when
     * there are more than `cellClicksRead`. Its country is that of its first copy. What else a click says is what its best
     * copy says, the first of them whose facts have none of `invalidLetters`, or else the one of these that stands first
     * there. The person is the user id, or without one the user agent, at an address; the user is the person if it has a
     * user id (ingest/validity/rules.ts).
     */
    async clicks(
      { ad_id, country, minute }: Cell,
      invalidLetters: readonly string[],
    ): Promise<CellClickRow[] | undefined> {
      const badness = sql`if(position(facts, ${facts.allowed.letter}) > 0, 0,
        arrayFirstIndex(letter -> position(facts, letter) > 0, ${invalidLetters}))`;
      const clicked = clickedWithin({ from: minute, to: minute + minuteMs });
      const rows = await readRows(
        clickhouse,
        CellClickRow,
        statement`SELECT event_id, best.1 - ${minute} AS ms, best.2 AS facts,
           multiIf(best.3 != '', toString(sipHash64(1, best.4, best.3)),
             best.4 != '' AND best.5 != '', toString(sipHash64(2, best.4, best.5)), '') AS person,
           if(best.3 = '', '', person) AS user,
           if(best.4 = '', '', toString(sipHash64(best.4))) AS address
         FROM (
           SELECT event_id, argMin(click_raw.country, ${received}) AS counted_in, argMin(
               (toUnixTimestamp64Milli(clicked_at), facts, user_id, ip, user_agent), (${badness}, ${received})
             ) AS best
           FROM ${sharded('click_raw')} FINAL WHERE ${clicked} AND ad_id = ${ad_id} GROUP BY event_id
         ) WHERE counted_in = ${country} ORDER BY ms, event_id LIMIT ${cellClicksRead + 1}
         ${settingsOf(cellClicksRead + 1, timeoutMs, { max_memory_usage: maxMemoryBytes })}`,
      );
      return rows.length > cellClicksRead ? undefined : rows;
    },
  };
}

/** As many as a trail may list copies of, in all countries that a click may have. */
const cellsRead = 1_000_000;
const maxMemoryBytes = 2 ** 30;
