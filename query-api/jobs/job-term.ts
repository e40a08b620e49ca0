/**
 * Begins a term of office: once ClickHouse shows its row, it shows all that any runner before has committed. What was read
 * before must not be written by (infra/decisions/025).
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { JobRunnerRow } from '../../aggregator/job-records.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { settingsOf } from '../read-settings.ts';
import { type Patience, untilVisible } from '../until-visible.ts';
import type { JobLog } from './job-log.ts';

/** @throws Fenced, Retryable */
export async function beginTerm(
  jobLog: JobLog,
  clickhouse: Pick<ClickHouse, 'query'>,
  now: () => number,
  patience: Patience = { withinMs: 20_000 },
): Promise<void> {
  const row: JobRunnerRow = { since: now(), instance: randomUUID(), host: hostname() };
  await jobLog.write([{ kind: 'job-runner', rows: [row] }]);
  await untilVisible('the term of office', patience, async () => {
    const found = await clickhouse.query(
      `SELECT instance FROM job_runner WHERE instance = {instance:String} LIMIT 1 ${settingsOf(1, timeoutMs)}`,
      { instance: row.instance },
    );
    return found.length > 0;
  });
}

const timeoutMs = 5_000;
