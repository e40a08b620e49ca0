/** Copies the topics of one consumer group into a ClickHouse node: rows are inserted first, offsets committed after. */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Corrupt, messageOf } from '../../infra/errors.ts';
import { type Admin, openAdmin } from '../../infra/kafka/admin.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import {
  type FetchedBatch,
  type GroupConsumer,
  type GroupConsumerOptions,
  openGroupConsumer,
} from '../../infra/kafka/group-consumer.ts';
import type { RecordContract } from '../../infra/kafka/record-contract.ts';
import { watchStalls } from '../../infra/kafka/stall-watch.ts';
import type { Logger } from '../../infra/log.ts';
import type { FollowedErasures } from '../../ingest/privacy/follow-erasures.ts';
import type { SinkConfig } from '../config.ts';
import { BatchInserter, type BatchInserterOptions } from './batch-inserter.ts';
import { HaltedPartitions, type TopicPartition } from './halted-partitions.ts';
import { type Begin, beginsOf, heldSince } from './held-offsets.ts';
import { KnownRecords } from './known-records.ts';
import { halted, position } from './metrics.ts';
import type { SinkNode } from './node.ts';
import { OutdatedRows } from './retrying-insert.ts';
import { SinkPositions } from './sink-positions.ts';
import type { TableRows } from './table-rows.ts';

export interface LegOptions {
  readonly group: string;
  readonly topics: readonly string[];
  readonly isolation: 'read_committed' | 'read_uncommitted';
  /** The kinds and formats of the topics that this release can read. */
  readonly contract: RecordContract;
  /** Is called with known records only. */
  rowsOf(batch: FetchedBatch): TableRows;
  readonly intervalMs: number;
  /** Returns whether the node reads a partition. The default is the partitions whose clicks the node's shard holds. */
  readonly reads?: (partition: number) => boolean;
  onRefused: BatchInserterOptions['onRefused'];
}

export interface LegDeps {
  readonly kafka: KafkaClient;
  readonly clickhouse: ClickHouse;
  readonly node: SinkNode;
  readonly config: SinkConfig;
  readonly erasures: Pick<FollowedErasures, 'book' | 'check'>;
  readonly log: Logger;
  /** Is called when the leg cannot continue. The process must end and be started again. */
  readonly onCrash: (error: Error) => void;
}

export interface Leg extends AsyncDisposable {
  /** Throws unless rows are going in. */
  check(): void;
}

export async function openLeg(deps: LegDeps, options: LegOptions): Promise<Leg> {
  const { group, topics, isolation, intervalMs, onRefused } = options;
  const { kafka, clickhouse, node, config, erasures, log } = deps;
  const link: Link = {};
  const commits = createCommits(node, link);
  const inserter = new BatchInserter({
    clickhouse,
    node: node.name,
    log,
    erasures,
    lingerMs: config.SINK_LINGER_MS,
    maxBatchBytes: config.SINK_MAX_BATCH_BYTES,
    intervalMs,
    onRefused,
    commit: commits.commit,
  });
  await using opening = new AsyncDisposableStack();
  const admin = opening.use(await openAdmin(kafka));
  const reader = createReader(deps, options, { admin, link, commits, inserter });
  const consumer = await openGroupConsumer(kafka, {
    group,
    topics,
    isolation,
    sessionTimeoutMs: config.SINK_SESSION_TIMEOUT_MS,
    maxWaitMs: 250,
    minBytes: 1,
    maxBytes: config.SINK_MAX_BATCH_BYTES,
    // A fetch and an insert should contain several partitions.
    maxBytesPerPartition: config.SINK_MAX_BATCH_BYTES >> 2,
    concurrency: mostBatchesAtOnce,
    // Rows wait for their insert, even beyond a rebalance.
    keepsRecords: true,
    log,
    onOpen: opened => {
      link.consumer = opened;
    },
    ...reader.handlers,
  });
  const watch = watchStalls({
    group,
    log,
    readings: reader.readings,
    onStall: what => deps.onCrash(new Error(`${group} stalled: ${what}`)),
  });
  opening.defer(async () => {
    reader.close();
    const left = consumer[Symbol.asyncDispose]();
    // An insert into a node that is away would otherwise delay this forever.
    inserter.close();
    await left;
  });
  opening.use(watch);
  const opened = opening.move();
  return { check: reader.check, [Symbol.asyncDispose]: () => opened[Symbol.asyncDispose]() };
}

/** Gets the consumer once it is open. The consumer needs its handlers first, and the handlers need the consumer. */
interface Link {
  consumer?: GroupConsumer;
}

type Commits = ReturnType<typeof createCommits>;

/** Commits offsets. The metadata of each commit contains the offset from which on the node holds everything. */
function createCommits(node: SinkNode, link: Link) {
  const heldFrom = new Map<string, number>();
  return {
    holdsFrom(topic: string, partition: number, from: number): void {
      heldFrom.set(`${topic}[${partition}]`, from);
    },

    /**
     * Offsets after records without clicks are committed too. Otherwise a partition that ends in a transaction's marker
     * would show a lag forever.
     */
    async commit(topic: string, nextOffsets: ReadonlyMap<number, number>): Promise<void> {
      await link.consumer?.commit(
        topic,
        new Map(
          [...nextOffsets].map(([partition, offset]) => {
            const metadata = heldSince(node.incarnation, heldFrom.get(`${topic}[${partition}]`) ?? 0);
            return [partition, { offset, metadata }];
          }),
        ),
      );
      for (const [partition, offset] of nextOffsets)
        position.set({ node: node.name, topic, partition: String(partition) }, offset);
    },
  };
}

interface ReaderParts {
  readonly admin: Admin;
  readonly link: Link;
  readonly commits: Commits;
  readonly inserter: BatchInserter;
}

/**
 * Reads the assigned partitions, and halts in those that it cannot read further.
 *
 * Long because it is one state machine: what is assigned, where reading may begin, and which partitions are halted
 * decide together what the consumer does with each batch and gap.
 */
function createReader(deps: LegDeps, options: LegOptions, { admin, link, commits, inserter }: ReaderParts) {
  const { node, log } = deps;
  const { group, isolation, contract, rowsOf, reads = node.holds } = options;
  let joined = false;
  let haltedBy: string | undefined;
  const halts = new HaltedPartitions(group);
  const positions = new SinkPositions();
  /** The last assignment of this member. */
  let current: ReadonlyMap<string, readonly number[]> | undefined;
  const begin = (begins: readonly Begin[]) => {
    for (const { topic, partition, seek, from } of begins) {
      commits.holdsFrom(topic, partition, from);
      if (seek !== undefined) link.consumer?.seek(topic, partition, seek);
      if (!halts.has({ topic, partition })) link.consumer?.resume(topic, partition);
    }
  };
  const halt = ({ topic, partition }: TopicPartition, error: Corrupt) => {
    // Another member may own the partition by now.
    if (!halts.halt({ topic, partition }, error)) return;
    log.error({ topic, partition, why: error.message }, 'partition halted: nothing more of it is stored');
    positions.leave(topic, partition);
    try {
      link.consumer?.pause(topic, partition);
    } catch (why) {
      // It is no member of its group now. It halts again once partitions are assigned, and drops what arrives until
      // then.
      log.debug({ topic, partition, why: messageOf(why) }, 'not paused');
    }
  };
  const handlers: Pick<GroupConsumerOptions, 'onAssigned' | 'onBatch' | 'onGap' | 'onCrash'> = {
    onAssigned(all) {
      joined = true;
      // Nothing is fetched of what another shard holds. The rest is fetched once it is known where to begin.
      for (const [topic, partitions] of all) for (const p of partitions) link.consumer?.pause(topic, p);
      const assigned = new Map([...all].map(([topic, partitions]) => [topic, partitions.filter(reads)]));
      positions.assign(assigned);
      for (const place of halts.assign(assigned)) positions.leave(place.topic, place.partition);
      current = assigned;
      void untilKnown(
        () => beginsOf(admin, group, assigned, node.incarnation).then(begins => current === assigned && begin(begins)),
        () => current === assigned,
        why => log.warn({ group, why }, 'it is not known yet where to begin'),
      );
    },
    async onBatch(batch) {
      if (!reads(batch.partition) || halts.has(batch)) return;
      try {
        const known = new KnownRecords(batch, contract);
        await untilCurrent(async () => {
          // First the rows: what of the batch is known is not known before.
          const rows = rowsOf({ ...batch, records: known });
          await inserter.insert(known.batch, rows);
        });
        positions.passed(batch.topic, batch.partition, known.batch.nextOffset);
        if (known.endedBy) halt(batch, known.endedBy);
      } catch (error) {
        if (!(error instanceof Corrupt)) throw error;
        halt(batch, error);
      }
    },
    onGap(topic, partition, _first, next) {
      if (!reads(partition) || halts.has({ topic, partition })) return;
      positions.passed(topic, partition, next);
      commits
        .commit(topic, new Map([[partition, next]]))
        .catch(error => log.warn({ topic, why: messageOf(error) }, 'offsets not committed'));
    },
    onCrash(error) {
      if (!(error instanceof Corrupt)) return deps.onCrash(error);
      haltedBy = error.message;
      halted.set({ group }, 1);
      log.error({ why: haltedBy }, 'sink halted: a person has to decide');
    },
  };
  // A slow insert is not treated as a stall.
  const isAtWork = () => inserter.failing !== undefined || between(inserter.insertingForMs, 1, longestInsertMs);
  return {
    handlers,
    readings: async () =>
      haltedBy === undefined && !isAtWork() ? await positions.readings(admin, group, isolation) : undefined,
    check(): void {
      const why = haltedBy ?? halts.why;
      if (why !== undefined) throw new Error(`${group}: ${why}`);
      if (!joined) throw new Error(`${group}: no partitions assigned yet`);
      if (inserter.failing !== undefined) throw new Error(`${group}: ${inserter.failing}`);
    },
    /** Reading does not begin any more where it has not begun. */
    close(): void {
      current = undefined;
    },
  };
}

/** Makes rows again that were made before an erasure became known. */
async function untilCurrent(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof OutdatedRows)) throw error;
    }
  }
}

/** The number of partitions may grow. At most this many are processed at once. */
const mostBatchesAtOnce = 256;
/** Longer than the timeout of any request to a ClickHouse server. */
const longestInsertMs = 180_000;

const beginPauseMs = 500;

/** Repeats the work until it succeeds, or until it is not wanted any more. */
async function untilKnown(
  work: () => Promise<unknown>,
  isWanted: () => boolean,
  onFailure: (why: string) => void,
): Promise<void> {
  while (isWanted()) {
    try {
      await work();
      return;
    } catch (error) {
      if (isWanted()) onFailure(messageOf(error));
      await new Promise(resolve => setTimeout(resolve, beginPauseMs));
    }
  }
}

function between(value: number, from: number, to: number): boolean {
  return value >= from && value < to;
}
