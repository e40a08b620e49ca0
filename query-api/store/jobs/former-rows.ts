/** Rows that did not come out of the log: those of a release before, and restatements whose rows are not in the counts yet. */
import type { RestatedRow } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { named, noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { restatedColumns } from '../sql/stated-rows.ts';

export type FormerTable = keyof typeof formerOf;

/** Of a table: those that are not in the log. */
export function formerRowsOf(clickhouse: Pick<ClickHouse, 'query'>, table: FormerTable) {
  const former = sql`${named(table)} FINAL WHERE logged = 0 AND ${formerOf[table]}`;
  return {
    left: () => countOf(clickhouse, former),
    /** As they are to stand in the log. */
    page: (limit: number): Promise<object[]> =>
      clickhouse.query(
        ...statement`SELECT * REPLACE (1 AS logged) FROM (SELECT * FROM ${former} LIMIT ${limit}) ${settingsOf(0, timeoutMs)}`,
      ),
  };
}

/** Epoch seconds, and epoch ms for `at`. */
export interface UnsettledMinute {
  readonly minute: number;
  readonly at: number;
  readonly job: string;
  readonly cells: number;
  readonly read_until: Readonly<Record<string, number>>;
}

/** Minutes of which restatements are visible whose rows are not in `ad_minute`. */
export function unsettledMinutesOf(clickhouse: Pick<ClickHouse, 'query'>) {
  return {
    /** The oldest. */
    first: (limit: number): Promise<UnsettledMinute[]> =>
      clickhouse.query(
        ...statement`SELECT toUnixTimestamp(m.minute) AS minute, toUnixTimestamp64Milli(m.at) AS at, m.job AS job, m.cells AS cells,
           m.read_until AS read_until
         FROM (SELECT * FROM recounted_minute FINAL WHERE settled = 0 ORDER BY minute, at, job LIMIT ${limit}) AS m
         ${settingsOf(limit, timeoutMs)}`,
      ),

    /** Epoch seconds, both inclusive. */
    between: (first: number, last: number): Promise<number> =>
      countOf(
        clickhouse,
        sql`recounted_minute FINAL WHERE settled = 0 AND minute >= toDateTime(${first}, 'UTC')
         AND minute <= toDateTime(${last}, 'UTC')`,
      ),

    /** What its restatement has said: how many changes, and the rows that replace those of `ad_minute`. */
    async told({ minute, at, job }: UnsettledMinute): Promise<{ changes: number; rows: RestatedRow[] }> {
      const rowsOf = (arrayJoin: Sql) => sql`restatement FINAL ${arrayJoin} WHERE minute = toDateTime(${minute}, 'UTC')
        AND at = fromUnixTimestamp64Milli(${at}, 'UTC') AND job = ${job}`;
      const changes = await countOf(clickhouse, sql`${rowsOf(noSql)} AND notEmpty(rows)`);
      const rows = await clickhouse.query<RestatedRow>(
        ...statement`SELECT toUnixTimestamp(r.minute) AS minute, r.ad_id AS ad_id, r.country AS country, r.partition AS partition,
           toString(r.version) AS version, r.clicks AS clicks, r.duplicates AS duplicates, r.late AS late
         FROM (SELECT ${restatedColumns} FROM ${rowsOf(sql`ARRAY JOIN rows AS restated`)}) AS r
         ${settingsOf(0, timeoutMs)}`,
      );
      return { changes, rows };
    },
  };
}

/** Which of a table's rows are taken over. */
const formerOf = {
  replay_job: sql`state IN ('queued', 'running')`,
  stored_filter: sql`1`,
  conservation_seal: sql`1`,
};

const timeoutMs = 60_000;

async function countOf(clickhouse: Pick<ClickHouse, 'query'>, rows: Sql): Promise<number> {
  const [row] = await clickhouse.query<{ n: number }>(
    ...statement`SELECT count() AS n FROM ${rows} ${settingsOf(1, timeoutMs)}`,
  );
  return row?.n ?? 0;
}
