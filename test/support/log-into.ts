/**
 * The log, for tests that have a ClickHouse and no broker. That is honest, as nothing is written that the pipeline would not
 * write: the records are made by the code that makes them for the brokers, and their rows, with the order of insertion, by
 * the code of the sink; an insert that fails fails the test. Left out are the brokers: what is said is there at once and
 * whole, where a sink may cut it anywhere (test/simulation/restated-at-once.test.ts) and only what is committed arrives
 * (test/integration/job-log.test.ts).
 */

import type { CellChange, RestatementReason } from '../../aggregator/restatement.ts';
import { onlyNode } from '../../aggregator/sink/node.ts';
import { resultRows } from '../../aggregator/sink/result-rows.ts';
import { byForm } from '../../aggregator/sink/table-rows.ts';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import type { OutgoingRecord } from '../../infra/kafka/outgoing-record.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { createRestater } from '../../query-api/jobs/recount/apply-changes.ts';
import { createJobWriter, type JobWriter } from '../../query-api/jobs/writing/job-writer.ts';
import { type JobLog, jobLogOver } from '../../query-api/log/job-log.ts';
import { type RequestLog, requestLogOver } from '../../query-api/log/request-log.ts';
import { createJobStore, type JobStore } from '../../query-api/store/jobs/job-store.ts';

export interface TestLog {
  readonly jobLog: JobLog;
  readonly requests: RequestLog;
  /** Who runs the jobs is told of each request. */
  readonly whenAsked: (call: () => void) => AsyncDisposable;
}

export function logInto(clickhouse: Pick<ClickHouse, 'insert'>): TestLog {
  const names = namesOf('');
  const offsets = new Map<string, number>();
  const insert = async (topic: string, outgoing: readonly OutgoingRecord[]) => {
    const records = outgoing.map((record): LogRecord => {
      const offset = offsets.get(topic) ?? 0;
      offsets.set(topic, offset + 1);
      return logRecordOf(record, offset);
    });
    for (const [table, pieces, columns] of resultRows({ topic, partition: 0, records }, onlyNode.holds)) {
      for (const rows of byForm(pieces)) await clickhouse.insert(table, Buffer.concat(rows), columns);
    }
  };
  const dispose = async () => undefined;
  const askedFor = new Set<() => void>();
  return {
    jobLog: jobLogOver(
      {
        async commit({ sends }) {
          const topics = Map.groupBy(sends, ({ topic }) => topic);
          for (const [topic, of] of topics)
            await insert(
              topic,
              of.flatMap(({ records }) => records),
            );
        },
        [Symbol.asyncDispose]: dispose,
      },
      names,
    ),
    requests: requestLogOver(
      {
        async send(topic, records) {
          await insert(topic, records);
          for (const call of askedFor) call();
        },
        [Symbol.asyncDispose]: dispose,
      },
      names,
    ),
    whenAsked(call) {
      askedFor.add(call);
      return { [Symbol.asyncDispose]: async () => void askedFor.delete(call) };
    },
  };
}

/** A record as whoever reads the log has it. */
export function logRecordOf({ value, headers }: OutgoingRecord, offset: number): LogRecord {
  return { offset, timestamp: 0, value: value === null ? null : Buffer.from(value), headers: headers ?? {} };
}

/** The tables of jobs, to be read, and written as who runs the jobs writes. */
export function jobsIn(clickhouse: ClickHouse, timeoutMs = 9_000): JobStore & JobWriter {
  return { ...createJobStore(clickhouse, { timeoutMs }), ...createJobWriter(logInto(clickhouse).jobLog, clickhouse) };
}

export interface Restating {
  readonly job: string;
  readonly reason: RestatementReason;
  /** Epoch ms. */
  readonly at: number;
}

/** Of a change in a cell that no rules were applied to. */
export const noneInvalid = {
  ...{ before_invalid: 0, before_invalid_by: {}, before_rules: 0, stated_judged: [] },
  ...{ after_invalid: 0, after_invalid_by: {}, after_rules: 0, rows_judged: [] },
} as const satisfies Partial<CellChange>;

/** As a job makes changes visible, all at once. */
export async function restateIn(
  clickhouse: ClickHouse,
  changes: readonly CellChange[],
  { at, ...restating }: Restating,
): Promise<void> {
  const restater = createRestater({ ...restating, readUntil: new Map(), now: () => at });
  restater.stage(changes, []);
  await logInto(clickhouse).jobLog.write(restater.take());
}
