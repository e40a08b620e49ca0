/**
 * What `infra/kafka/` uses of kafkajs, over the fake broker: so that the adapters themselves are under test. Its vices
 * are modelled with its virtues: a rebalance forgets positions and tells the owner at its own time, batches fetched
 * before a seek or a rebalance may still be handed over, a batch in work goes on beside its successor, falling off the
 * log commits an offset without metadata, and a consumer that cannot go on leaves its group for a while, in which it cannot
 * be told where to read. What writing asks the brokers is in fake-requests.ts.
 */
import { Corrupt } from '../../infra/errors.ts';
import { asksForHighWatermarks } from '../../infra/kafka/checked-answers.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import type { LogRecord } from '../../infra/kafka/record-batch.ts';
import { type Assignment, BrokerError, type Entry, type FakeBroker } from './fake-broker.ts';
import { FakeRequests } from './fake-requests.ts';

export type Operation =
  | 'newProducer'
  | 'leaders'
  | 'initProducerId'
  | 'addPartition'
  | 'addOffsets'
  | 'commitOffsetsInTransaction'
  | 'commitTransaction'
  | 'abortTransaction'
  | 'produce'
  | 'fetch'
  | 'fetchOffsets'
  | 'listOffsets'
  | 'commitOffset'
  | 'join'
  | 'heartbeat'
  | 'leave'
  | 'insert'
  | 'query';

/** What lies between a process and the broker or the store. */
export interface Network {
  /** Carries a request there and its answer back; either may be lost, or come late. */
  call<T>(operation: Operation, effect: () => T): Promise<T>;
  /** A callback for others to call; it runs as code of the process that made it. */
  bind(callback: () => void): () => void;
  chance(probability: number): boolean;
  /** How many records the next fetch brings at most. */
  fetchSize(): number;
  /** Longest wait of a fetch for records. */
  readonly longPollMs: number;
}

export function fakeKafka(broker: FakeBroker, network: Network): KafkaClient {
  return {
    consumer: (options: ConsumerOptions) => new FakeConsumer(broker, network, options),
    admin: () => new FakeAdmin(broker, network),
    brokerRequests: () => new FakeRequests(broker, network),
  } as unknown as KafkaClient;
}

const sleep = (ms: number) => new Promise<void>(resolve => void setTimeout(resolve, ms));

interface ConsumerOptions {
  readonly groupId: string;
  readonly sessionTimeout: number;
  readonly heartbeatInterval: number;
  readonly readUncommitted: boolean;
}

type Listener = (event: { payload: Record<string, unknown> }) => void;

interface Run {
  eachBatch(payload: { batch: unknown; heartbeat: () => Promise<void> }): Promise<void>;
}

const events = {
  GROUP_JOIN: 'consumer.group_join',
  START_BATCH_PROCESS: 'consumer.start_batch_process',
  CRASH: 'consumer.crash',
};

class FakeConsumer {
  readonly events = events;
  readonly #broker: FakeBroker;
  readonly #network: Network;
  readonly #options: ConsumerOptions;
  readonly #listeners = new Map<string, Listener[]>();
  #topics: readonly string[] = [];
  #run: Run | undefined;
  #assignment: Assignment | undefined;
  /** Counts the rebalances this member has heard of. */
  #term = 0;
  #joining = false;
  /** From the first run on, but for the time of a restart. */
  #hasGroup = false;
  readonly #positions = new Map<string, number>();
  readonly #seeks = new Map<string, number>();
  readonly #paused = new Set<string>();
  readonly #wakers = new Map<string, Set<() => void>>();
  readonly #working = new Set<Promise<void>>();
  #heartbeats: NodeJS.Timeout | undefined;

  constructor(broker: FakeBroker, network: Network, options: ConsumerOptions) {
    this.#broker = broker;
    this.#network = network;
    this.#options = options;
  }

  on(event: string, listener: Listener): void {
    this.#listeners.set(event, [...(this.#listeners.get(event) ?? []), listener]);
  }

  async connect(): Promise<void> {}

  async subscribe({ topics }: { topics: readonly string[] }): Promise<void> {
    this.#topics = topics;
  }

  async run(run: Run): Promise<void> {
    this.#run = run;
    this.#hasGroup = true;
    await this.#join();
    this.#heartbeats = setInterval(() => void this.#beat(), this.#options.heartbeatInterval);
  }

  async disconnect(): Promise<void> {
    clearInterval(this.#heartbeats);
    this.#run = undefined;
    this.#term++;
    for (const key of this.#wakers.keys()) this.#wake(key);
    await Promise.all(this.#working);
    const assignment = this.#assignment;
    if (assignment === undefined) return;
    await this.#network
      .call('leave', () => this.#broker.leave(this.#options.groupId, assignment.memberId))
      .catch(() => undefined);
  }

  seek({ topic, partition, offset }: { topic: string; partition: number; offset: string }): void {
    this.#requireGroup();
    this.#seeks.set(keyOf(topic, partition), Number(offset));
    this.#wake(keyOf(topic, partition));
  }

  pause(all: readonly { topic: string; partitions: readonly number[] }[]): void {
    this.#requireGroup();
    for (const { topic, partitions } of all) for (const p of partitions) this.#paused.add(keyOf(topic, p));
  }

  resume(all: readonly { topic: string; partitions: readonly number[] }[]): void {
    this.#requireGroup();
    for (const { topic, partitions } of all) {
      for (const p of partitions) {
        this.#paused.delete(keyOf(topic, p));
        this.#wake(keyOf(topic, p));
      }
    }
  }

  async commitOffsets(
    all: readonly { topic: string; partition: number; offset: string; metadata?: string }[],
  ): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === undefined) throw new BrokerError('UNKNOWN_MEMBER_ID');
    const { groupId } = this.#options;
    await this.#network.call('commitOffset', () => {
      for (const { topic, partition, offset, metadata = '' } of all) {
        const commit = { offset: Number(offset), metadata };
        this.#broker.commitOffset(groupId, assignment.memberId, assignment.generation, topic, partition, commit);
      }
    });
  }

  async #join(): Promise<void> {
    if (this.#joining) return;
    this.#joining = true;
    try {
      const { groupId, sessionTimeout } = this.#options;
      const memberId = this.#assignment?.memberId;
      this.#assignment = await this.#network.call('join', () =>
        this.#broker.join(groupId, memberId, this.#topics, sessionTimeout),
      );
    } finally {
      this.#joining = false;
    }
    if (this.#run === undefined) return;
    const term = ++this.#term;
    for (const key of this.#wakers.keys()) this.#wake(key);
    this.#positions.clear();
    this.#seeks.clear();
    this.#emit(events.GROUP_JOIN, { memberAssignment: Object.fromEntries(this.#assignment.partitions) });
    for (const [topic, partitions] of this.#assignment.partitions) {
      for (const partition of partitions) void this.#consume(term, topic, partition);
    }
  }

  #requireGroup(): void {
    if (!this.#hasGroup) throw new Error('Consumer group was not initialized, consumer#run must be called first');
  }

  /** As kafkajs after an error that it takes for final: stops, and runs again with a group made anew, or never again. */
  async #restart(error: Error): Promise<void> {
    this.#hasGroup = false;
    this.#term++;
    for (const key of this.#wakers.keys()) this.#wake(key);
    this.#paused.clear();
    if (this.#network.chance(0.5)) {
      clearInterval(this.#heartbeats);
      this.#run = undefined;
      this.#emit(events.CRASH, { error: coordinatorNotFound(), restart: false });
      return;
    }
    this.#emit(events.CRASH, { error, restart: true });
    while (this.#run !== undefined && !this.#hasGroup) {
      await sleep(300);
      if (this.#network.chance(0.7)) continue;
      this.#hasGroup = true;
      await this.#join().catch(() => {
        this.#hasGroup = false;
      });
    }
  }

  async #beat(): Promise<void> {
    if (!this.#hasGroup) return;
    try {
      await this.#heartbeat();
    } catch (error) {
      if (this.#run === undefined || !this.#hasGroup) return;
      if (!(error instanceof BrokerError)) {
        if (this.#network.chance(0.6)) await this.#restart(error as Error);
        return;
      }
      // What fails to join hears of it again at the next heartbeat.
      await this.#join().catch(() => undefined);
    }
  }

  async #heartbeat(): Promise<void> {
    const assignment = this.#assignment;
    if (assignment === undefined) return;
    const { memberId, generation } = assignment;
    await this.#network.call('heartbeat', () => this.#broker.heartbeat(this.#options.groupId, memberId, generation));
  }

  /** One partition, one batch after another, until the next rebalance. */
  async #consume(term: number, topic: string, partition: number): Promise<void> {
    const key = keyOf(topic, partition);
    while (term === this.#term) {
      try {
        if (this.#paused.has(key)) await this.#awoken(key);
        else await this.#fetchOnce(term, topic, partition);
      } catch {
        await sleep(300);
      }
    }
  }

  async #fetchOnce(term: number, topic: string, partition: number): Promise<void> {
    const key = keyOf(topic, partition);
    const from = this.#seeks.get(key) ?? this.#positions.get(key) ?? (await this.#committed(topic, partition));
    if (term !== this.#term) return;
    this.#seeks.delete(key);
    this.#positions.set(key, from);
    const isolation = this.#options.readUncommitted ? 'read_uncommitted' : 'read_committed';
    const most = this.#network.fetchSize();
    const fetched = await this.#network
      .call('fetch', () => this.#broker.fetch(topic, partition, from, isolation, most))
      .catch(error => this.#recover(error, topic, partition));
    if (fetched === undefined) return;
    const isStale = () => term !== this.#term || this.#seeks.has(key) || this.#paused.has(key);
    if (fetched.nextOffset === from) {
      if (!isStale()) await this.#awaitAppend(topic, partition);
      return;
    }
    if (isStale() && this.#network.chance(0.5)) return;
    const batch = batchOf(topic, partition, from, fetched.entries, fetched);
    this.#emit(events.START_BATCH_PROCESS, {
      topic,
      partition,
      batchSize: fetched.entries.length,
      firstOffset: String(from),
      lastOffset: batch.lastOffset(),
    });
    if (fetched.entries.length > 0) await this.#work(batch);
    if (term === this.#term) this.#positions.set(key, fetched.nextOffset);
  }

  async #work(batch: ReturnType<typeof batchOf>): Promise<void> {
    const working = this.#run?.eachBatch({ batch, heartbeat: () => this.#heartbeat() }) ?? Promise.resolve();
    const settled = working.then(
      () => {},
      () => {},
    );
    this.#working.add(settled);
    try {
      await working;
    } finally {
      this.#working.delete(settled);
    }
  }

  async #committed(topic: string, partition: number): Promise<number> {
    const { groupId } = this.#options;
    return await this.#network.call('fetchOffsets', () => {
      return (
        this.#broker.committedOffset(groupId, topic, partition)?.offset ?? this.#broker.range(topic, partition).start
      );
    });
  }

  /** As it does with `offset-out-of-range.ts`. */
  async #recover(error: unknown, topic: string, partition: number): Promise<undefined> {
    if (!(error instanceof BrokerError) || error.type !== 'OFFSET_OUT_OF_RANGE') throw error;
    this.#hasGroup = false;
    this.#term++;
    for (const key of this.#wakers.keys()) this.#wake(key);
    clearInterval(this.#heartbeats);
    this.#run = undefined;
    this.#emit(events.CRASH, { error: new Corrupt(`${topic}[${partition}]: offset out of range`), restart: false });
    return undefined;
  }

  /** Until something is appended, or the partition is sought or resumed, or the fetch has waited long enough. */
  async #awaitAppend(topic: string, partition: number): Promise<void> {
    const key = keyOf(topic, partition);
    await new Promise<void>(resolve => {
      const done = () => {
        clearTimeout(timer);
        this.#wakers.get(key)?.delete(done);
        resolve();
      };
      const timer = setTimeout(done, this.#network.longPollMs);
      this.#broker.awaitAppend(topic, partition, this.#network.bind(done));
      this.#wakersOf(key).add(done);
    });
  }

  async #awoken(key: string): Promise<void> {
    await new Promise<void>(resolve => {
      const done = () => {
        this.#wakers.get(key)?.delete(done);
        resolve();
      };
      this.#wakersOf(key).add(done);
    });
  }

  #wakersOf(key: string): Set<() => void> {
    const wakers = this.#wakers.get(key) ?? new Set();
    this.#wakers.set(key, wakers);
    return wakers;
  }

  #wake(key: string): void {
    for (const wake of [...(this.#wakers.get(key) ?? [])]) wake();
  }

  #emit(event: string, payload: Record<string, unknown>): void {
    for (const listener of this.#listeners.get(event) ?? []) listener({ payload });
  }
}

function batchOf(
  topic: string,
  partition: number,
  from: number,
  entries: readonly Entry[],
  { nextOffset, highWatermark }: { nextOffset: number; highWatermark: number },
) {
  return {
    topic,
    partition,
    fetchedOffset: String(from),
    highWatermark: String(highWatermark),
    lastOffset: () => String(nextOffset - 1),
    messages: [{ batch: entries.map(recordOf) }],
  };
}

function recordOf({ offset, appendedAt, value, headers }: Entry): LogRecord {
  const bytes = Object.entries(headers ?? {}).map(([name, text]) => [name, Buffer.from(text)]);
  return { offset, timestamp: appendedAt, value, headers: Object.fromEntries(bytes) };
}

class FakeAdmin {
  readonly #broker: FakeBroker;
  readonly #network: Network;

  constructor(broker: FakeBroker, network: Network) {
    this.#broker = broker;
    this.#network = network;
  }

  async connect(): Promise<void> {}

  async disconnect(): Promise<void> {}

  async fetchTopicOffsets(topic: string) {
    const isUncommitted = asksForHighWatermarks();
    return await this.#network.call('listOffsets', () => {
      return Array.from({ length: this.#broker.partitionsOf(topic) }, (_, partition) => {
        const { start, lastStable, end } = this.#broker.range(topic, partition);
        const high = String(isUncommitted ? end : lastStable);
        return { partition, offset: high, low: String(start), high };
      });
    });
  }

  async fetchOffsets({ groupId, topics }: { groupId: string; topics: readonly string[] }) {
    return await this.#network.call('fetchOffsets', () => {
      return topics.map(topic => ({
        topic,
        partitions: Array.from({ length: this.#broker.partitionsOf(topic) }, (_, partition) => {
          const commit = this.#broker.committedOffset(groupId, topic, partition);
          return { partition, offset: String(commit?.offset ?? -1), metadata: commit?.metadata ?? null };
        }),
      }));
    });
  }

  async deleteTopicRecords({
    topic,
    partitions,
  }: {
    topic: string;
    partitions: { partition: number; offset: string }[];
  }) {
    for (const { partition, offset } of partitions) this.#broker.deleteBefore(topic, partition, Number(offset));
  }

  async listTopics(): Promise<readonly string[]> {
    return this.#broker.topics();
  }

  async createTopics({ topics }: { topics: readonly { topic: string; numPartitions: number }[] }): Promise<void> {
    for (const { topic, numPartitions } of topics) this.#broker.createTopic(topic, numPartitions);
  }

  async fetchTopicMetadata({ topics }: { topics: readonly string[] }) {
    return {
      topics: topics.map(name => ({
        name,
        partitions: Array.from({ length: this.#broker.partitionsOf(name) }, (_, partitionId) => ({
          partitionId,
          leader: 0,
        })),
      })),
    };
  }
}

function coordinatorNotFound(): Error {
  const error = new Error('Failed to find group coordinator');
  error.name = 'KafkaJSGroupCoordinatorNotFound';
  // As the real one gives up: wrapped.
  return new Error(error.message, { cause: error });
}

function keyOf(topic: string, partition: number): string {
  return `${topic}/${partition}`;
}
