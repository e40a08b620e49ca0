/**
 * The log of the one process that has the jobs: opened when something is first written, and anew after a failure. Two such
 * processes would fence each other in turn.
 */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import type { Names } from '../../infra/topics.ts';
import { type JobLog, openJobLog } from './job-log.ts';
import { beginTerm } from './job-term.ts';

export interface ReopenedJobLogDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly clickhouse: Pick<ClickHouse, 'query'>;
  readonly now: () => number;
}

export function reopenedJobLog({ kafka, names, clickhouse, now }: ReopenedJobLogDeps): JobLog {
  let term: Promise<JobLog> | undefined;
  const begin = async () => {
    const opened = await openJobLog(kafka, names);
    try {
      await beginTerm(opened, clickhouse, now);
    } catch (error) {
      await opened[Symbol.asyncDispose]();
      throw error;
    }
    return opened;
  };
  const end = async (ended: Promise<JobLog> | undefined) => {
    if (term === ended) term = undefined;
    await ended?.then(
      opened => opened[Symbol.asyncDispose](),
      () => undefined,
    );
  };
  return {
    async write(entries) {
      term ??= begin();
      const current = term;
      try {
        await (await current).write(entries);
      } catch (error) {
        await end(current);
        throw error;
      }
    },
    [Symbol.asyncDispose]: () => end(term),
  };
}
