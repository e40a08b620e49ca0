/**
 * Runs the tasks of one aggregator process, one for each partition that the consumer group assigns to it.
 *
 * The assignment only divides the work. That two owners can never both write is guaranteed by the tasks' fences.
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
import type { RuleBook } from '../ingest/hot-ads/rule-book.ts';
import type { AggregatorConfig } from './config.ts';
import { withTracesTold } from './record-traces.ts';
import { PartitionTask } from './task.ts';
import type { TaskPorts, TaskWriter } from './task-ports.ts';

export interface TaskGroupDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly config: AggregatorConfig;
  /**
   * The number of partitions over which the clicks up to an event time may be spread
   * (ingest/hot-ads/partition-record.ts).
   */
  readonly partitionsAt: (eventTime: number) => number;
  /** The rules of invalid traffic, and until which minute they are known. */
  readonly rules: Pick<RuleBook, 'rulesAt' | 'rulesKnownUntil'>;
  /** 32 random bits (core/id-hash.ts). */
  readonly hashSeed: number;
  readonly log: Logger;
  /** Is called when the group cannot continue. The process must end and be started again. */
  readonly onCrash: (error: Error) => void;
}

export interface TaskGroup extends AsyncDisposable {
  /** Throws unless every assigned partition is being counted. */
  check(): void;
}

const timerMs = 25;
/**
 * Every fetch costs the same, however little it brings. Under load there are few of them. At rest a click waits up to
 * this long.
 */
const maxWaitMs = 100;
const minBytes = 64 << 10;
const mostBatchesAtOnce = 64;

export async function openTaskGroup(deps: TaskGroupDeps): Promise<TaskGroup> {
  const { kafka, names, config, log } = deps;
  const topic = names.topic('clicks');
  const admin = await openAdmin(kafka);
  const producer = createProducer(kafka, { acks: -1, timeoutMs: 5_000 });
  const tasks = new Map<number, PartitionTask>();
  const shared: Shared = { admin, producer, link: {}, tasks, withoutOutputs: new Set() };
  let joined = false;

  const consumer = await openGroupConsumer(kafka, {
    group: names.aggregatorGroup,
    topics: [topic],
    isolation: 'read_uncommitted',
    sessionTimeoutMs: config.AGGREGATOR_SESSION_TIMEOUT_MS,
    maxWaitMs,
    minBytes,
    maxBytes: config.AGGREGATOR_FETCH_BYTES * 4,
    maxBytesPerPartition: config.AGGREGATOR_FETCH_BYTES,
    // The number of partitions may grow. At most this many are processed at once.
    concurrency: mostBatchesAtOnce,
    keepsRecords: false,
    log,
    onOpen: opened => {
      shared.link.consumer = opened;
    },
    onAssigned(assigned) {
      joined = true;
      assignTasks(deps, new Set(assigned.get(topic) ?? []), shared);
    },
    onBatch: async batch => {
      await tasks.get(batch.partition)?.onBatch(log.isLevelEnabled('debug') ? withTracesTold(batch, log) : batch);
    },
    onGap: (_topic, partition, first, next) => tasks.get(partition)?.onGap(first, next),
    onCrash: deps.onCrash,
  });
  const timer = setInterval(() => {
    for (const task of tasks.values()) task.onTimer();
  }, timerMs);
  const watch = watchTasks(deps, shared);

  return {
    check() {
      if (!joined) throw new Error('no partitions assigned yet');
      checkTasks(shared);
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

interface Shared {
  readonly admin: Admin;
  readonly producer: Producer;
  /** The tasks need the consumer, and the consumer creates the tasks. */
  readonly link: { consumer?: GroupConsumer };
  readonly tasks: Map<number, PartitionTask>;
  /**
   * Partitions that are assigned but have no output partitions, because topics were grown by hand in another order.
   * Nothing is counted there.
   */
  readonly withoutOutputs: Set<number>;
}

/** Closes the tasks of partitions that are not assigned any more, and starts those of new partitions. */
function assignTasks(deps: TaskGroupDeps, assigned: ReadonlySet<number>, shared: Shared): void {
  const { tasks, withoutOutputs } = shared;
  for (const [partition, task] of tasks) {
    if (assigned.has(partition)) continue;
    tasks.delete(partition);
    withoutOutputs.delete(partition);
    void task.close({ commit: false });
  }
  for (const partition of assigned) {
    const kept = tasks.get(partition);
    if (kept) kept.resume();
    else tasks.set(partition, startTask(deps, partition, portsOf(deps, partition, shared)));
  }
}

/** A halted task waits for a person. Every other task must make progress, or the process is started again. */
function watchTasks(
  { names, log, onCrash }: TaskGroupDeps,
  { admin, tasks, withoutOutputs }: Shared,
): ReturnType<typeof watchStalls> {
  const topic = names.topic('clicks');
  return watchStalls({
    group: names.aggregatorGroup,
    log,
    async readings() {
      const ranges = await admin.ranges(topic, 'read_uncommitted');
      const owned = [...tasks.values()].filter(
        task => task.state !== 'halted' && !withoutOutputs.has(task.partition) && task.rulesWait.minute === undefined,
      );
      return new Map(
        owned.map(task => [
          `${topic}[${task.partition}]`,
          {
            position: task.reached,
            end: ranges.get(task.partition)?.end ?? 0,
            // It waits for its fence, or for a former owner to notice that it has lost the partition. Until then each
            // fences the other.
            isWaiting: task.restarts > 0 || (task.state !== 'running' && task.state !== 'restoring'),
          },
        ]),
      );
    },
    onStall: what => onCrash(new Error(`stalled: ${what}`)),
  });
}

/** Throws unless every assigned partition that can be counted is being counted. */
function checkTasks({ tasks, withoutOutputs }: Shared): void {
  const counted = [...tasks.values()].filter(t => !withoutOutputs.has(t.partition));
  const waiting = counted.filter(t => t.state !== 'running' || t.rulesWait.minute !== undefined);
  if (waiting.length > 0) throw new Error(waiting.map(whatItDoes).join(', '));
}

function whatItDoes({ partition, state, haltedBy, rulesWait: { minute } }: PartitionTask): string {
  if (minute === undefined) return `partition ${partition} ${state} ${haltedBy}`.trim();
  const at = new Date(minute).toISOString();
  return `partition ${partition} waits until the rules of invalid traffic at ${at} are known (topic hot-ads)`;
}

function startTask(
  { names, config, hashSeed, rules, log }: TaskGroupDeps,
  partition: number,
  ports: TaskPorts,
): PartitionTask {
  const settings = {
    aggregator: {
      partition,
      outOfOrdernessMs: config.OUT_OF_ORDERNESS_MS,
      allowedLatenessMs: config.ALLOWED_LATENESS_MS,
      hashSeed,
      rulesAt: (minute: number) => rules.rulesAt(minute),
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

function portsOf(
  { kafka, names, config, partitionsAt, rules }: TaskGroupDeps,
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
          `there is no partition ${partition} to write to in ${missing.join(', ')}: see adclicks partitions`,
        );
      }
      withoutOutputs.delete(partition);
      return config.AGGREGATOR_GUARANTEE === 'exactly_once'
        ? await openTransactionalProducer(kafka, names.transactionalId(partition))
        : openPlainWriter(kafka, link);
    },
    committed: () => admin.committed(names.aggregatorGroup, topic, partition),
    async range() {
      const range = (await admin.ranges(topic, 'read_uncommitted')).get(partition);
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
    rulesKnownUntil: () => rules.rulesKnownUntil,
    tasks: () => tasks.size,
    now: () => performance.now(),
  };
}

/**
 * This is checked before a producer is created, so that the producer knows the partitions. kafkajs skips records for
 * partitions that it does not know.
 */
async function outputsWithout(admin: Admin, names: Names, partition: number): Promise<string[]> {
  const missing: string[] = [];
  for (const topic of [names.topic('aggregates'), names.topic('quarantine')])
    if (!(await admin.ranges(topic)).has(partition)) missing.push(topic);
  return missing;
}

/**
 * Opens the writer of `at_least_once`, which sends the rows first and then commits the offset.
 *
 * A crash in between repeats rows. By their version they lose to the rows that are there, or equal them. A former owner
 * is not fenced, but its rows are true statements about its prefix of the log.
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
