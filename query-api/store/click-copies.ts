/** Finds where a click went: every row of `click_raw` and of quarantine with its event id. Rules as in ad-counts.ts. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { minuteMs } from '../time/time-range.ts';
import { placeAndReason } from './quarantine.ts';
import { type RowOf, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { isVisible } from './sql/stated-rows.ts';
import { minuteWithin } from './sql/within.ts';

/** Times are epoch ms. */
const RawClick = rowShape('click_raw', {
  click_id: Type.String(),
  ad_id: Type.String(),
  country: Type.String(),
  clicked_at: Type.Integer(),
  received_at: Type.Integer(),
  /** Letters of what was found out about it (ingest/validity/facts.ts). */
  facts: Type.String(),
});
export type RawClick = RowOf<typeof RawClick>;

/** A quarantined line without its text, but with the click id that is in the text. */
const QuarantinedLine = rowShape('quarantine', { ...placeAndReason, click_id: Type.String() });
export type QuarantinedLine = RowOf<typeof QuarantinedLine>;

/** A visible restatement of the count of a click's ad, minute and country. */
const Restating = rowShape('restatement', {
  minute: Type.Integer(),
  ad_id: Type.String(),
  country: Type.String(),
  job: Type.String(),
  before: Type.Integer(),
  after: Type.Integer(),
  at: Type.Integer(),
  /** By partition of the log: the recount has read all clicks before this offset. Empty: a release before did not say. */
  read_until: Type.Record(Type.String(), Type.Integer()),
});
export type Restating = RowOf<typeof Restating>;

/** The rows with an event id, of one ad or of all. `isCut` says that there are more. */
export interface Found<T> {
  readonly rows: readonly T[];
  readonly isCut: boolean;
  /** Whether some of the ad may be among those that were left out. */
  isCutOf(adId: string): boolean;
}

/**
 * The number of copies that are listed of one ad, and of all ads. An event id usually has a few copies. With a limit for
 * each ad, no ad can hide the copies of the others.
 */
export const copiesListed = { ofAd: 100, ofAll: 1_000 };

export function createAuditQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  // One more than is listed is read, which shows whether there are more.
  const most = sql`LIMIT ${copiesListed.ofAd + 1} BY ad_id LIMIT ${copiesListed.ofAll + 1}`;
  const settings = settingsOf(copiesListed.ofAll + 1, timeoutMs, { use_skip_indexes: 1 });
  const isAsked = (eventId: string, adId: string | undefined) =>
    sql`event_id = ${eventId} ${adId === undefined ? noSql : sql`AND ad_id = ${adId}`}`;
  return {
    /**
     * Returns the oldest first. Copies of a row are equal, except that those of a release before facts have none: so GROUP
     * BY has the effect of FINAL, and lets ClickHouse use the index by event id.
     */
    async rawClicks(eventId: string, adId?: string): Promise<Found<RawClick>> {
      return cut(
        await readRows(
          clickhouse,
          RawClick,
          statement`SELECT click_id, ad_id, country, toUnixTimestamp64Milli(clicked) AS clicked_at,
             toUnixTimestamp64Milli(received) AS received_at, facts
           FROM (
             SELECT click_id, ad_id, country, clicked_at AS clicked, received_at AS received, max(click_raw.facts) AS facts
             FROM ${sharded('click_raw')} WHERE ${isAsked(eventId, adId)} GROUP BY ALL
           ) ORDER BY received, click_id ${most} ${settings}`,
        ),
      );
    },

    async quarantinedLines(eventId: string, adId?: string): Promise<Found<QuarantinedLine>> {
      return cut(
        await readRows(
          clickhouse,
          QuarantinedLine,
          statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
             clicked_at, JSONExtractString(raw, 'click_id') AS click_id
           FROM (
             SELECT DISTINCT partition, offset, line, reason, detail, appended_at AS appended, ad_id, clicked_at, raw
             FROM ${sharded('quarantine')} WHERE ${isAsked(eventId, adId)}
           ) ORDER BY appended, partition, offset, line ${most} ${settings}`,
        ),
      );
    },

    /** Returns the visible restatements of these ads in these minutes (epoch ms), and in no other minutes. */
    async restatements(adIds: readonly string[], minutes: readonly number[]): Promise<Restating[]> {
      if (adIds.length === 0) return [];
      const settings = settingsOf(restatementsRead, timeoutMs, { join_use_nulls: 0 });
      return await readRows(clickhouse, Restating, statement`${restatingRows(adIds, minutes)} ${settings}`);
    },
  };
}

function restatingRows(adIds: readonly string[], minutes: readonly number[]): Sql {
  const range = { from: Math.min(...minutes), to: Math.max(...minutes) + minuteMs };
  return sql`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, job, before, after,
       toUnixTimestamp64Milli(t) AS at, until AS read_until
     FROM (
       SELECT minute AS m, ad_id, country, job, before, after, at AS t FROM restatement FINAL
       WHERE toUnixTimestamp(minute) IN ${minutes.map(secondsOf)} AND ad_id IN ${adIds}
         AND ${minuteWithin(range)} AND ${isVisible(range)}
       ORDER BY at LIMIT ${restatementsRead}
     ) AS restated
     LEFT JOIN (
       SELECT minute AS m, at AS t, job, read_until AS until FROM recounted_minute FINAL WHERE ${minuteWithin(range)}
     ) AS recounted USING (m, t, job)
     ORDER BY t`;
}

function secondsOf(ms: number): number {
  return ms / 1_000;
}

/** Each cell of a click's ad and minute has only a few restatements. */
const restatementsRead = 100_000;

function cut<T extends { readonly ad_id: string }>(found: readonly T[]): Found<T> {
  const listed = new Map<string, number>();
  const rows = found.filter(({ ad_id }) => {
    const n = (listed.get(ad_id) ?? 0) + 1;
    listed.set(ad_id, n);
    return n <= copiesListed.ofAd;
  });
  return {
    rows: rows.slice(0, copiesListed.ofAll),
    isCut: rows.length < found.length || rows.length > copiesListed.ofAll,
    isCutOf: adId => found.length > copiesListed.ofAll || (listed.get(adId) ?? 0) > copiesListed.ofAd,
  };
}
