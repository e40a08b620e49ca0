/** kafkajs' own broker, cluster and consumer group, on brokers that answer less, more or other than they were asked. */
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import type { CheckedBroker, CheckedCluster } from '../../../../infra/kafka/checked-answers.ts';
import '../../../../infra/kafka/checked-answers.ts';
import { isPassing } from '../../../../infra/kafka/passing-errors.ts';

const require = createRequire(import.meta.url);
const Broker: new (options: object) => CheckedBroker & { lookupRequest: unknown } =
  require('kafkajs/src/broker/index.js');
const Cluster: { readonly prototype: CheckedCluster } = require('kafkajs/src/cluster/index.js');
const ConsumerGroup: {
  readonly prototype: { findReadReplicaForPartitions(topic: string, partitions: number[]): object };
} = require('kafkajs/src/consumer/consumerGroup.js');

const logger: object = { namespace: () => logger, debug() {}, error() {}, warn() {}, info() {} };

/** A broker that gives this answer to every request. */
function brokerWith(answer: object): CheckedBroker {
  const broker = new Broker({
    logger,
    connectionPool: { host: 'h', port: 1, connectionTimeout: 1, send: async () => structuredClone(answer) },
  });
  broker.lookupRequest = () => () => ({});
  return broker;
}

const topics = [{ topic: 'clicks', partitions: [{ partition: 0 }, { partition: 1 }] }];
const responses = (...partitions: { partition: number; offset?: string }[]) => ({
  responses: [{ topic: 'clicks', topicName: 'clicks', partitions }],
});
const metadata = (...ids: number[]) => ({
  topicMetadata: [{ topic: 'clicks', partitionMetadata: ids.map(partitionId => ({ partitionId, leader: 1 })) }],
});
const passing = (message: string) => (error: unknown) => {
  expect(String(error)).toContain(message);
  expect(isPassing(error)).toBe(true);
  return true;
};
const rejection = (work: Promise<unknown>) =>
  work.then(
    () => 'taken for an answer',
    error => error,
  );

const zero = { partition: 0, offset: '5' };
const one = { partition: 1, offset: '7' };
const begins = [{ topic: 'clicks', partitions: [0, 1].map(partition => ({ partition, timestamp: -2 })) }];

it.each([
  ['a commit that lacks a partition', (b: CheckedBroker) => b.offsetCommit({ topics }), responses(zero), 'clicks[1]'],
  ['a commit of nothing', (b: CheckedBroker) => b.offsetCommit({ topics }), { responses: [] }, 'clicks[0]'],
  [
    'a commit of another partition',
    (b: CheckedBroker) => b.offsetCommit({ topics }),
    responses(zero, one, { partition: 9 }),
    'clicks[9], which was not asked for',
  ],
  [
    'a commit that tells of a partition twice',
    (b: CheckedBroker) => b.offsetCommit({ topics }),
    responses(zero, one, zero),
    'clicks[0], which was not asked for',
  ],
  [
    'committed offsets without a partition',
    (b: CheckedBroker) => b.offsetFetch({ topics }),
    responses(zero),
    'clicks[1]',
  ],
  [
    'committed offsets that are none',
    (b: CheckedBroker) => b.offsetFetch({ topics }),
    responses(zero, { partition: 1, offset: '-2' }),
    '-2 is not an offset of clicks[1]',
  ],
  ['begins without a partition', (b: CheckedBroker) => b.listOffsets({ topics: begins }), responses(one), 'clicks[0]'],
  [
    'a begin that is none',
    (b: CheckedBroker) => b.listOffsets({ topics: begins }),
    responses(zero, { partition: 1, offset: '-1' }),
    '-1 is not an offset of clicks[1]',
  ],
  ['a fetch without a partition', (b: CheckedBroker) => b.fetch({ topics }), responses(one), 'clicks[0]'],
  [
    'a fetch that failed as a whole',
    (b: CheckedBroker) => b.fetch({ topics }),
    { errorCode: 70, responses: [] },
    'error 70',
  ],
  [
    'metadata without a topic',
    (b: CheckedBroker) => b.metadata(['clicks']),
    { topicMetadata: [] },
    'the answer does not contain topic clicks',
  ],
  ['metadata without any partition', (b: CheckedBroker) => b.metadata(['clicks']), metadata(), 'without partition 0'],
  ['metadata without a partition', (b: CheckedBroker) => b.metadata(['clicks']), metadata(0, 2), 'without partition 1'],
] as const)('takes %s for an error that passes', async (_what, ask, answer, message) => {
  expect(await rejection(ask(brokerWith(answer)))).toSatisfy(passing(message));
});

it('takes complete answers as they are', async () => {
  const complete = brokerWith({ ...responses(zero, one), ...metadata(1, 0), topics: responses(zero, one).responses });
  expect((await complete.offsetCommit({ topics })).responses).toHaveLength(1);
  expect((await complete.listOffsets({ topics: begins })).responses).toHaveLength(1);
  expect((await complete.fetch({ topics })).responses).toHaveLength(1);
  expect((await complete.deleteRecords({ topics })).topics).toHaveLength(1);
  expect((await complete.metadata(['clicks'])).topicMetadata).toHaveLength(1);
  const withoutCommit = brokerWith(responses(zero, { partition: 1, offset: '-1' }));
  expect((await withoutCommit.offsetFetch({ topics })).responses[0]?.partitions[1]?.offset).toBe('-1');
});

/** A cluster as its methods see it. */
function clusterOf(leaders: () => Record<number, number>, listOffsets: (node: string) => Promise<object>) {
  let refreshed = 0;
  const cluster = Object.assign(Object.create(Cluster.prototype), {
    isolationLevel: 0,
    findTopicPartitionMetadata: () =>
      Object.entries(leaders()).map(([id, leader]) => ({ partitionId: Number(id), leader })),
    findBroker: async ({ nodeId }: { nodeId: string }) => ({ listOffsets: () => listOffsets(nodeId) }),
    async refreshMetadata() {
      refreshed++;
    },
  });
  return { cluster: cluster as CheckedCluster, refreshed: () => refreshed };
}

it('takes offsets without a partition that the metadata does not know for an error', async () => {
  const { cluster } = clusterOf(
    () => ({ 0: 1 }),
    async () => responses(zero),
  );
  expect(await rejection(cluster.fetchTopicsOffset(topics))).toSatisfy(passing('clicks[1]'));
  const nothing = [{ topic: 'clicks', partitions: [] }];
  expect(await rejection(cluster.fetchTopicsOffset(nothing))).toSatisfy(passing('no partition of clicks'));
});

it('asks for no offsets of a topic of which nothing is asked: all its partitions have commits', async () => {
  const { cluster } = clusterOf(
    () => ({ 0: 1, 1: 1 }),
    async () => responses(zero, one),
  );
  const asked = [...topics, { topic: 'committed', partitions: [] }];
  expect(await cluster.fetchTopicsOffset(asked)).toEqual([{ topic: 'clicks', partitions: [zero, one] }]);
});

it('looks again who leads a partition where its leader has moved', async () => {
  let leaders: Record<number, number> = { 0: 1, 1: 1 };
  const found = clusterOf(
    () => leaders,
    async nodeId => {
      if (nodeId === '2') return responses(zero, one);
      leaders = { 0: 2, 1: 2 };
      throw Object.assign(new Error('not leader'), { type: 'NOT_LEADER_FOR_PARTITION' });
    },
  );
  expect(await found.cluster.fetchTopicsOffset(topics)).toEqual([{ topic: 'clicks', partitions: [zero, one] }]);
  expect(found.refreshed()).toBe(1);
});

it('takes an assigned partition that the metadata does not know for an error, instead of reading nothing of it', () => {
  const group = Object.assign(Object.create(ConsumerGroup.prototype), {
    cluster: { findTopicPartitionMetadata: () => [{ partitionId: 0, leader: 1 }] },
    preferredReadReplicasPerTopicPartition: {},
  });
  expect(group.findReadReplicaForPartitions('clicks', [0])).toEqual({ 1: [0] });
  expect(() => group.findReadReplicaForPartitions('clicks', [0, 1])).toThrow('clicks[1] is assigned');
});
