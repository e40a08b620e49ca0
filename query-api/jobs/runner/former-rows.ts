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

/** Resolves once ClickHouse shows all of it as it came out of the log. @throws Fenced, Retryable */
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
    await untilVisible(`what was in ${table}`, patience, async () => (await left()) <= before - rows.length);
    log.info({ table, rows: rows.length }, 'rows of before are in the log now');
  }
}

/**
 * Whoever begins a job compares with `ad_minute`: what is visible and not there would be found once more.
 * @throws Retryable where rows that were told are not there (yet): a replica may lag
 */
async function settle({ clickhouse, jobLog, log }: FormerRowsDeps): Promise<void> {
  const unsettled = unsettledMinutesOf(clickhouse);
  for (;;) {
    const minutes = await unsettled.first(minutesAtOnce);
    if (minutes.length === 0) return;
    const rows: RestatedRow[] = [];
    let found = 0;
    // One by one: a minute may have a row for each of two million ads.
    for (const minute of minutes) {
      const told = await unsettled.told(minute);
      found += told.changes;
      for (const row of told.rows) rows.push(row);
    }
    const expected = minutes.reduce((sum, { cells }) => sum + cells, 0);
    if (found !== expected)
      throw new Retryable(`${expected} changes are visible, ${found} of them are in table restatement`);
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
    log.info({ minutes: minutes.length }, 'restatements of before are in the counts now');
  }
}

const minutesAtOnce = 20;
const patience = { withinMs: 20_000 };
