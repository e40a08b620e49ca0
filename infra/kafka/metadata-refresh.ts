/**
 * Looks up the leaders of partitions at any broker that answers, for all kafkajs clients.
 *
 * kafkajs asks one broker, and waits for it even while it hangs. It fails completely while a single partition has no
 * leader. And before it continues, it waits until a broker that has left has answered its earlier requests. Here:
 * - Three brokers are asked at the same time, or all of them if there are fewer. A broker that hangs is waited for only
 *   a moment.
 * - A broker that the others do not list is not believed. A broker that the others have lost continues to call itself
 *   the leader of its partitions, and its readers would wait there for records that are written elsewhere.
 * - A partition without a leader is in the metadata as such (leader −1), and is looked up again soon.
 * - The connection to a broker that has left is closed without waiting.
 * - Where any broker will do, one that cannot be reached, or answers with an error, is followed by the next, and the
 *   error says why none answered. (In kafkajs the first unreachable broker ends the attempt, and errors are swallowed.)
 * - A broker is connected to once, and its failure is reported. kafkajs would retry for minutes where a broker accepts
 *   connections but answers nothing.
 *
 * It replaces methods of kafkajs before they are used.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import './bounded-requests.ts';
import { type CheckedBroker, checkMetadata, type Metadata } from './checked-answers.ts';
import { noteLearned } from './metadata-age.ts';
import { answerWithin, isPassing, passOver } from './passing-errors.ts';

interface Address {
  readonly host: string;
  readonly port: number;
  rack: string | null;
}

interface PoolBroker extends Pick<CheckedBroker, 'metadata'> {
  nodeId: string | number | null;
  readonly connectionPool: Address;
  isConnected(): boolean;
  connect(): Promise<void>;
  disconnect(): Promise<void>;
}

interface BrokerMetadata extends Metadata {
  readonly brokers: readonly (Address & { readonly nodeId: number })[];
}

/** As far as it is used. */
export interface BrokerPool {
  brokers: Record<string, PoolBroker>;
  seedBroker: PoolBroker | undefined;
  metadata: BrokerMetadata | null;
  metadataExpireAt: number | null;
  readonly metadataMaxAge: number;
  readonly rootLogger: unknown;
  readonly versions: unknown;
  readonly connectionPoolBuilder: { build(address: Address): Promise<unknown> };
  createBroker(options: object): PoolBroker;
  connect(): Promise<void>;
  connectBroker(broker: PoolBroker): Promise<void>;
  findBroker(of: { readonly nodeId: string }): Promise<PoolBroker>;
  refreshMetadata(topics: readonly string[]): Promise<void>;
  withBroker<T>(ask: (of: { readonly nodeId: string; readonly broker: PoolBroker }) => Promise<T>): Promise<T>;
}

/** Longer than any answer about metadata takes, unless a broker hangs. */
const answerMs = 3_000;
/** Healthy brokers answer at about the same time. */
const othersMs = 300;
const askedAtOnce = 3;
/** While a partition has no leader, it is looked up once in this time. */
const leaderlessMs = 1_000;
const rounds = 4;
const longestMs = 10_000;

const require = createRequire(import.meta.url);
const BrokerPool: { readonly prototype: BrokerPool } = require('kafkajs/src/cluster/brokerPool.js');

const {
  KafkaJSBrokerNotFound,
  KafkaJSProtocolError,
}: { KafkaJSBrokerNotFound: new (message: string) => Error; KafkaJSProtocolError: new (of: object) => Error } =
  require('kafkajs/src/errors.js');

BrokerPool.prototype.refreshMetadata = async function (topics) {
  const startedAt = performance.now();
  for (let round = 1; ; round++) {
    try {
      return await take(this, await askAround(this, topics));
    } catch (error) {
      if (round === rounds || performance.now() - startedAt > longestMs || !isPassing(error)) throw error;
      await sleep(100 * 2 ** (round - 1));
    }
  }
};

async function askAround(pool: BrokerPool, topics: readonly string[]): Promise<BrokerMetadata> {
  const order = inOrder(pool);
  for (let first = 0; first < order.length; first += askedAtOnce) {
    const answers = await answersOf(pool, order.slice(first, first + askedAtOnce), topics);
    if (answers.length > 0) return believed(answers);
  }
  // None of the known brokers has answered, so those with which the client was configured are asked.
  await pool.connect();
  const { seedBroker } = pool;
  if (seedBroker === undefined) throw new Error('no broker is known');
  await pool.connectBroker(seedBroker);
  return await answerWithin(answerMs, 'Metadata', metadataFrom(seedBroker, topics));
}

interface Answer {
  readonly nodeId: string;
  readonly metadata: BrokerMetadata;
}

/** Returns the answers of all brokers that answer soon after the first. */
async function answersOf(pool: BrokerPool, nodeIds: readonly string[], topics: readonly string[]): Promise<Answer[]> {
  const answers: Answer[] = [];
  const failures: unknown[] = [];
  const first = Promise.withResolvers<void>();
  const asked = nodeIds.map(async nodeId => {
    try {
      const found = pool.findBroker({ nodeId }).then(broker => metadataFrom(broker, topics));
      answers.push({ nodeId, metadata: await answerWithin(answerMs, `Metadata of broker ${nodeId}`, found) });
      first.resolve();
    } catch (error) {
      failures.push(error);
    }
  });
  const all = Promise.all(asked).then(() => undefined);
  await Promise.race([first.promise, all]);
  await answerWithin(othersMs, 'Metadata', all).catch(passOver);
  const grave = failures.find(error => !isPassing(error));
  if (answers.length === 0 && grave !== undefined) throw grave;
  return [...answers];
}

/** Uses only answers of brokers that most of the others list. */
function believed(answers: readonly Answer[]): BrokerMetadata {
  const listings = ({ nodeId }: Answer) =>
    answers.filter(({ metadata }) => metadata.brokers.some(broker => String(broker.nodeId) === nodeId)).length;
  const [most] = [...answers].sort((a, b) => listings(b) - listings(a));
  if (most === undefined) throw new Error('nobody has answered');
  return most.metadata;
}

/** Connected brokers come first, in random order. */
function inOrder(pool: BrokerPool): string[] {
  const ranks = Object.entries(pool.brokers).map(
    ([nodeId, broker]) => [nodeId, (broker.isConnected() ? 0 : 1) + Math.random()] as const,
  );
  return ranks.sort(([, a], [, b]) => a - b).map(([nodeId]) => nodeId);
}

async function metadataFrom(broker: PoolBroker, topics: readonly string[]): Promise<BrokerMetadata> {
  const metadata = await broker.metadata(topics).catch(error => {
    if (error instanceof LeaderlessMetadata) return error.metadata;
    throw error;
  });
  checkMetadata(topics, metadata);
  return metadata as BrokerMetadata;
}

async function take(pool: BrokerPool, metadata: BrokerMetadata): Promise<void> {
  const { seedBroker } = pool;
  const leaving: PoolBroker[] = [];
  const brokers: Record<string, PoolBroker> = {};
  for (const { nodeId, host, port, rack } of metadata.brokers) {
    const known = pool.brokers[nodeId];
    if (known && isAt(known, { host, port }) && known.connectionPool.rack === rack) {
      brokers[nodeId] = known;
    } else if (seedBroker && isAt(seedBroker, { host, port })) {
      seedBroker.nodeId = nodeId;
      seedBroker.connectionPool.rack = rack;
      brokers[nodeId] = seedBroker;
    } else {
      const connectionPool = await pool.connectionPoolBuilder.build({ host, port, rack });
      const { rootLogger: logger, versions } = pool;
      brokers[nodeId] = pool.createBroker({ logger, versions, connectionPool, nodeId });
    }
  }
  const kept = new Set(Object.values(brokers));
  for (const broker of Object.values(pool.brokers)) if (!kept.has(broker)) leaving.push(broker);
  const isLeaderless = metadata.topicMetadata.some(t => t.partitionMetadata.some(({ leader }) => leader === -1));
  pool.metadata = metadata;
  noteLearned(pool);
  const keptMs = pool.metadataMaxAge;
  pool.metadataExpireAt = Date.now() + (isLeaderless ? Math.min(leaderlessMs, keptMs) : keptMs);
  pool.brokers = brokers;
  for (const broker of leaving) part(broker);
}

function isAt({ connectionPool }: PoolBroker, { host, port }: Pick<Address, 'host' | 'port'>): boolean {
  return connectionPool.host === host && connectionPool.port === port;
}

/** It may have requests in progress, which end in their own time. */
function part(broker: PoolBroker): void {
  void broker.disconnect().catch(() => undefined);
}

const { connectBroker } = BrokerPool.prototype;
BrokerPool.prototype.connectBroker = async function (broker) {
  if (broker.isConnected()) return;
  try {
    await broker.connect();
  } catch (error) {
    // kafkajs makes another connection for it.
    if (Reflect.get(Object(error), 'type') === 'ILLEGAL_SASL_STATE') return await connectBroker.call(this, broker);
    part(broker);
    throw error;
  }
};

BrokerPool.prototype.withBroker = async function (ask) {
  const errors: unknown[] = [];
  for (const nodeId of inOrder(this)) {
    try {
      const broker = await answerWithin(answerMs, `broker ${nodeId}`, this.findBroker({ nodeId }));
      return await ask({ nodeId, broker });
    } catch (error) {
      errors.push(error);
      // The leaders must be looked up again.
      this.metadataExpireAt = null;
    }
  }
  // An answer of a broker says more than the fact that another one is away.
  throw (
    errors.find(error => !isPassing(error)) ??
    errors.at(-1) ??
    new KafkaJSBrokerNotFound('No brokers in the broker pool')
  );
};

/** Every broker since Kafka 2.0 accepts the last of the versions that kafkajs knows. */
const response: { parse(answer: BrokerMetadata): Promise<BrokerMetadata> } =
  require('kafkajs/src/protocol/requests/metadata/v6/response.js');
/** It is still an error for code that waits for leaders, for example after creating a topic. */
class LeaderlessMetadata extends KafkaJSProtocolError {
  readonly metadata: BrokerMetadata;

  constructor(of: Error, metadata: BrokerMetadata) {
    super(of);
    this.metadata = metadata;
  }
}

const leaderNotAvailable = 5;
const listenerNotFound = 72;
const noLeader: readonly number[] = [0, leaderNotAvailable, listenerNotFound];

const { parse } = response;
response.parse = async answer => {
  try {
    return await parse(answer);
  } catch (error) {
    const isOnlyLeaderless = answer.topicMetadata.every(
      topic =>
        topic.topicErrorCode === 0 &&
        topic.partitionMetadata.every(({ partitionErrorCode = 0 }) => noLeader.includes(partitionErrorCode)),
    );
    throw isOnlyLeaderless && error instanceof Error ? new LeaderlessMetadata(error, answer) : error;
  }
};
