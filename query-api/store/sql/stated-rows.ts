/**
 * Decides from which rows counts are read while restatements come in.
 *
 * All changes of a job in one minute become visible at once, with one row of `recounted_minute`. The changed rows are
 * in `restatement` before that, where no reader sees them. After that they are copied into `ad_minute`, which takes a
 * moment (`query-api/jobs/recount/apply-changes.ts`).
 *
 * So a reader of counts does three things. (1) It asks which recounts of the range are visible. (2) It reads the counts,
 * and lays `restatement` over `ad_minute` as long as one of these recounts is not settled. (3) It asks again. If no
 * recount has become visible in between, `ad_minute` cannot contain rows of any other recount. Then everything that was
 * read belongs to one moment, however many statements and tables it came from. Otherwise everything is read again.
 *
 * With several shards, a recount becomes visible in each node at a different moment, and its rows of `ad_minute` come
 * later in that node. So every node is asked, before and after. There is an answer only if all nodes show the same
 * recounts of the range, and still the same ones afterwards. Then no node can contain rows of another recount, and
 * `restatement` of any node has the rows of all visible recounts.
 */

import { Type } from 'typebox';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import { pause } from '../../../infra/pause.ts';
import { type Reader, type RowOf, readRow, rowShape } from './read-rows.ts';
import { settingsOf } from './read-settings.ts';

/** What is known about the recounts of a range. */
export interface Stated {
  /** False when some rows of visible restatements may not be in `ad_minute` yet. */
  readonly isSettled: boolean;
}

/** Half-open, epoch ms. */
interface Minutes {
  readonly from: number;
  readonly to: number;
}

export interface StatedRange extends Minutes, Stated {
  /** Whether `invalid_by` is read too. It is a column of maps, so it is read only for who asks for reasons. */
  readonly reasons?: boolean;
}

const RecountsRow = rowShape('recounts of the range', {
  visible: Type.Integer(),
  /** The number of visible recounts that are not settled. With several nodes, the highest number of any node. */
  unsettled: Type.Integer(),
  /**
   * Identifies the visible recounts. It is asked for only when there are several nodes, and is then left out if they
   * show different recounts.
   */
  which: Type.Optional(Type.String()),
});

/** The recounts of a range at one moment. */
export type Recounts = RowOf<typeof RecountsRow>;

export interface StatedReading {
  /** Does step (1) above, for a caller that asks other questions at the same time. */
  recounts(range: Minutes): Promise<Recounts>;
  /**
   * Reads what is visible in the range at one moment. `read` is called again when a recount has become visible
   * meanwhile. `before` is what `recounts` has just returned for the range.
   * @throws Retryable
   */
  at<T>(range: Minutes, read: (stated: Stated) => Promise<T>, before?: Recounts): Promise<T>;
  /**
   * Does the same for a long read, which returns what was there when it began. `begin` resolves as soon as the read has
   * begun. `giveUp` ends a read that has to begin again.
   */
  begin<T>(range: Minutes, begin: (stated: Stated) => Promise<T>, giveUp: (begun: T) => Promise<void>): Promise<T>;
}

export interface StatedReadingOptions {
  readonly timeoutMs: number;
  /** The nodes that counts are read from, one of each shard. The default is a single node. */
  readonly nodes?: () => readonly { readonly clickhouse: Reader }[];
  readonly pauseMs?: number;
}

export function createStatedReading(
  clickhouse: ClickHouse,
  { timeoutMs, nodes = () => [{ clickhouse }], pauseMs = 50 }: StatedReadingOptions,
): StatedReading {
  const recountsIn = async (node: Reader, range: Minutes, which: Sql): Promise<Recounts> => {
    const row = await readRow(
      node,
      RecountsRow,
      statement`SELECT count() AS visible, countIf(settled = 0) AS unsettled ${which} FROM recounted_minute FINAL
        WHERE cells > 0 AND ${inMinutes(range)} ${settingsOf(1, timeoutMs)}`,
    );
    return row ?? { visible: 0, unsettled: 0 };
  };
  const recounts: StatedReading['recounts'] = async range => {
    const asked = nodes();
    if (asked.length === 1) return await recountsIn(clickhouse, range, noSql);
    const each = await Promise.all(asked.map(node => recountsIn(node.clickhouse, range, whichOf)));
    const [first = { visible: 0, unsettled: 0 }, ...others] = each;
    const areSame = others.every(({ which }) => which === first.which);
    return {
      visible: first.visible,
      unsettled: Math.max(...each.map(({ unsettled }) => unsettled)),
      ...(areSame && first.which !== undefined && { which: first.which }),
    };
  };
  const differ = (found: Recounts) => nodes().length > 1 && found.which === undefined;
  const agreed = async (known: Recounts, range: Minutes): Promise<Recounts> => {
    let found = known;
    for (let i = 0; i < maxWaits && differ(found); i++) {
      await pause(pauseMs);
      found = await recounts(range);
    }
    return found;
  };
  const beginAfter = async <T>(
    known: Recounts,
    range: Minutes,
    start: (stated: Stated) => Promise<T>,
    giveUp: (begun: T) => Promise<void>,
  ): Promise<T> => {
    let before = await agreed(known, range);
    for (let i = 0; i < maxReadings && !differ(before); i++) {
      const found = await start({ isSettled: before.unsettled === 0 });
      const after = await recounts(range);
      if (!differ(after) && after.visible === before.visible && after.which === before.which) return found;
      await giveUp(found);
      before = await agreed(after, range);
    }
    throw new Retryable('the counts are being restated');
  };
  return {
    recounts,
    begin: async (range, begin, giveUp) => await beginAfter(await recounts(range), range, begin, giveUp),
    at: async (range, read, before) =>
      await beginAfter(before ?? (await recounts(range)), range, read, async () => undefined),
  };
}

/** Recounts of several minutes become visible together, at most twice a second. */
const maxReadings = 20;
/** The sinks of several nodes are some tenths of a second apart, as long as none of them is behind. */
const maxWaits = 40;

/**
 * One number for all visible recounts. A recount is never taken back, but it expires, in each node at the moment when
 * the node merges. So recounts that are about to expire are left out.
 */
const whichOf = sql`, toString(groupBitXorIf(sipHash64(minute, at, job), minute > now() - INTERVAL 300 DAY)) AS which`;

/**
 * A table expression for the rows as they are stated now, with the columns of `ad_minute`. It has `invalid_by` only if
 * reasons are asked for. `where` may name only minute, ad_id and country, which are the same in all copies of a row.
 */
export function statedRows(
  table: 'ad_minute' | 'ad_minute_by_ad',
  where: Sql,
  { from, to, isSettled, reasons = false }: StatedRange,
): Sql {
  const by = reasons ? sql`, invalid_by` : noSql;
  const counted = sql`SELECT minute, ad_id, country, partition, version, clicks, duplicates, late, rules, invalid ${by}
    FROM ${sharded(table)} FINAL WHERE ${where}`;
  if (isSettled) return sql`(${counted})`;
  return sql`(
    SELECT minute, ad_id, country, partition, newest.1 AS version, newest.2 AS clicks, newest.3 AS duplicates,
      newest.4 AS late, newest.5 AS rules, newest.6 AS invalid ${reasons ? sql`, newest.7 AS invalid_by` : noSql}
    FROM (
      SELECT minute, ad_id, country, partition,
        argMax((version, clicks, duplicates, late, rules, invalid ${by}), version) AS newest
      FROM (
        ${counted}
        UNION ALL
        SELECT ${restatedColumns} ${reasons ? sql`, ${restatedReasons}` : noSql} FROM restatement FINAL ${restatedJoin}
        WHERE ${where} AND ${isVisible({ from, to })}
      ) GROUP BY minute, ad_id, country, partition
    )
  )`;
}

/**
 * Makes a row of `ad_minute` from a row of `restatement` and one of its `rows`. The version is computed as in
 * `aggregator/restatement.ts`.
 */
export const restatedColumns = sql`minute, ad_id, country, restated.1 AS partition,
  bitOr(bitShiftLeft(toUInt64(revision), 48), toUInt64(toUnixTimestamp64Milli(at))) AS version,
  restated.2 AS clicks, restated.3 AS duplicates, restated.4 AS late, judged.1 AS rules, judged.2 AS invalid`;

/** Why clicks of the same row are invalid. */
export const restatedReasons = sql`CAST(judged.3, 'Map(LowCardinality(String), UInt64)') AS invalid_by`;

/** The columns of `restatement` that `restatedColumns` needs. Rows from before rules have nothing in `rows_judged`. */
export const restatedJoin = sql`ARRAY JOIN rows AS restated, arrayResize(rows_judged, length(rows)) AS judged`;

/**
 * SQL for whether a row of `restatement` in the range is part of the counts. The columns are qualified by the table's
 * name, because a SELECT may define an alias `at` itself.
 */
export function isVisible(range: Minutes): Sql {
  return sql`(empty(restatement.rows) OR (restatement.minute, restatement.at, restatement.job) IN (
    SELECT minute, at, job FROM recounted_minute WHERE ${inMinutes(range)}
  ))`;
}

function inMinutes({ from, to }: Minutes): Sql {
  const at = (ms: number) => sql`toDateTime(${Math.max(0, Math.min(2 ** 32 - 1, Math.floor(ms / 1_000)))}, 'UTC')`;
  return sql`minute >= ${at(from)} AND minute < ${at(to)}`;
}
