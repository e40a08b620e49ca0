/**
 * Which rows counts are made of, while restatements come in. All that a job changes in a minute becomes visible at once,
 * with one row of `recounted_minute`; the rows themselves stand in `restatement` before that, where nobody sees them, and
 * go into `ad_minute` after it, which takes moments (`jobs/apply-changes.ts`).
 *
 * So who reads counts (1) asks which recounts of the range are visible, (2) reads, with `restatement` over `ad_minute` as
 * long as one of those recounts is not settled, and (3) asks again. If none has become visible in between, `ad_minute`
 * can have had rows of no other, and everything read is of one moment, from however many statements and tables. Otherwise
 * all of it is read once more.
 *
 * Where counts are read from several shards, a recount becomes visible in each of their nodes at a moment of its own, and
 * its rows of `ad_minute` after that, in that node. So all of them are asked, before and after: an answer is given only if
 * all show the same recounts of the range, and the same ones afterwards. Then no node can have had rows of another, and
 * `restatement` of any of them has the rows of all that are visible.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { sharded } from '../../../infra/clickhouse/sharded-tables.ts';
import { noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import { pause } from '../../../infra/pause.ts';
import { settingsOf } from './read-settings.ts';

/** What is known of the recounts of a range. */
export interface Stated {
  /** False: some rows of visible restatements may not be in `ad_minute` yet. */
  readonly isSettled: boolean;
}

/** Half-open, epoch ms. */
interface Minutes {
  readonly from: number;
  readonly to: number;
}

export interface StatedRange extends Minutes, Stated {}

/** Of a range, as they were asked for at one moment. */
export interface Recounts {
  readonly visible: number;
  /** Of those; the most that any node has. */
  readonly unsettled: number;
  /** Which they are, where several nodes are asked. Undefined there: they show different ones. */
  readonly which?: string | undefined;
}

export interface StatedReading {
  /** (1) above, for who asks something else at the same time. */
  recounts(range: Minutes): Promise<Recounts>;
  /**
   * Reads what is visible of the range at one moment. `read` is called again where a recount became visible meanwhile.
   * `before`: what `recounts` has said of the range just now.
   * @throws Retryable
   */
  at<T>(range: Minutes, read: (stated: Stated) => Promise<T>, before?: Recounts): Promise<T>;
  /** The same for a read that goes on for long, of what was there when it began: `begin` ends once that is so. */
  begin<T>(range: Minutes, begin: (stated: Stated) => Promise<T>, giveUp: (begun: T) => Promise<void>): Promise<T>;
}

export interface StatedReadingOptions {
  readonly timeoutMs: number;
  /** Those that counts are read from, one of each shard. Left out: one. */
  readonly nodes?: () => readonly { readonly clickhouse: Pick<ClickHouse, 'query'> }[];
  readonly pauseMs?: number;
}

export function createStatedReading(
  clickhouse: ClickHouse,
  { timeoutMs, nodes = () => [{ clickhouse }], pauseMs = 50 }: StatedReadingOptions,
): StatedReading {
  const recountsIn = async (of: Pick<ClickHouse, 'query'>, range: Minutes, which: Sql): Promise<Recounts> => {
    const [row] = await of.query<Recounts>(
      ...statement`SELECT count() AS visible, countIf(settled = 0) AS unsettled ${which} FROM recounted_minute FINAL
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
      which: areSame ? first.which : undefined,
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

/** Recounts become visible several minutes at a time, at most twice a second. */
const maxReadings = 20;
/** Sinks of several nodes are some tenths of a second apart, as long as none of them is behind. */
const maxWaits = 40;

/** One number of all that are visible. They are never taken back, but expire, in each node when it merges. */
const whichOf = sql`, toString(groupBitXorIf(sipHash64(minute, at, job), minute > now() - INTERVAL 300 DAY)) AS which`;

/**
 * A table expression: rows as they are stated, with the columns of `ad_minute`. `where` names minute, ad_id and country
 * only, which all copies of a row share.
 */
export function statedRows(
  table: 'ad_minute' | 'ad_minute_by_ad',
  where: Sql,
  { from, to, isSettled }: StatedRange,
): Sql {
  const counted = sql`SELECT minute, ad_id, country, partition, version, clicks, duplicates, late
    FROM ${sharded(table)} FINAL WHERE ${where}`;
  if (isSettled) return sql`(${counted})`;
  return sql`(
    SELECT minute, ad_id, country, partition, newest.1 AS version, newest.2 AS clicks, newest.3 AS duplicates,
      newest.4 AS late
    FROM (
      SELECT minute, ad_id, country, partition, max((version, clicks, duplicates, late)) AS newest
      FROM (
        ${counted}
        UNION ALL
        SELECT ${restatedColumns} FROM restatement FINAL ARRAY JOIN rows AS restated
        WHERE ${where} AND ${isVisible({ from, to })}
      ) GROUP BY minute, ad_id, country, partition
    )
  )`;
}

/** A row of `ad_minute` out of one of `restatement` and one of its `rows`; the version as `aggregator/restatement.ts` has it. */
export const restatedColumns = sql`minute, ad_id, country, restated.1 AS partition,
  bitOr(bitShiftLeft(toUInt64(revision), 48), toUInt64(toUnixTimestamp64Milli(at))) AS version,
  restated.2 AS clicks, restated.3 AS duplicates, restated.4 AS late`;

/** SQL: whether a row of `restatement` in the range is in the counts. Columns by the table's name: a select may call something of its own `at`. */
export function isVisible(range: Minutes): Sql {
  return sql`(empty(restatement.rows) OR (restatement.minute, restatement.at, restatement.job) IN (
    SELECT minute, at, job FROM recounted_minute WHERE ${inMinutes(range)}
  ))`;
}

function inMinutes({ from, to }: Minutes): Sql {
  const at = (ms: number) => sql`toDateTime(${Math.max(0, Math.min(2 ** 32 - 1, Math.floor(ms / 1_000)))}, 'UTC')`;
  return sql`minute >= ${at(from)} AND minute < ${at(to)}`;
}
