/** Where one click went: all that raw and quarantine hold of an event id. Rules as in queries.ts. */
import type { ClickHouse } from '../infra/clickhouse.ts';
import type { QuarantineSample } from './quarantine-queries.ts';
import { settingsOf } from './read-settings.ts';

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

export type AuditQueries = ReturnType<typeof createAuditQueries>;

/** Copies listed; one event id has a few. */
export const copiesListed = 1_000;

export function createAuditQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = `${settingsOf(copiesListed, timeoutMs)}, use_skip_indexes=1`;
  return {
    /** Oldest first. Copies of a row are equal, so DISTINCT does what FINAL would, and lets the index by event id work. */
    async rawClicks(eventId: string): Promise<RawClick[]> {
      return await clickhouse.query(
        `SELECT click_id, ad_id, country, toUnixTimestamp64Milli(clicked) AS clicked_at,
           toUnixTimestamp64Milli(received) AS received_at
         FROM (
           SELECT DISTINCT click_id, ad_id, country, clicked_at AS clicked, received_at AS received
           FROM click_raw WHERE event_id = {event_id:String}
         ) ORDER BY received, click_id LIMIT ${copiesListed} ${settings}`,
        { event_id: eventId },
      );
    },

    async quarantinedLines(eventId: string): Promise<QuarantinedLine[]> {
      return await clickhouse.query(
        `SELECT partition, offset, line, reason, detail, toUnixTimestamp64Milli(appended) AS appended_at, ad_id,
           clicked_at, JSONExtractString(raw, 'click_id') AS click_id
         FROM (
           SELECT DISTINCT partition, offset, line, reason, detail, appended_at AS appended, ad_id, clicked_at, raw
           FROM quarantine WHERE event_id = {event_id:String}
         ) ORDER BY appended, partition, offset, line LIMIT ${copiesListed} ${settings}`,
        { event_id: eventId },
      );
    },
  };
}
