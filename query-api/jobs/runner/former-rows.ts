/**
 * What a release before has inserted into ClickHouse by itself, or a person by hand, is brought into the log: a node that is
 * filled from the log would lack it. It is found by its rows (`logged` = 0, or recounts that are visible and not settled), so
 * it may be called as often as one likes, also after the release before has run in between, and does nothing where nothing is
 * left. Every row keeps its version, and what has been said since outdoes it.
 *
 * Brought over is what is state: stored filters, seals and what was written off, jobs that are open, rows that a recount has
 * made visible and not copied yet. The history of jobs and restatements of before stays where it is, as do counts that are
 * older than the log.
 */
import type { RestatedRow } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { named, noSql, type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import type { JobLog } from '../../log/job-log.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
import { settingsOf } from '../../store/sql/read-settings.ts';
import { restatedColumns } from '../../store/sql/stated-rows.ts';

export interface FormerRowsDeps {
  readonly clickhouse: Pick<ClickHouse, 'query'>;
  readonly jobLog: JobLog;
  readonly requests: RequestLog;
  readonly log: Logger;
  readonly pageRows?: number;
}

/** Resolves once ClickHouse shows all of it as it came out of the log. @throws Fenced, Retryable */
export async function takeOverFormerRows(deps: FormerRowsDeps): Promise<void> {
  const { jobLog, requests } = deps;
  await settle(deps);
  await takeOver('replay_job', sql`state IN ('queued', 'running')`, deps, rows =>
    jobLog.write([{ kind: 'job', rows }]),
  );
  await takeOver('stored_filter', sql`1`, deps, rows => requests.append('former-filter', rows));
  await takeOver('conservation_seal', sql`1`, deps, rows => jobLog.write([{ kind: 'seal', rows }]));
}

async function takeOver(
  table: string,
  where: Sql,
  { clickhouse, log, pageRows = 20_000 }: FormerRowsDeps,
  write: (rows: readonly object[]) => Promise<void>,
): Promise<void> {
  const former = sql`${named(table)} FINAL WHERE logged = 0 AND ${where}`;
  const left = () => countOf(clickhouse, former);
  for (let before = await left(); before > 0; before = await left()) {
    const rows = await clickhouse.query<object>(
      ...statement`SELECT * REPLACE (1 AS logged) FROM (SELECT * FROM ${former} LIMIT ${pageRows}) ${settingsOf(0, timeoutMs)}`,
    );
    await write(rows);
    await untilVisible(`what was in ${table}`, patience, async () => (await left()) <= before - rows.length);
    log.info({ table, rows: rows.length }, 'rows of before are in the log now');
  }
}

/**
 * Whoever begins a job compares with `ad_minute`: what is visible and not there would be found once more.
 * @throws Retryable where rows that were told are not there (yet): a replica may lag
 */
async function settle({ clickhouse, jobLog, log }: FormerRowsDeps): Promise<void> {
  for (;;) {
    const minutes = await clickhouse.query<UnsettledMinute>(
      ...statement`SELECT toUnixTimestamp(m.minute) AS minute, toUnixTimestamp64Milli(m.at) AS at, m.job AS job, m.cells AS cells,
         m.read_until AS read_until
       FROM (SELECT * FROM recounted_minute FINAL WHERE settled = 0 ORDER BY minute, at, job LIMIT ${minutesAtOnce}) AS m
       ${settingsOf(minutesAtOnce, timeoutMs)}`,
    );
    if (minutes.length === 0) return;
    const keys = minutes.map(({ minute, at, job }) => [minute, at, job] as const);
    const rows: RestatedRow[] = [];
    let found = 0;
    // One by one: a minute may have a row for each of two million ads.
    for (const [minute, at, job] of keys) {
      const rowsOf = (arrayJoin: Sql) => sql`restatement FINAL ${arrayJoin} WHERE minute = toDateTime(${minute}, 'UTC')
        AND at = fromUnixTimestamp64Milli(${at}, 'UTC') AND job = ${job}`;
      found += await countOf(clickhouse, sql`${rowsOf(noSql)} AND notEmpty(rows)`);
      const restated = await clickhouse.query<RestatedRow>(
        ...statement`SELECT toUnixTimestamp(r.minute) AS minute, r.ad_id AS ad_id, r.country AS country, r.partition AS partition,
           toString(r.version) AS version, r.clicks AS clicks, r.duplicates AS duplicates, r.late AS late
         FROM (SELECT ${restatedColumns} FROM ${rowsOf(sql`ARRAY JOIN rows AS restated`)}) AS r
         ${settingsOf(0, timeoutMs)}`,
      );
      for (const row of restated) rows.push(row);
    }
    const expected = minutes.reduce((sum, { cells }) => sum + cells, 0);
    if (found !== expected)
      throw new Retryable(`${expected} changes are visible, ${found} of them are in table restatement`);
    await jobLog.write([
      { kind: 'ad-minute', rows },
      { kind: 'settled-minute', rows: minutes.map(minute => ({ ...minute, settled: 1 })) },
    ]);
    const unsettled = async (): Promise<number> => {
      const [first, last] = [keys[0]?.[0] ?? 0, keys.at(-1)?.[0] ?? 0];
      return await countOf(
        clickhouse,
        sql`recounted_minute FINAL WHERE settled = 0 AND minute >= toDateTime(${first}, 'UTC')
         AND minute <= toDateTime(${last}, 'UTC')`,
      );
    };
    const before = await unsettled();
    await untilVisible('a restatement', patience, async () => {
      const now = await unsettled();
      return now === 0 || now <= before - minutes.length;
    });
    log.info({ minutes: minutes.length }, 'restatements of before are in the counts now');
  }
}

interface UnsettledMinute {
  readonly minute: number;
  readonly at: number;
  readonly job: string;
  readonly cells: number;
  readonly read_until: Readonly<Record<string, number>>;
}

const minutesAtOnce = 20;
const timeoutMs = 60_000;
const patience = { withinMs: 20_000 };

async function countOf(clickhouse: Pick<ClickHouse, 'query'>, rows: Sql): Promise<number> {
  const [row] = await clickhouse.query<{ n: number }>(
    ...statement`SELECT count() AS n FROM ${rows} ${settingsOf(1, timeoutMs)}`,
  );
  return row?.n ?? 0;
}
