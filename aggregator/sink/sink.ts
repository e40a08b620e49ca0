/** Copies the topics into ClickHouse: `clicks` into click_raw, `aggregates` and `quarantine` into their tables. */
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { Corrupt, messageOf } from '../../infra/errors.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { type FetchedBatch, type GroupConsumer, openGroupConsumer } from '../../infra/kafka/group-consumer.ts';
import { watchStalls } from '../../infra/kafka/stall-watch.ts';
import type { Logger } from '../../infra/log.ts';
import type { Names } from '../../infra/topics.ts';
import type { SinkConfig } from '../config.ts';
import { aggregateRows } from './aggregate-rows.ts';
import { type BatchInserter, createBatchInserter, type TableRows } from './batch-inserter.ts';
import { halted, position, unknownRecords } from './metrics.ts';
import { rawRows } from './raw-rows.ts';
import { insertAllButRefused } from './refused-rows.ts';
import { SinkPositions } from './sink-positions.ts';

export interface SinkDeps {
  readonly kafka: KafkaClient;
  readonly clickhouse: ClickHouse;
  readonly names: Names;
  readonly config: SinkConfig;
  readonly log: Logger;
  /** The sink cannot go on: the process is to end and be started again. */
  readonly onCrash: (error: Error) => void;
}

export interface Sink extends AsyncDisposable {
  /** Throws unless rows are going in. */
  check(): void;
}

export async function openSink(deps: SinkDeps): Promise<Sink> {
  const { names, clickhouse, log } = deps;
  await using opening = new AsyncDisposableStack();
  const raw = await openLeg(deps, {
    group: names.rawSinkGroup,
    topics: [names.topic('clicks')],
    isolation: 'read_uncommitted',
    rowsOf: ({ partition, records }) => new Map([['click_raw', rawRows(partition, records)]]),
    intervalMs: deps.config.SINK_RAW_INTERVAL_MS,
    onRefused: batch => insertAllButRefused(clickhouse, batch, log),
  });
  opening.use(raw);
  const aggregates = await openLeg(deps, {
    group: names.aggregateSinkGroup,
    topics: [names.topic('aggregates'), names.topic('quarantine')],
    isolation: 'read_committed',
    rowsOf({ topic, records }) {
      const { rows, unknown } = aggregateRows(records);
      if (unknown > 0) log.error({ topic, unknown }, 'records of no known kind passed over');
      unknownRecords.inc(unknown);
      return rows;
    },
    // People wait to see counts.
    intervalMs: 0,
    // Rows that only the aggregator writes: to leave one out would be a wrong count.
    onRefused: (_batch, error) => Promise.reject(error),
  });
  opening.use(aggregates);
  const legs = opening.move();
  return {
    check() {
      for (const leg of [raw, aggregates]) leg.check();
    },
    [Symbol.asyncDispose]: () => legs[Symbol.asyncDispose](),
  };
}

/** Partitions may become more. At most these come in at a time. */
const mostBatchesAtOnce = 256;
/** Longer than any answer of a ClickHouse server is waited for. */
const longestInsertMs = 180_000;

function between(value: number, from: number, to: number): boolean {
  return value >= from && value < to;
}

interface LegOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly isolation: 'read_committed' | 'read_uncommitted';
  rowsOf(batch: FetchedBatch): TableRows;
  readonly intervalMs: number;
  onRefused: Parameters<typeof createBatchInserter>[0]['onRefused'];
}

async function openLeg(deps: SinkDeps, options: LegOptions): Promise<Sink> {
  const { group, topics, isolation, rowsOf, intervalMs, onRefused } = options;
  const { kafka, clickhouse, config, log } = deps;
  const link: { consumer?: GroupConsumer } = {};
  // Also behind what holds no records, or a partition that ends in a transaction's marker would show a lag for ever.
  const commit = async (topic: string, nextOffsets: ReadonlyMap<number, number>) => {
    await link.consumer?.commit(
      topic,
      new Map([...nextOffsets].map(([partition, offset]) => [partition, { offset, metadata: '' }])),
    );
    for (const [partition, offset] of nextOffsets) position.set({ topic, partition: String(partition) }, offset);
  };
  const inserter: BatchInserter = createBatchInserter({
    clickhouse,
    log,
    lingerMs: config.SINK_LINGER_MS,
    maxBatchBytes: config.SINK_MAX_BATCH_BYTES,
    intervalMs,
    onRefused,
    commit,
  });
  let joined = false;
  let haltedBy: string | undefined;
  halted.set({ group }, 0);
  const positions = new SinkPositions();
  await using opening = new AsyncDisposableStack();
  const admin = opening.use(await openAdmin(kafka));
  const consumer = await openGroupConsumer(kafka, {
    group,
    topics,
    isolation,
    sessionTimeoutMs: config.SINK_SESSION_TIMEOUT_MS,
    maxWaitMs: 250,
    minBytes: 1,
    maxBytes: config.SINK_MAX_BATCH_BYTES,
    // So that what one fetch brings, and one insert takes, is of several partitions.
    maxBytesPerPartition: config.SINK_MAX_BATCH_BYTES >> 2,
    concurrency: mostBatchesAtOnce,
    // Rows wait for their insert, beyond a rebalance too.
    keepsRecords: true,
    log,
    onOpen: opened => {
      link.consumer = opened;
    },
    onAssigned(assigned) {
      joined = true;
      positions.assign(assigned);
    },
    async onBatch(batch) {
      await inserter.insert(batch, rowsOf(batch));
      positions.passed(batch.topic, batch.partition, batch.nextOffset);
    },
    onGap(topic, partition, _first, next) {
      positions.passed(topic, partition, next);
      commit(topic, new Map([[partition, next]])).catch(error =>
        log.warn({ topic, why: messageOf(error) }, 'offsets not committed'),
      );
    },
    onCrash(error) {
      if (!(error instanceof Corrupt)) return deps.onCrash(error);
      haltedBy = error.message;
      halted.set({ group }, 1);
      log.error({ why: haltedBy }, 'sink halted: a person has to decide');
    },
  });
  // An insert that takes long is none that hangs, as far as can be told.
  const isAtWork = () => inserter.failing !== undefined || between(inserter.insertingForMs, 1, longestInsertMs);
  const watch = watchStalls({
    log,
    readings: async () => (haltedBy === undefined && !isAtWork() ? await positions.readings(admin, group) : undefined),
    onStall: what => deps.onCrash(new Error(`${group} stalled: ${what}`)),
  });
  opening.use(consumer);
  opening.use(watch);
  const opened = opening.move();
  return {
    check() {
      if (haltedBy !== undefined) throw new Error(haltedBy);
      if (!joined) throw new Error(`${group}: no partitions assigned yet`);
      if (inserter.failing !== undefined) throw new Error(`${group}: ${inserter.failing}`);
    },
    [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose](),
  };
}
