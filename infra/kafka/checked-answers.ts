/**
 * Checks every answer that reading depends on against its request: anything that is missing, unknown or senseless is an
 * error, and never an empty value.
 *
 * kafkajs checks the error codes of an answer and trusts the rest. A partition that an answer leaves out then counts as
 * committed, as never committed or as empty, or is not read any more.
 *
 * The checks are at the two places that all answers pass, for consumers and admin: the methods of kafkajs' broker, each
 * of which sends one request, and those methods of its cluster that combine several answers. They are replaced before
 * they are used. The errors are passing errors (passing-errors.ts): the same broker or another one is asked again.
 */
import './fetch-loop.ts';
import { AsyncLocalStorage } from 'node:async_hooks';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import './request-frame.ts';
import { refreshIfOld } from './metadata-age.ts';
import { incompleteAnswer, isPassing, passOver } from './passing-errors.ts';

export interface PartitionsOfTopic<Partition extends { readonly partition: number } = { readonly partition: number }> {
  readonly topic: string;
  readonly partitions: readonly Partition[];
}

type Offsets = PartitionsOfTopic<{ readonly partition: number; readonly offset: string }>;

export interface Metadata {
  readonly topicMetadata: readonly {
    readonly topicErrorCode?: number;
    readonly topic: string;
    readonly partitionMetadata: readonly {
      readonly partitionErrorCode?: number;
      readonly partitionId: number;
      readonly leader: number;
    }[];
  }[];
}

interface Asked<Partition extends { readonly partition: number } = { readonly partition: number }> {
  readonly topics: readonly PartitionsOfTopic<Partition>[];
}

/** As far as it is used. */
export interface CheckedBroker {
  metadata(topics?: readonly string[]): Promise<Metadata>;
  fetch(asked: Asked): Promise<{
    readonly errorCode?: number;
    readonly responses: readonly { readonly topicName: string; readonly partitions: PartitionsOfTopic['partitions'] }[];
  }>;
  listOffsets(
    asked: Asked<{ readonly partition: number; readonly timestamp?: number }>,
  ): Promise<{ readonly responses: readonly Offsets[] }>;
  offsetFetch(asked: Asked): Promise<{ readonly responses: readonly Offsets[] }>;
  offsetCommit(asked: Asked): Promise<{ readonly responses: readonly PartitionsOfTopic[] }>;
  deleteRecords(asked: Asked): Promise<{ readonly topics: readonly PartitionsOfTopic[] }>;
}

/** As far as it is used. */
export interface CheckedCluster {
  refreshMetadata(): Promise<void>;
  fetchTopicsOffset(topics: readonly PartitionsOfTopic[]): Promise<readonly Offsets[]>;
}

/** As far as it is used. */
interface ConsumerGroup {
  findReadReplicaForPartitions(topic: string, partitions: readonly number[]): Readonly<Record<string, number[]>>;
}

/** Timestamps that stand for the beginning and the end of a partition. */
const specialTimestamps: ReadonlySet<number | undefined> = new Set([-2, -1]);
const noCommit = '-1';

const require = createRequire(import.meta.url);
const Broker: { readonly prototype: CheckedBroker } = require('kafkajs/src/broker/index.js');
const Cluster: { readonly prototype: CheckedCluster } = require('kafkajs/src/cluster/index.js');
const ConsumerGroup: { readonly prototype: ConsumerGroup } = require('kafkajs/src/consumer/consumerGroup.js');

const { metadata, fetch, listOffsets, offsetFetch, offsetCommit, deleteRecords } = Broker.prototype;

Broker.prototype.metadata = async function (topics = []) {
  const answer = await metadata.call(this, topics);
  checkMetadata(topics, answer);
  return answer;
};

Broker.prototype.fetch = async function (asked) {
  const answer = await fetch.call(this, asked);
  if (answer.errorCode) throw incompleteAnswer(`Fetch: error ${answer.errorCode}`);
  const answered = answer.responses.map(({ topicName, partitions }) => ({ topic: topicName, partitions }));
  compare('Fetch', asked.topics, answered);
  return answer;
};

const isolation = new AsyncLocalStorage<typeof readUncommitted>();
const readUncommitted = 0;

/**
 * Where `work` asks for the end of a partition, it is the high watermark, which readers of uncommitted records reach. kafkajs
 * always asks for the last stable offset, and has no argument for anything else.
 */
export function withHighWatermarks<T>(work: () => Promise<T>): Promise<T> {
  return isolation.run(readUncommitted, work);
}

/** Whether the present question is one of those. */
export function asksForHighWatermarks(): boolean {
  return isolation.getStore() !== undefined;
}

Broker.prototype.listOffsets = async function (asked) {
  const isolationLevel = isolation.getStore();
  const answer = await listOffsets.call(this, isolationLevel === undefined ? asked : { ...asked, isolationLevel });
  compare('ListOffsets', asked.topics, answer.responses);
  const isSpecial = asked.topics.every(({ partitions }) =>
    partitions.every(({ timestamp }) => specialTimestamps.has(timestamp)),
  );
  // A time may lie behind the last record. The beginning and the end always have an offset.
  if (isSpecial) checkOffsets('ListOffsets', answer.responses);
  return answer;
};

Broker.prototype.offsetFetch = async function (asked) {
  const answer = await offsetFetch.call(this, asked);
  compare('OffsetFetch', asked.topics, answer.responses);
  checkOffsets('OffsetFetch', answer.responses, noCommit);
  return answer;
};

Broker.prototype.offsetCommit = async function (asked) {
  const answer = await offsetCommit.call(this, asked);
  compare('OffsetCommit', asked.topics, answer.responses);
  return answer;
};

Broker.prototype.deleteRecords = async function (asked) {
  const answer = await deleteRecords.call(this, asked);
  compare('DeleteRecords', asked.topics, answer.topics);
  return answer;
};

const { fetchTopicsOffset } = Cluster.prototype;
const attempts = 5;
const longestMs = 5_000;

/**
 * kafkajs asks nobody for a partition that its metadata does not know, and leaves it out of the result. It also keeps
 * asking a former leader while that one lives. So the metadata is fetched again here.
 */
Cluster.prototype.fetchTopicsOffset = async function (topics) {
  const startedAt = performance.now();
  for (let tried = 1; ; tried++) {
    try {
      await refreshIfOld(this);
      // Some of several topics may have nothing to ask for, because all their partitions have commits.
      const asked = topics.filter(({ partitions }) => partitions.length > 0);
      if (asked.length === 0)
        throw incompleteAnswer(`no partition of ${topics.map(({ topic }) => topic).join(', ')} is known`);
      const answered = await fetchTopicsOffset.call(this, asked);
      compare('ListOffsets of all brokers', asked, answered);
      return answered;
    } catch (error) {
      if (tried === attempts || performance.now() - startedAt > longestMs || !isPassing(error)) throw error;
      await sleep(100 * 2 ** (tried - 1));
      await this.refreshMetadata().catch(passOver);
    }
  }
};

const { findReadReplicaForPartitions } = ConsumerGroup.prototype;

/** kafkajs reads nothing from an assigned partition that its metadata does not know, and does not report it. */
ConsumerGroup.prototype.findReadReplicaForPartitions = function (topic, partitions) {
  const byNode = findReadReplicaForPartitions.call(this, topic, partitions);
  const found = new Set(Object.values(byNode).flat());
  const missing = partitions.find(partition => !found.has(partition));
  if (missing !== undefined) throw incompleteAnswer(`${topic}[${missing}] is assigned, but is not in the metadata`);
  return byNode;
};

/** @throws when the answer does not cover exactly the requested partitions, each once */
function compare(request: string, asked: readonly PartitionsOfTopic[], answered: readonly PartitionsOfTopic[]): void {
  const open = new Set(namesOf(asked));
  for (const name of namesOf(answered)) {
    if (!open.delete(name)) throw incompleteAnswer(`${request}: the answer contains ${name}, which was not asked for`);
  }
  const [missing] = open;
  if (missing !== undefined) throw incompleteAnswer(`${request}: the answer does not contain ${missing}`);
}

function checkOffsets(request: string, answered: readonly Offsets[], besides?: string): void {
  for (const { topic, partitions } of answered) {
    for (const { partition, offset } of partitions) {
      if (offset === besides || /^\d+$/.test(offset)) continue;
      throw incompleteAnswer(`${request}: ${offset} is not an offset of ${topic}[${partition}]`);
    }
  }
}

function namesOf(topics: readonly PartitionsOfTopic[]): string[] {
  return topics.flatMap(({ topic, partitions }) => partitions.map(({ partition }) => `${topic}[${partition}]`));
}

/**
 * The partitions of a topic are 0, 1, 2 …. A missing one would be missing in everything that relies on this. @throws
 * when a topic or a partition is missing
 */
export function checkMetadata(topics: readonly string[], { topicMetadata }: Metadata): void {
  const found = new Map(topicMetadata.map(({ topic, partitionMetadata }) => [topic, partitionMetadata]));
  for (const topic of topics)
    if (!found.has(topic)) throw incompleteAnswer(`Metadata: the answer does not contain topic ${topic}`);
  for (const [topic, partitions] of found) {
    const ids = new Set(partitions.map(({ partitionId }) => partitionId));
    const missing = [...partitions.keys()].find(id => !ids.has(id));
    if (partitions.length === 0 || missing !== undefined)
      throw incompleteAnswer(`Metadata: topic ${topic} without partition ${missing ?? 0}`);
  }
}
