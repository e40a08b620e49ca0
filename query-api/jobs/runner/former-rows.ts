/**
 * Brings rows into the log that an older release, or a person, has inserted into ClickHouse directly. Otherwise a node
 * that is filled from the log would lack them.
 *
 * Such rows are recognized by their content: `logged` is 0, or a recount is visible but not settled. So this may run
 * any number of times, also after the older release has run again in between. When no such row is left, it does
 * nothing. Every row keeps its version, so rows that were written into the log since then win over it.
 *
 * Only state is brought over: stored filters, seals, written-off differences, open jobs, and rows that a recount has
 * made visible but not copied yet. The history of jobs and restatements stays where it is, and so do counts that are
 * older than the log.
 */
import type { RestatedRow } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import type { JobLog } from '../../log/job-log.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
import { type FormerTable, formerRowsOf, unsettledMinutesOf } from '../../store/jobs/former-rows.ts';

export interface FormerRowsDeps {
  readonly clickhouse: Pick<ClickHouse, 'query'>;
  readonly jobLog: JobLog;
  readonly requests: RequestLog;
  readonly log: Logger;
  readonly pageRows?: number;
}

/** Resolves once ClickHouse shows all these rows as rows from the log. @throws Fenced, Retryable */
export async function takeOverFormerRows(deps: FormerRowsDeps): Promise<void> {
  const { jobLog, requests } = deps;
  await settle(deps);
  await takeOver('replay_job', deps, rows => jobLog.write([{ kind: 'job', rows }]));
  await takeOver('stored_filter', deps, rows => requests.append('former-filter', rows));
  await takeOver('conservation_seal', deps, rows => jobLog.write([{ kind: 'seal', rows }]));
}

async function takeOver(
  table: FormerTable,
  { clickhouse, log, pageRows = 20_000 }: FormerRowsDeps,
  write: (rows: readonly object[]) => Promise<void>,
): Promise<void> {
  const { left, page } = formerRowsOf(clickhouse, table);
  for (let before = await left(); before > 0; before = await left()) {
    const rows = await page(pageRows);
    await write(rows);
    await untilVisible(`the former content of ${table}`, patience, async () => (await left()) <= before - rows.length);
    log.info({ table, rows: rows.length }, 'former rows are in the log now');
  }
}

/**
 * Copies the rows of visible recounts into `ad_minute`. A job compares with that table, and would otherwise find the
 * same changes a second time. @throws Retryable when some changes are not in ClickHouse yet, for example because a
 * replica lags
 */
async function settle({ clickhouse, jobLog, log }: FormerRowsDeps): Promise<void> {
  const unsettled = unsettledMinutesOf(clickhouse);
  for (;;) {
    const minutes = await unsettled.first(minutesAtOnce);
    if (minutes.length === 0) return;
    const rows: RestatedRow[] = [];
    let found = 0;
    // One minute at a time, because a minute may have a row for each of two million ads.
    for (const minute of minutes) {
      const told = await unsettled.told(minute);
      found += told.changes;
      for (const row of told.rows) rows.push(row);
    }
    const expected = minutes.reduce((sum, { cells }) => sum + cells, 0);
    if (found !== expected)
      throw new Retryable(`${expected} changes are visible, but ${found} of them are in table restatement`);
    await jobLog.write([
      { kind: 'ad-minute', rows },
      { kind: 'settled-minute', rows: minutes.map(minute => ({ ...minute, settled: 1 })) },
    ]);
    const left = () => unsettled.between(minutes[0]?.minute ?? 0, minutes.at(-1)?.minute ?? 0);
    const before = await left();
    await untilVisible('a restatement', patience, async () => {
      const now = await left();
      return now === 0 || now <= before - minutes.length;
    });
    log.info({ minutes: minutes.length }, 'former restatements are in the counts now');
  }
}

const minutesAtOnce = 20;
const patience = { withinMs: 20_000 };
