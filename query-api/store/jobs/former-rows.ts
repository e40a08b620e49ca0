/**
 * SQL of rows that an earlier release has left unfinished: rows that are not in the log, and restatements whose rows are
 * not in the counts yet.
 */

import { Type } from 'typebox';
import type { RestatedRow } from '../../../aggregator/restatement.ts';
import { named, noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { invalidReasons } from '../../../ingest/validity/rules.ts';
import { type Reader, type RowOf, readNumber, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { restatedColumns, restatedJoin, restatedReasons } from '../sql/stated-rows.ts';

export type FormerTable = keyof typeof formerOf;

/** A row with all columns of its table. They are copied as they are, so only `logged` is checked. */
const FormerRow = rowShape('rows that are not in the log', { logged: Type.Literal(1) });

/** Reads the rows of a table that are not in the log. */
export function formerRowsOf(clickhouse: Reader, table: FormerTable) {
  const former = sql`${named(table)} FINAL WHERE logged = 0 AND ${formerOf[table]}`;
  return {
    left: () => countOf(clickhouse, former),
    /** Returns some of the rows, in the form in which they are written into the log. */
    page: (limit: number): Promise<object[]> =>
      readRows(
        clickhouse,
        FormerRow,
        statement`SELECT * REPLACE (1 AS logged) FROM (SELECT * FROM ${former} LIMIT ${limit}) ${settingsOf(0, timeoutMs)}`,
      ),
  };
}

/** `minute` is epoch seconds, and `at` is epoch ms. */
const UnsettledMinute = rowShape('recounted_minute', {
  minute: Type.Integer(),
  at: Type.Integer(),
  job: Type.String(),
  cells: Type.Integer(),
  read_until: Type.Record(Type.String(), Type.Integer()),
});
export type UnsettledMinute = RowOf<typeof UnsettledMinute>;

const Restated = rowShape('rows of restatement', {
  minute: Type.Integer(),
  ad_id: Type.String(),
  country: Type.String(),
  partition: Type.Integer(),
  version: Type.String(),
  clicks: Type.Integer(),
  duplicates: Type.Integer(),
  late: Type.Integer(),
  rules: Type.Integer(),
  invalid: Type.Integer(),
  invalid_by: Type.Partial(Type.Object(Object.fromEntries(invalidReasons.map(reason => [reason, Type.Integer()])))),
});

/** Reads the minutes that have visible restatements whose rows are not in `ad_minute`. */
export function unsettledMinutesOf(clickhouse: Reader) {
  return {
    /** Returns the oldest minutes. */
    first: (limit: number): Promise<UnsettledMinute[]> =>
      readRows(
        clickhouse,
        UnsettledMinute,
        statement`SELECT toUnixTimestamp(m.minute) AS minute, toUnixTimestamp64Milli(m.at) AS at, m.job AS job, m.cells AS cells,
           m.read_until AS read_until
         FROM (SELECT * FROM recounted_minute FINAL WHERE settled = 0 ORDER BY minute, at, job LIMIT ${limit}) AS m
         ${settingsOf(limit, timeoutMs)}`,
      ),

    /** Counts the minutes from `first` to `last`, both inclusive, in epoch seconds. */
    between: (first: number, last: number): Promise<number> =>
      countOf(
        clickhouse,
        sql`recounted_minute FINAL WHERE settled = 0 AND minute >= toDateTime(${first}, 'UTC')
         AND minute <= toDateTime(${last}, 'UTC')`,
      ),

    /** Returns the number of changes of its restatement, and the rows that replace rows of `ad_minute`. */
    async told({ minute, at, job }: UnsettledMinute): Promise<{ changes: number; rows: RestatedRow[] }> {
      const rowsOf = (arrayJoin: Sql) => sql`restatement FINAL ${arrayJoin} WHERE minute = toDateTime(${minute}, 'UTC')
        AND at = fromUnixTimestamp64Milli(${at}, 'UTC') AND job = ${job}`;
      const changes = await countOf(clickhouse, sql`${rowsOf(noSql)} AND notEmpty(rows)`);
      const rows = await readRows(
        clickhouse,
        Restated,
        statement`SELECT toUnixTimestamp(r.minute) AS minute, r.ad_id AS ad_id, r.country AS country, r.partition AS partition,
           toString(r.version) AS version, r.clicks AS clicks, r.duplicates AS duplicates, r.late AS late,
           r.rules AS rules, r.invalid AS invalid, r.invalid_by AS invalid_by
         FROM (SELECT ${restatedColumns}, ${restatedReasons} FROM ${rowsOf(restatedJoin)}) AS r
         ${settingsOf(0, timeoutMs)}`,
      );
      return { changes, rows };
    },
  };
}

/** Which rows of each table are copied into the log. */
const formerOf = {
  replay_job: sql`state IN ('queued', 'running')`,
  stored_filter: sql`1`,
  conservation_seal: sql`1`,
};

const timeoutMs = 60_000;

function countOf(clickhouse: Reader, rows: Sql): Promise<number> {
  const counted = statement`SELECT count() AS n FROM ${rows} ${settingsOf(1, timeoutMs)}`;
  return readNumber(clickhouse, 'a number of rows', counted);
}
