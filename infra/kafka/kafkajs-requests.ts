/**
 * Implements `BrokerRequests` over connections of kafkajs.
 *
 * It uses the parts of kafkajs that talk to one broker: connecting, signing in, framing, encoding requests and decoding
 * answers. It does not use what kafkajs does above that (which broker to ask, whether to ask again): see decision 013.
 *
 * - After any error a connection is given up, and the next request makes a new one.
 * - For a request that any broker can answer, the brokers are asked one after another. The next one is asked as soon as
 *   one has failed or has been silent for a moment, so a broker that hangs delays nobody.
 * - An answer that lacks a requested partition is an error.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { BrokerClocks } from './broker-clocks.ts';
import { BrokerLink, type Connecting, type KafkaJsBroker } from './broker-link.ts';
import {
  type AppendWaits,
  type BrokerRequests,
  IncompleteAnswer,
  type NodeId,
  type TopicPartition,
  type TransactionalIdentity,
} from './broker-requests.ts';
import type { Committed } from './committed.ts';
import { endBeyondRequest } from './end-beyond-request.ts';
import { brokerError } from './errors.ts';
import { decodeProduced, encodeProduce, type ProduceRequest, type ProduceResult } from './produce-request.ts';

const require = createRequire(import.meta.url);
const {
  requests: definitions,
}: { requests: Record<'Metadata', unknown> } = require('kafkajs/src/protocol/requests/index.js');
const coordinatorTypes = { group: 0, transaction: 1 } as const;
const apiKeys = { produce: 0, metadata: 3 } as const;
const produceVersion = 7;

interface Address {
  readonly host: string;
  readonly port: number;
}

/** As far as it is used. */
interface Metadata {
  readonly brokers: readonly (Address & { readonly nodeId: NodeId })[];
  readonly topicMetadata: readonly {
    readonly topicErrorCode: number;
    readonly topic: string;
    readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: NodeId }[];
  }[];
}

interface Coordinator {
  readonly type: keyof typeof coordinatorTypes;
  readonly key: string;
}

/** `seeds`: brokers to begin with. Connects nothing yet. */
export function openKafkaJsRequests(connecting: Connecting, seeds: readonly Address[]): BrokerRequests & AppendWaits {
  return new KafkaJsRequests(connecting, seeds);
}

class KafkaJsRequests implements BrokerRequests, AppendWaits {
  readonly #connecting: Connecting;
  readonly #seeds: readonly BrokerLink[];
  readonly #links = new Map<NodeId, { readonly link: BrokerLink; readonly address: Address }>();
  readonly #coordinators = new Map<string, NodeId>();
  readonly #clocks = new BrokerClocks();
  #turn = 0;

  constructor(connecting: Connecting, seeds: readonly Address[]) {
    this.#connecting = connecting;
    this.#seeds = seeds.map(address => new BrokerLink(connecting, address));
  }

  async leaders(topic: string): Promise<ReadonlyMap<number, NodeId>> {
    const metadata = await this.#askAny(broker => metadataOf(broker, topic));
    for (const broker of metadata.brokers) this.#know(broker.nodeId, broker);
    const found = metadata.topicMetadata.find(each => each.topic === topic);
    if (found === undefined) throw new IncompleteAnswer(`the metadata lacks topic ${topic}`);
    if (found.topicErrorCode !== 0 && found.partitionMetadata.length === 0) throw brokerError(found.topicErrorCode);
    const known = found.partitionMetadata.filter(({ leader }) => this.#links.has(leader));
    return new Map(known.map(({ partitionId, leader }) => [partitionId, leader]));
  }

  async produce(
    node: NodeId,
    acks: ProduceRequest['acks'],
    request: () => ProduceRequest | undefined,
  ): Promise<readonly ProduceResult[]> {
    return await this.#ask(node, async broker => {
      requireProduce(broker);
      let sentAt = Date.now();
      const results = await broker.connectionPool.send<readonly ProduceResult[]>({
        requestTimeout: longestProduceMs,
        request: {
          ...{ apiKey: apiKeys.produce, apiVersion: produceVersion, apiName: 'Produce' },
          async encode() {
            const content = request();
            if (content === undefined) throw new NothingToSend();
            sentAt = Date.now();
            return encodeProduce(content);
          },
          // kafkajs asks this before the request is encoded.
          expectResponse: () => acks !== 0,
        },
        response: {
          decode: async answer => ({ results: decodeProduced(answer), clientSideThrottleTime: null }),
          parse: async decoded => (decoded as { results: readonly ProduceResult[] }).results,
        },
      });
      this.#clocks.acknowledged(node, results ?? [], { sentAt, answeredAt: Date.now() });
      return results ?? [];
    }).catch(error => {
      if (error instanceof NothingToSend) return [];
      throw error;
    });
  }

  async endBeyond(node: NodeId, of: TopicPartition, offset: number, waitMs: number): Promise<number> {
    return await this.#ask(node, broker => broker.connectionPool.send(endBeyondRequest(of, offset, waitMs)));
  }

  async newProducer() {
    const { producerId, producerEpoch } = await this.#askAny(broker =>
      broker.initProducerId({ transactionalId: undefined, transactionTimeout: 0 }),
    );
    return { producerId, producerEpoch };
  }

  async initTransactions(transactionalId: string, transactionTimeout: number) {
    const coordinator = { type: 'transaction', key: transactionalId } as const;
    const { producerId, producerEpoch } = await this.#askCoordinator(coordinator, broker =>
      broker.initProducerId({ transactionalId, transactionTimeout }),
    );
    return { producerId, producerEpoch };
  }

  async addPartitions(to: TransactionalIdentity, partitions: readonly TopicPartition[]): Promise<void> {
    const topics = [...Map.groupBy(partitions, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
      topic,
      partitions: ofTopic.map(({ partition }) => partition),
    }));
    const coordinator = { type: 'transaction', key: to.transactionalId } as const;
    const { errors } = await this.#askCoordinator(coordinator, broker => broker.addPartitionsToTxn({ ...to, topics }));
    const answered = errors.flatMap(({ topic, partitionErrors }) =>
      partitionErrors.map(({ partition }) => ({ topic, partition })),
    );
    requireAll(partitions, answered, 'AddPartitionsToTxn');
  }

  async addOffsets(to: TransactionalIdentity, groupId: string): Promise<void> {
    const coordinator = { type: 'transaction', key: to.transactionalId } as const;
    await this.#askCoordinator(coordinator, broker => broker.addOffsetsToTxn({ ...to, groupId }));
  }

  async commitOffset(
    to: TransactionalIdentity,
    groupId: string,
    { topic, partition }: TopicPartition,
    { offset, metadata }: Committed,
  ): Promise<void> {
    const topics = [{ topic, partitions: [{ partition, offset: String(offset), metadata }] }];
    const answer = await this.#askCoordinator({ type: 'group', key: groupId }, broker =>
      broker.txnOffsetCommit({ ...to, groupId, topics }),
    );
    const answered = answer.topics.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition }) => ({ topic, partition })),
    );
    requireAll([{ topic, partition }], answered, 'TxnOffsetCommit');
  }

  async endTransaction(of: TransactionalIdentity, outcome: 'commit' | 'abort'): Promise<void> {
    const coordinator = { type: 'transaction', key: of.transactionalId } as const;
    await this.#askCoordinator(coordinator, broker =>
      broker.endTxn({ ...of, transactionResult: outcome === 'commit' }),
    );
  }

  breakOff(node: NodeId): void {
    this.#links.get(node)?.link.breakOff('another leader is asked, or no answer came in time');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const link of [...this.#seeds, ...[...this.#links.values()].map(({ link }) => link)]) link.breakOff('closed');
  }

  #know(node: NodeId, { host, port }: Address): void {
    const known = this.#links.get(node);
    if (known?.address.host === host && known.address.port === port) return;
    known?.link.breakOff('the broker has moved');
    const address = { host, port };
    this.#links.set(node, { link: new BrokerLink(this.#connecting, address), address });
  }

  async #ask<T>(node: NodeId, ask: (broker: KafkaJsBroker) => Promise<T>): Promise<T> {
    const known = this.#links.get(node);
    if (known === undefined) throw new Error(`broker ${node} is not known`);
    return await known.link.ask(ask);
  }

  async #askCoordinator<T>(coordinator: Coordinator, ask: (broker: KafkaJsBroker) => Promise<T>): Promise<T> {
    const key = `${coordinator.type} ${coordinator.key}`;
    const node = this.#coordinators.get(key) ?? (await this.#findCoordinator(coordinator));
    this.#coordinators.set(key, node);
    try {
      return await this.#ask(node, ask);
    } catch (error) {
      // After any error, the next request looks up the coordinator again.
      this.#coordinators.delete(key);
      throw error;
    }
  }

  async #findCoordinator({ type, key }: Coordinator): Promise<NodeId> {
    const { coordinator } = await this.#askAny(broker =>
      broker.findGroupCoordinator({ groupId: key, coordinatorType: coordinatorTypes[type] }),
    );
    this.#know(coordinator.nodeId, coordinator);
    return coordinator.nodeId;
  }

  /**
   * Returns the first answer of any broker. The next one is asked as soon as the one before has failed, or has been
   * silent for long.
   */
  async #askAny<T>(ask: (broker: KafkaJsBroker) => Promise<T>): Promise<T> {
    const candidates = this.#candidates();
    const answer = Promise.withResolvers<T>();
    const errors: unknown[] = [];
    let answered = false;
    for (const link of candidates) {
      if (answered) break;
      const asked = link.ask(ask).then(
        value => {
          answered = true;
          answer.resolve(value);
        },
        error => {
          errors.push(error);
          if (errors.length === candidates.length) answer.reject(error);
        },
      );
      await Promise.race([asked, sleep(silentMs)]);
    }
    return await answer.promise;
  }

  /** Brokers with a connection come first, each time in another order. */
  #candidates(): BrokerLink[] {
    const links = [...this.#links.values()].map(({ link }) => link);
    const turned = links.map((_, i) => links[(i + this.#turn) % links.length]!);
    this.#turn++;
    const connected = turned.filter(link => link.isConnected);
    return [...connected, ...turned.filter(link => !link.isConnected), ...this.#seeds];
  }
}

/** The sender ends a request earlier when it does not want to wait any longer. */
const longestProduceMs = 90_000;
/** After this time another broker is asked in addition. */
const silentMs = 300;

class NothingToSend extends Error {
  /** The connection is not at fault. */
  readonly type = 'NOTHING_TO_SEND';
}

async function metadataOf(broker: KafkaJsBroker, topic: string): Promise<Metadata> {
  const { request, response } = broker.lookupRequest(
    apiKeys.metadata,
    definitions.Metadata,
  )({
    topics: [topic],
    allowAutoTopicCreation: false,
  });
  // kafkajs takes a partition without a leader for an error of the whole answer.
  const parse = async (decoded: unknown) => decoded as Metadata;
  return await broker.connectionPool.send({ request, response: { decode: response.decode, parse } });
}

function requireProduce({ versions }: KafkaJsBroker): void {
  const produce = versions?.[apiKeys.produce];
  if (produce && produce.minVersion <= produceVersion && produce.maxVersion >= produceVersion) return;
  const offered = produce ? `versions ${produce.minVersion} to ${produce.maxVersion}` : 'none';
  throw new Error(
    `the broker supports ${offered} of the Produce request, but must support ${produceVersion} (Kafka 2.1 to 4)`,
  );
}

function requireAll(asked: readonly TopicPartition[], answered: readonly TopicPartition[], api: string): void {
  const found = new Set(answered.map(keyOf));
  const missing = asked.filter(each => !found.has(keyOf(each)));
  if (missing.length > 0) throw new IncompleteAnswer(`the answer to ${api} lacks ${missing.map(keyOf).join(', ')}`);
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}[${partition}]`;
}
