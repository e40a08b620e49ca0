/** What has been restated: the history of final counts. Rules as in ad-counts.ts. */
import type { RestatementReason } from '../../aggregator/restatement.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { noSql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { type Selection, type StatedSelection, within } from './ad-counts.ts';
import { settingsOf } from './sql/read-settings.ts';
import { isVisible, statedRows } from './sql/stated-rows.ts';

export interface Restatement {
  /** Epoch ms. */
  readonly minute: number;
  readonly country: string;
  readonly revision: number;
  readonly job: string;
  readonly reason: RestatementReason;
  readonly before: number;
  readonly after: number;
  readonly at: number;
}

/** One of any ad. */
export interface TimedRestatement extends Restatement {
  readonly ad_id: string;
}

/** Where a page of restatements goes on. */
export interface RestatementCursor {
  readonly minute: number;
  readonly country: string;
  readonly revision: number;
}

/** Of oldest or newest minutes first. */
export type RestatementOrder = 'oldest' | 'newest';

export interface RestatementTotal {
  readonly changes: number;
  /** Clicks: what they have added, less what they have taken away. */
  readonly added: number;
  /** Likewise duplicates. */
  readonly added_duplicates: number;
}

export interface UndoneCounts {
  readonly count: number;
  readonly duplicates: number;
  readonly late: number;
}

export type RestatementQueries = ReturnType<typeof createRestatementQueries>;

export function createRestatementQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const ofAd = (adId: string | undefined) => (adId === undefined ? noSql : sql`AND ad_id = ${adId}`);
  return {
    /** Whether any count of the selection was restated, up to `until` (epoch ms) if it is given. */
    async isRestated(selection: Selection, adId?: string, until?: number): Promise<boolean> {
      const rows = await clickhouse.query(
        ...statement`SELECT 1 AS found FROM restatement FINAL WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)}
           ${until === undefined ? noSql : sql`AND at <= fromUnixTimestamp64Milli(${until}, 'UTC')`}
         LIMIT 1 ${settings(1)}`,
      );
      return rows.length > 0;
    },

    /**
     * What restatements after `asOf` (epoch ms) have added to the counts of the selection: what their cells have now less
     * what they had before the first of them. One of a former release was told before it was counted, and where its job
     * failed in between it may never be, so what cells have now is read along with it.
     */
    async addedSince(adId: string, selection: StatedSelection, asOf: number): Promise<UndoneCounts> {
      const ours = sql`${within(selection)} ${ofAd(adId)}`;
      const since = sql`${ours} AND at > fromUnixTimestamp64Milli(${asOf}, 'UTC') AND ${isVisible(selection)}`;
      const [row] = await clickhouse.query<UndoneCounts>(
        ...statement`SELECT sum(toInt64(clicks_now) - toInt64(clicks_then)) AS count,
           sum(toInt64(duplicates_now) - toInt64(duplicates_then)) AS duplicates,
           sum(arraySum(step -> if(step.1 <= bitShiftRight(version_now, 48), step.2, 0), steps)) AS late
         FROM (
           SELECT minute, country, sum(clicks) AS clicks_now, sum(duplicates) AS duplicates_now,
             max(version) AS version_now
           FROM ${statedRows('ad_minute_by_ad', ours, selection)}
           WHERE minute IN (SELECT minute FROM restatement FINAL WHERE ${since})
           GROUP BY minute, country
         ) AS stated
         INNER JOIN (
           SELECT minute, country, argMin(before, revision) AS clicks_then,
             argMin(before_duplicates, revision) AS duplicates_then,
             groupArray((revision, greatest(0, toInt64(after) - toInt64(before)))) AS steps
           FROM restatement FINAL WHERE ${since} GROUP BY minute, country
         ) AS told USING (minute, country) ${settings(1)}`,
      );
      return row ?? { count: 0, duplicates: 0, late: 0 };
    },

    /** Those made after `since` (epoch ms), the latest `limit` of them, oldest first. Raw clicks, and so restatements, go back 35 days. */
    async since(since: number, limit: number): Promise<TimedRestatement[]> {
      return await clickhouse.query(
        ...statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, revision, job, reason, before, after,
           toUnixTimestamp64Milli(t) AS at
         FROM (
           SELECT minute AS m, ad_id, country, revision, job, reason, before, after, at AS t FROM restatement FINAL
           WHERE at > fromUnixTimestamp64Milli(${since}, 'UTC')
             AND minute > fromUnixTimestamp64Milli(${since}, 'UTC') - INTERVAL 40 DAY
             AND ${isVisible({ from: since - 41 * dayMs, to: since + 41 * dayMs })}
           ORDER BY at DESC, minute DESC, ad_id DESC, country DESC LIMIT ${limit}
         ) ORDER BY t, m, ad_id, country ${settings(limit)}`,
      );
    },

    /** Of one ad, all that are in the selection. */
    async totalOfAd(adId: string, selection: Selection): Promise<RestatementTotal> {
      const [row] = await clickhouse.query<RestatementTotal>(
        ...statement`SELECT count() AS changes, sum(toInt64(after) - toInt64(before)) AS added,
           sum(toInt64(after_duplicates) - toInt64(before_duplicates)) AS added_duplicates
         FROM restatement FINAL
         WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)} ${settings(1)}`,
      );
      return row ?? { changes: 0, added: 0, added_duplicates: 0 };
    },

    /** Of one ad, in the order of minute, country and revision, or the other way round. */
    async ofAd(
      adId: string,
      selection: Selection,
      after: RestatementCursor | undefined,
      limit: number,
      order: RestatementOrder = 'oldest',
    ): Promise<Restatement[]> {
      const isNewest = order === 'newest';
      const direction = isNewest ? sql`DESC` : sql`ASC`;
      const place = (at: RestatementCursor) => sql`(${Math.floor(at.minute / 1_000)}, ${at.country}, ${at.revision})`;
      const key = sql`(toUnixTimestamp(minute), country, revision)`;
      const beyondLast =
        after === undefined ? noSql : isNewest ? sql`AND ${key} < ${place(after)}` : sql`AND ${key} > ${place(after)}`;
      return await clickhouse.query(
        ...statement`SELECT toUnixTimestamp(m) * 1000 AS minute, country, revision, job, reason, before, after,
           toUnixTimestamp64Milli(t) AS at
         FROM (
           SELECT minute AS m, country, revision, job, reason, before, after, at AS t FROM restatement FINAL
           WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)} ${beyondLast}
           ORDER BY minute ${direction}, country ${direction}, revision ${direction} LIMIT ${limit}
         ) ORDER BY m ${direction}, country ${direction}, revision ${direction} ${settings(limit)}`,
      );
    },
  };
}

const dayMs = 86_400_000;
