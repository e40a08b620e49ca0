/**
 * The tasks of one aggregator process: as a member of the consumer group it is assigned partitions, and runs one task
 * for each. The assignment only shares out the work; that two owners can never both write rests on the tasks' fences.
 */
import { Retryable } from '../infra/errors.ts';
import { type Admin, openAdmin } from '../infra/kafka/admin.ts';
import type { KafkaClient } from '../infra/kafka/client.ts';
import { type GroupConsumer, openGroupConsumer } from '../infra/kafka/group-consumer.ts';
import { createProducer, type Producer } from '../infra/kafka/producer.ts';
import { watchStalls } from '../infra/kafka/stall-watch.ts';
import { openTransactionalProducer } from '../infra/kafka/transactional-producer.ts';
import type { Logger } from '../infra/log.ts';
import type { Names } from '../infra/topics.ts';
import { clickHeaders } from '../ingest/click-records.ts';
import type { AggregatorConfig } from './config.ts';
import { withTracesTold } from './record-traces.ts';
import { PartitionTask } from './task.ts';
import type { TaskPorts, TaskWriter } from './task-ports.ts';

export interface TaskGroupDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly config: AggregatorConfig;
  /** Over how many clicks up to an event time may be spread (ingest/hot-ads/partition-record.ts). */
  readonly partitionsAt: (eventTime: number) => number;
  /** 32 random bits (core/id-hash.ts). */
  readonly hashSeed: number;
  readonly log: Logger;
  /** The group cannot go on: the process is to end and be started again. */
  readonly onCrash: (error: Error) => void;
}

export interface TaskGroup extends AsyncDisposable {
  /** Rejects unless every assigned partition is being counted. */
  check(): void;
}

const timerMs = 25;
/** Each fetch costs the same, however little it brings: under load there are few, and at rest a click waits this long. */
const maxWaitMs = 100;
const minBytes = 64 << 10;
const mostBatchesAtOnce = 64;

export async function openTaskGroup(deps: TaskGroupDeps): Promise<TaskGroup> {
  const { kafka, names, config, log } = deps;
  const topic = names.topic('clicks');
  const tasks = new Map<number, PartitionTask>();
  const admin = await openAdmin(kafka);
  const producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  let joined = false;
  /** Assigned, but there is nowhere to write: topics were grown in another order, by hand. Nothing is counted there. */
  const withoutOutputs = new Set<number>();

  // Tasks need the consumer, and the consumer brings the tasks.
  const link: { consumer?: GroupConsumer } = {};
  const shared: Shared = { admin, producer, link, tasks, withoutOutputs };
  const onAssigned = (assigned: ReadonlyMap<string, readonly number[]>) => {
    joined = true;
    const mine = new Set(assigned.get(topic) ?? []);
    for (const [partition, task] of tasks) {
      if (mine.has(partition)) continue;
      tasks.delete(partition);
      withoutOutputs.delete(partition);
      void task.close({ commit: false });
    }
    for (const partition of mine) {
      const kept = tasks.get(partition);
      if (kept) kept.resume();
      else tasks.set(partition, startTask(deps, partition, portsOf(deps, partition, shared)));
    }
  };

  const consumer = await openGroupConsumer(kafka, {
    group: names.aggregatorGroup,
    topics: [topic],
    isolation: 'read_uncommitted',
    sessionTimeoutMs: config.AGGREGATOR_SESSION_TIMEOUT_MS,
    maxWaitMs,
    minBytes,
    maxBytes: config.AGGREGATOR_FETCH_BYTES * 4,
    maxBytesPerPartition: config.AGGREGATOR_FETCH_BYTES,
    // Partitions may become more. At most these come in at a time.
    concurrency: mostBatchesAtOnce,
    keepsRecords: false,
    log,
    onOpen: opened => {
      link.consumer = opened;
    },
    onAssigned,
    onBatch: async batch => {
      await tasks.get(batch.partition)?.onBatch(log.isLevelEnabled('debug') ? withTracesTold(batch, log) : batch);
    },
    onGap: (_topic, partition, first, next) => tasks.get(partition)?.onGap(first, next),
    onCrash: deps.onCrash,
  });
  const timer = setInterval(() => {
    for (const task of tasks.values()) task.onTimer();
  }, timerMs);
  // A halted task waits for a person; every other one is to get on, or to be started anew with its process.
  const watch = watchStalls({
    group: names.aggregatorGroup,
    log,
    async readings() {
      const ranges = await admin.ranges(topic);
      const owned = [...tasks.values()].filter(task => task.state !== 'halted' && !withoutOutputs.has(task.partition));
      return new Map(
        owned.map(task => [
          `${topic}[${task.partition}]`,
          {
            position: task.reached,
            end: ranges.get(task.partition)?.end ?? 0,
            // For its fence, or for an owner of before to learn that he is one no more: until then each fences the other.
            isWaiting: task.restarts > 0 || (task.state !== 'running' && task.state !== 'restoring'),
          },
        ]),
      );
    },
    onStall: what => deps.onCrash(new Error(`stalled: ${what}`)),
  });

  return {
    check() {
      if (!joined) throw new Error('no partitions assigned yet');
      const waiting = [...tasks.values()].filter(t => t.state !== 'running' && !withoutOutputs.has(t.partition));
      if (waiting.length > 0)
        throw new Error(waiting.map(t => `partition ${t.partition} ${t.state} ${t.haltedBy}`.trim()).join(', '));
    },
    async [Symbol.asyncDispose]() {
      clearInterval(timer);
      watch[Symbol.dispose]();
      await Promise.all([...tasks.values()].map(task => task.close({ commit: true })));
      await consumer[Symbol.asyncDispose]();
      await producer[Symbol.asyncDispose]();
      await admin[Symbol.asyncDispose]();
    },
  };
}

function startTask(
  { names, config, hashSeed, log }: TaskGroupDeps,
  partition: number,
  ports: TaskPorts,
): PartitionTask {
  const settings = {
    aggregator: {
      partition,
      outOfOrdernessMs: config.OUT_OF_ORDERNESS_MS,
      allowedLatenessMs: config.ALLOWED_LATENESS_MS,
      hashSeed,
    },
    names,
    commitIntervalMs: config.COMMIT_INTERVAL_MS,
    commitMaxIntervalMs: Math.max(config.COMMIT_INTERVAL_MS, config.COMMIT_MAX_INTERVAL_MS),
    commitMaxLines: config.COMMIT_MAX_LINES,
    tickIntervalMs: config.TICK_INTERVAL_MS,
    withoutCommit: config.AGGREGATOR_WITHOUT_COMMIT,
  };
  const task = new PartitionTask(settings, ports, log);
  void task.start();
  return task;
}

interface Shared {
  readonly admin: Admin;
  readonly producer: Producer;
  readonly link: { consumer?: GroupConsumer };
  readonly tasks: ReadonlyMap<number, PartitionTask>;
  readonly withoutOutputs: Set<number>;
}

function portsOf(
  { kafka, names, config, partitionsAt }: TaskGroupDeps,
  partition: number,
  { admin, producer, link, tasks, withoutOutputs }: Shared,
): TaskPorts {
  const topic = names.topic('clicks');
  const tick = [{ partition, value: '', headers: { kind: 'tick', ...clickHeaders } }];
  return {
    async openWriter() {
      const missing = await outputsWithout(admin, names, partition);
      if (missing.length > 0) {
        withoutOutputs.add(partition);
        throw new Retryable(
          `nowhere to write: no partition ${partition} in ${missing.join(', ')}: see adclicks partitions`,
        );
      }
      withoutOutputs.delete(partition);
      return config.AGGREGATOR_GUARANTEE === 'exactly_once'
        ? await openTransactionalProducer(kafka, names.transactionalId(partition))
        : openPlainWriter(kafka, link);
    },
    committed: () => admin.committed(names.aggregatorGroup, topic, partition),
    async range() {
      const range = (await admin.ranges(topic)).get(partition);
      if (range === undefined) throw new Error(`partition ${partition} of ${topic} is unknown to the broker`);
      return range;
    },
    pause: () => link.consumer?.pause(topic, partition),
    readFrom(offset) {
      link.consumer?.seek(topic, partition, offset);
      link.consumer?.resume(topic, partition);
    },
    appendTick: () => producer.send(topic, tick),
    partitionsAt,
    tasks: () => tasks.size,
    now: () => performance.now(),
  };
}

/** Asked before a producer is made, which then knows of them: kafkajs passes over records for partitions unknown to it. */
async function outputsWithout(admin: Admin, names: Names, partition: number): Promise<string[]> {
  const missing: string[] = [];
  for (const topic of [names.topic('aggregates'), names.topic('quarantine')])
    if (!(await admin.ranges(topic)).has(partition)) missing.push(topic);
  return missing;
}

/**
 * `at_least_once`: rows first, then the offset. A crash in between repeats rows, which lose to or equal their like by
 * version; a former owner is not fenced, but says nothing that is untrue of its log prefix.
 */
function openPlainWriter(kafka: KafkaClient, link: Shared['link']): TaskWriter {
  const producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  return {
    async commit({ sends, topic, partition, commit }) {
      for (const { topic, records } of sends) await producer.send(topic, records);
      await link.consumer?.commit(topic, new Map([[partition, commit]]));
    },
    [Symbol.asyncDispose]: () => producer[Symbol.asyncDispose](),
  };
}
