/** SQL of restatements, which are the history of final counts. Rules as in ad-counts.ts. */
import { Type } from 'typebox';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { noSql, type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import { Counts, noClicks, type Selection, type StatedSelection, within } from './ad-counts.ts';
import { type RowOf, readRow, readRows, rowShape } from './sql/read-rows.ts';
import { settingsOf } from './sql/read-settings.ts';
import { isVisible, statedRows } from './sql/stated-rows.ts';

/** `minute` and `at` are epoch ms. */
const Restatement = rowShape('restatement', {
  minute: Type.Integer(),
  country: Type.String(),
  revision: Type.Integer(),
  job: Type.String(),
  /** `late`, `split`, `replay`, `reconcile` or `rules`. A newer release may have written another one. */
  reason: Type.String(),
  /** Distinct clicks, the invalid ones too. */
  before: Type.Integer(),
  after: Type.Integer(),
  before_net: Type.Integer(),
  after_net: Type.Integer(),
  /** The versions of the rules by which the clicks were judged. 0: by none. */
  before_rules: Type.Integer(),
  after_rules: Type.Integer(),
  at: Type.Integer(),
});
export type Restatement = RowOf<typeof Restatement>;

/** A restatement together with its ad. */
const TimedRestatement = rowShape('restatement', { ...Restatement.columns.properties, ad_id: Type.String() });
export type TimedRestatement = RowOf<typeof TimedRestatement>;

/** The last restatement of a page. */
export interface RestatementCursor {
  readonly minute: number;
  readonly country: string;
  readonly revision: number;
}

/** Which minutes come first. */
export type RestatementOrder = 'oldest' | 'newest';

const RestatementTotal = rowShape('total of restatements', {
  changes: Type.Integer(),
  /** Added clicks minus removed clicks. */
  added: Type.Integer(),
  added_net: Type.Integer(),
  added_duplicates: Type.Integer(),
});
export type RestatementTotal = RowOf<typeof RestatementTotal>;

/** What restatements have added to counts. */
export type UndoneCounts = Counts;

const Found = rowShape('restatement', { found: Type.Integer() });

export type RestatementQueries = ReturnType<typeof createRestatementQueries>;

/** Long because it holds one short question after another. Each of them can be read on its own. */
export function createRestatementQueries(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const settings = (rows: number) => settingsOf(rows, timeoutMs);
  const ofAd = (adId: string | undefined) => (adId === undefined ? noSql : sql`AND ad_id = ${adId}`);
  return {
    /** Returns whether a count of the selection was restated, up to `until` (epoch ms) if that is given. */
    async isRestated(selection: Selection, adId?: string, until?: number): Promise<boolean> {
      const row = await readRow(
        clickhouse,
        Found,
        statement`SELECT 1 AS found FROM restatement FINAL WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)}
           ${until === undefined ? noSql : sql`AND at <= fromUnixTimestamp64Milli(${until}, 'UTC')`}
         LIMIT 1 ${settings(1)}`,
      );
      return row !== undefined;
    },

    /**
     * Returns what restatements after `asOf` (epoch ms) have added to the counts of the selection. This is what their
     * cells have now, minus what these cells had before the first of the restatements. The current counts are read
     * too, because an earlier release wrote a restatement before it changed the counts. If its job failed in between,
     * the counts were never changed.
     *
     * How many late clicks a cell had is stored with the restatement before, if there is one. Otherwise it follows from
     * what the first one has made of it (`changeOf` in aggregator/replay/cell-change.ts). Only if that one took clicks
     * away, and all clicks that it left were late, may some of those that it took have been late too: then `late` is the
     * lowest number that is possible.
     */
    async addedSince(adId: string, selection: StatedSelection, asOf: number): Promise<UndoneCounts> {
      const ours = sql`${within(selection)} ${ofAd(adId)}`;
      const history = sql`${ours} AND ${isVisible(selection)}`;
      const isLater = sql`at > fromUnixTimestamp64Milli(${asOf}, 'UTC')`;
      const row = await readRow(
        clickhouse,
        Counts,
        statement`SELECT sum(toInt64(clicks_now) - toInt64(clicks_then)) AS count,
           sum(toInt64(duplicates_now) - toInt64(duplicates_then)) AS duplicates,
           sum(multiIf(earlier.1, toInt64(late_now) - toInt64(earlier.2), first_later.1, toInt64(late_now) - first_later.2,
             arraySum(step -> if(step.1 <= bitShiftRight(version_now, 48), step.2, 0), steps))) AS late,
           sum(toInt64(invalid_now) - toInt64(invalid_then)) AS invalid
         FROM (
           SELECT minute, country, sum(clicks) AS clicks_now, sum(duplicates) AS duplicates_now, sum(late) AS late_now,
             sum(invalid) AS invalid_now, max(version) AS version_now
           FROM ${statedRows('ad_minute_by_ad', ours, selection)}
           WHERE minute IN (SELECT minute FROM restatement FINAL WHERE ${history} AND ${isLater})
           GROUP BY minute, country
         ) AS stated
         INNER JOIN (
           SELECT minute, country, argMinIf(before, revision, is_later) AS clicks_then,
             argMinIf(before_duplicates, revision, is_later) AS duplicates_then,
             argMinIf(${invalidIn(sql`stated_judged`)}, revision, is_later) AS invalid_then,
             argMaxIf((notEmpty(rows), late_after), revision, NOT is_later) AS earlier,
             argMinIf((notEmpty(rows), toInt64(late_after) - added), revision, is_later) AS first_later,
             groupArrayIf((revision, added), is_later) AS steps
           FROM (
             SELECT *, ${isLater} AS is_later, greatest(0, toInt64(after) - toInt64(before)) AS added,
               arraySum(each -> each.4, rows) AS late_after
             FROM restatement FINAL WHERE ${history}
           ) GROUP BY minute, country HAVING max(is_later)
         ) AS undone USING (minute, country) ${settings(1)}`,
      );
      return row ?? noClicks;
    },

    /**
     * Returns the latest `limit` restatements that were made after `since` (epoch ms), the oldest first. They concern
     * minutes of the last 35 days, because raw clicks are kept for so long.
     */
    async since(since: number, limit: number): Promise<TimedRestatement[]> {
      return await readRows(
        clickhouse,
        TimedRestatement,
        statement`SELECT toUnixTimestamp(m) * 1000 AS minute, ad_id, country, revision, job, reason, before, after,
           before_net, after_net, before_rules, after_rules, toUnixTimestamp64Milli(t) AS at
         FROM (
           SELECT minute AS m, ad_id, country, revision, job, reason, before, after, ${nets}, before_rules,
             after_rules, at AS t
           FROM restatement FINAL
           WHERE at > fromUnixTimestamp64Milli(${since}, 'UTC')
             AND minute > fromUnixTimestamp64Milli(${since}, 'UTC') - INTERVAL 40 DAY
             AND ${isVisible({ from: since - 41 * dayMs, to: since + 41 * dayMs })}
           ORDER BY at DESC, minute DESC, ad_id DESC, country DESC LIMIT ${limit}
         ) ORDER BY t, m, ad_id, country ${settings(limit)}`,
      );
    },

    /** Sums up all restatements of one ad in the selection. */
    async totalOfAd(adId: string, selection: Selection): Promise<RestatementTotal> {
      const row = await readRow(
        clickhouse,
        RestatementTotal,
        statement`SELECT count() AS changes, sum(toInt64(after) - toInt64(before)) AS added,
           sum(toInt64(after - ${invalidIn(sql`rows_judged`)}) - toInt64(before - ${invalidIn(sql`stated_judged`)})) AS added_net,
           sum(toInt64(after_duplicates) - toInt64(before_duplicates)) AS added_duplicates
         FROM restatement FINAL
         WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)} ${settings(1)}`,
      );
      return row ?? { changes: 0, added: 0, added_net: 0, added_duplicates: 0 };
    },

    /** Returns the restatements of one ad in the order of minute, country and revision, or in the reverse order. */
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
      return await readRows(
        clickhouse,
        Restatement,
        statement`SELECT toUnixTimestamp(m) * 1000 AS minute, country, revision, job, reason, before, after,
           before_net, after_net, before_rules, after_rules, toUnixTimestamp64Milli(t) AS at
         FROM (
           SELECT minute AS m, country, revision, job, reason, before, after, ${nets}, before_rules,
             after_rules, at AS t
           FROM restatement FINAL
           WHERE ${within(selection)} ${ofAd(adId)} AND ${isVisible(selection)} ${beyondLast}
           ORDER BY minute ${direction}, country ${direction}, revision ${direction} LIMIT ${limit}
         ) ORDER BY m ${direction}, country ${direction}, revision ${direction} ${settings(limit)}`,
      );
    },
  };
}

/** The invalid clicks in what a restatement has replaced (`stated_judged`), or in what it has made (`rows_judged`). */
function invalidIn(judged: Sql): Sql {
  return sql`arraySum(arrayMap(each -> each.2, ${judged}))`;
}

const nets = sql`toUInt64(before - ${invalidIn(sql`stated_judged`)}) AS before_net,
  toUInt64(after - ${invalidIn(sql`rows_judged`)}) AS after_net`;

const dayMs = 86_400_000;
