/** SQL of the rows that a recount reads. */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type RowOf, readNumber, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { clickedWithin, minuteWithin } from '../sql/within.ts';

/** The place of the last line that was read, in the primary key of `click_raw`. */
export interface Cursor {
  /** Epoch ms. */
  readonly minute: number;
  readonly adId: string;
  readonly clickId: string;
}

const MinuteRules = rowShape('rules of ad_minute', { minute: Type.Integer(), rules: Type.Integer() });

export type RecountQueries = ReturnType<typeof createRecountQueries>;

export function createRecountQueries(clickhouse: ClickHouse) {
  return {
    /**
     * Returns the next clicks of the range after `cursor`, each once, in the order of (minute, ad, click id), as
     * lines of clicks. Fields that do not matter for counting are not read: `received_at` is 0, and there is nothing
     * about persons unless rules judge by it (`judged`). The read uses one thread, because the recount cannot process more, and live counting needs
     * the other cores.
     */
    async rawPage(range: TimeRange, cursor: Cursor | undefined, limit: number, judged = false): Promise<Uint8Array> {
      const fields = judged ? judgedFields : noSql;
      return await clickhouse.queryLines(
        ...statement`SELECT click_id, event_id, ad_id, toUnixTimestamp64Milli(at) AS clicked_at, 0 AS received_at,
           country ${fields}
         FROM (
           SELECT click_id, event_id, ad_id, clicked_at AS at, country ${fields} FROM ${sharded('click_raw')} FINAL
           WHERE ${clickedWithin({ from: cursor?.minute ?? range.from, to: range.to })} ${after(cursor)}
           ORDER BY toStartOfMinute(click_raw.clicked_at), ad_id, click_id LIMIT ${limit}
         ) ${settingsOf(limit, timeoutMs, { output_format_json_escape_forward_slashes: 0, max_threads: 1 })}`,
      );
    },

    /**
     * Returns, of each minute in the range that has rows, the version of the rules by which it was judged, in the order
     * of time. All rows of a minute have the same one, but for rows that a sink has not replaced yet.
     */
    async rulesOf(range: TimeRange): Promise<RowOf<typeof MinuteRules>[]> {
      return await readRows(
        clickhouse,
        MinuteRules,
        statement`SELECT toUnixTimestamp(m) * 1000 AS minute, version_of_rules AS rules
         FROM (
           SELECT minute AS m, argMax(rules, version) AS version_of_rules FROM ${sharded('ad_minute')}
           WHERE ${minuteWithin(range)} GROUP BY minute
         ) ORDER BY minute ${settingsOf(0, timeoutMs, { max_threads: 1 })}`,
      );
    },

    /** Returns all rows of `ad_minute` in the range, as lines of `StatedRow`. */
    async stated(range: TimeRange): Promise<Uint8Array> {
      return await clickhouse.queryLines(
        ...statement`SELECT toUnixTimestamp(m) AS minute, ad_id, country, partition, revision, clicks, duplicates, late,
           rules, invalid, invalid_by
         FROM (
           SELECT minute AS m, ad_id, country, partition, toUInt16(bitShiftRight(version, 48)) AS revision,
             clicks, duplicates, late, rules, invalid, invalid_by
           FROM ${sharded('ad_minute')} FINAL WHERE ${minuteWithin(range)}
         ) ${settingsOf(0, timeoutMs, { max_threads: 1 })}`,
      );
    },

    /** Returns about how many rows `stated` would return, and never fewer. */
    async statedRows(range: TimeRange): Promise<number> {
      return await readNumber(
        clickhouse,
        'rows of ad_minute',
        statement`SELECT count() AS n FROM ${sharded('ad_minute')} WHERE ${minuteWithin(range)} ${settingsOf(1, timeoutMs)}`,
      );
    },
  };
}

/**
 * In the order of canonical lines (ingest/click.ts). A line of which one is missing is parsed as JSON, which is slower.
 */
const judgedFields = sql`, nullIf(user_id, '') AS user_id, nullIf(ip, '') AS ip, nullIf(facts, '') AS facts,
  nullIf(user_agent, '') AS user_agent`;

/** A page is small, but the machine may be busy with live clicks, which have priority. */
const timeoutMs = 60_000;

function after(cursor: Cursor | undefined): Sql {
  if (cursor === undefined) return noSql;
  const { minute, adId, clickId } = cursor;
  return sql`AND (clicked_at >= fromUnixTimestamp64Milli(${minute + 60_000}, 'UTC')
    OR ad_id > ${adId} OR (ad_id = ${adId} AND click_id > ${clickId}))`;
}
