/**
 * Copies the topics into a ClickHouse node: `clicks` into click_raw, `aggregates` and `quarantine` into their tables,
 * and the records of jobs and people into theirs. Nothing else inserts (infra/decisions/025).
 */
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { Names } from '../../infra/topics.ts';
import { clickContract } from '../../ingest/click-records.ts';
import { aggregateRows, rowContract } from './aggregate-rows.ts';
import { rawRows } from './raw-rows.ts';
import { insertAllButRefused, insertWhole } from './refused-rows.ts';
import { resultContract, resultRows } from './result-rows.ts';
import { type Leg, type LegDeps, type LegOptions, openLeg } from './sink-leg.ts';

export interface SinkDeps extends LegDeps {
  readonly names: Names;
  /** Closes what has joined while the sink is still joining its other groups. Once it is open, it is closed by its owner. */
  readonly signal: AbortSignal;
}

export type Sink = Leg;

export async function openSink(deps: SinkDeps): Promise<Sink> {
  const { log, signal } = deps;
  await using opening = new AsyncDisposableStack();
  const legs: Sink[] = [];
  // A leg that has joined inserts, however long the next one takes to join.
  const closeJoined = () => {
    opening
      .disposeAsync()
      .catch(error => log.warn({ why: messageOf(error) }, 'a leg of the sink did not close in order'));
  };
  signal.addEventListener('abort', closeJoined);
  // It may be tried again for days, with the same signal.
  opening.defer(() => signal.removeEventListener('abort', closeJoined));
  for (const options of legsOf(deps)) {
    const leg = await openLeg(deps, options);
    if (signal.aborted) {
      await leg[Symbol.asyncDispose]();
      throw new Retryable('the sink was stopped before it had joined all groups');
    }
    legs.push(opening.use(leg));
  }
  const opened = opening.move();
  return {
    check() {
      for (const leg of legs) leg.check();
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}

/** What is copied, by which group, into which tables. */
function legsOf({ names, clickhouse, log, node, config, erasures }: SinkDeps): readonly LegOptions[] {
  const { book } = erasures;
  const rawLeg: LegOptions = {
    group: names.groupAt(names.rawSinkGroup, node.inGroups),
    topics: [names.topic('clicks')],
    isolation: 'read_uncommitted',
    contract: clickContract,
    rowsOf: ({ partition, records }) => new Map([['click_raw', rawRows(partition, records, book)]]),
    intervalMs: config.SINK_RAW_INTERVAL_MS,
    onRefused: batch => insertAllButRefused(clickhouse, batch, book, log),
  };
  const countedRowsOf = (batch: FetchedBatch) => aggregateRows(batch, book);
  const aggregateLeg: LegOptions = {
    group: names.groupAt(names.aggregateSinkGroup, node.inGroups),
    topics: [names.topic('aggregates'), names.topic('quarantine')],
    isolation: 'read_committed',
    contract: rowContract,
    rowsOf: countedRowsOf,
    // People wait for these counts.
    intervalMs: 0,
    onRefused: batch => insertWhole(clickhouse, batch, countedRowsOf),
  };
  const resultRowsOf = (batch: FetchedBatch) => resultRows(batch, node.holds);
  const resultLeg: LegOptions = {
    group: names.groupAt(names.resultSinkGroup, node.inGroups),
    topics: (['job-results', 'job-requests', 'seals', 'filters', 'write-offs', 'audit'] as const).map(names.topic),
    isolation: 'read_committed',
    contract: resultContract,
    rowsOf: resultRowsOf,
    // Each of these topics is one log for all shards. A node takes the counts of its own shard from it.
    reads: () => true,
    // The person who wrote the record waits to see it.
    intervalMs: 0,
    onRefused: batch => insertWhole(clickhouse, batch, resultRowsOf),
  };
  return [rawLeg, aggregateLeg, resultLeg];
}
