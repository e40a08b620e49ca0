/** Where one click went: all that raw and quarantine hold of an event id. Rules as in ad-counts.ts. */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../infra/clickhouse/sharded-tables.ts';
import { noSql, sql, statement } from '../../infra/clickhouse/sql.ts';
import type { QuarantineSample } from './quarantine.ts';
import { settingsOf } from './sql/read-settings.ts';

/** Times in epoch ms. */
export interface RawClick {
  readonly click_id: string;
  readonly ad_id: string;
  readonly country: string;
  readonly clicked_at: number;
  readonly received_at: number;
}

/** A quarantined line without its text, but with the id in it. */
export type QuarantinedLine = Omit<QuarantineSample, 'event_id' | 'raw'> & { readonly click_id: string };

/** A restatement of the count of a click's ad, minute and country. */
export interface Restating {
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  readonly job: string;
  readonly before: number;
  readonly after: number;
  readonly at: number;
}

/** What was found of an event id, of all ads or of one; `isCut`: there is more. */
export interface Found<T> {
  readonly rows: readonly T[];
  readonly isCut: boolean;
}

export type AuditQueries = ReturnType<typeof createAuditQueries>;

/** Copies listed of one ad, and of all: an event id has a few, and no ad can hide those of the others. */
export const copiesListed = { ofAd: 100, ofAll: 1_000 };

export function createAuditQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  // One more of each than is listed tells whether there are more.
  const most = sql`LIMIT ${copiesListed.ofAd + 1} BY ad_id LIMIT ${copiesListed.ofAll + 1}`;
  const settings = settingsOf(copiesListed.ofAll + 1, timeoutMs, { use_skip_indexes: 1 });
  const isAsked = (eventId: string, adId: string | undefined) =>
    sql`event_id = ${eventId} ${adId === undefined ? noSql : sql`AND ad_id = ${adId}`}`;
  return {
    /** Oldest first. Copies of a row are equal, so DISTINCT does what FINAL would, and lets the index by event id work. */
    async rawClicks(eventId: string, adId?: string): Promise<Found<RawClick>> {
      return cut(
        await clickhouse.query<RawClick>(
          ...statement`SELECT click_id, ad_id, country, toUnixTimestamp64Milli(clicked) AS clicked_at,
             toUnixTimestamp64Milli(received) AS received_at
           FROM (
             SELECT DISTINCT click_id, ad_id, country, clicked_at AS clicked, received_at AS received
             FROM ${sharded('click_raw')} WHERE ${isAsked(eventId, adId)}
           ) ORDER BY received, click_id ${most} ${settings}`,
        ),
      );
    },

    async quarantinedLines(eventId: string, adId?: string): Promise<Found<QuarantinedLine>> {
      return cut(
        await clickhouse.query<QuarantinedLine>(
          ...statement`SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
             clicked_at, JSONExtractString(raw, 'click_id') AS click_id
           FROM (
             SELECT DISTINCT partition, offset, line, reason, detail, appended_at AS appended, ad_id, clicked_at, raw
             FROM ${sharded('quarantine')} WHERE ${isAsked(eventId, adId)}
           ) ORDER BY appended, partition, offset, line ${most} ${settings}`,
        ),
      );
    },

    /** Restatements of these ads in these minutes (epoch ms), and no others of them. */
    async restatements(adIds: readonly string[], minutes: readonly number[]): Promise<Restating[]> {
      if (adIds.length === 0) return [];
      return await clickhouse.query(
        ...statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, job, before, after,
           toUnixTimestamp64Milli(t) AS at
         FROM (
           SELECT minute AS m, ad_id, country, job, before, after, at AS t FROM restatement FINAL
           WHERE toUnixTimestamp(minute) IN ${minutes.map(secondsOf)} AND ad_id IN ${adIds}
             AND minute >= toDateTime(${secondsOf(Math.min(...minutes))}, 'UTC') AND minute <= toDateTime(${secondsOf(Math.max(...minutes))}, 'UTC')
           ORDER BY at LIMIT ${restatementsRead}
         ) ORDER BY t ${settingsOf(restatementsRead, timeoutMs)}`,
      );
    },
  };
}

function secondsOf(ms: number): number {
  return ms / 1_000;
}

/** Every cell of a click's ad and minute has a few at most. */
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
  };
}
