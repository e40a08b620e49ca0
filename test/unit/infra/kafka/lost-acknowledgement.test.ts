/**
 * The fault that lost acknowledged clicks on three brokers: a send that spans two brokers, one of which has answered when
 * the other's partition moves to it. On kafkajs' own produce path the send resolves and the partition was never written.
 */
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import { producerOver } from '../../../../infra/kafka/producer.ts';
import { HostileCluster } from './hostile-cluster.ts';

const require = createRequire(import.meta.url);
const { KafkaJSProtocolError } = require('kafkajs/src/errors.js');

it('acknowledges in kafkajs a partition that was not written', async () => {
  const written: number[] = [];
  const leaders = new Map([
    [0, 1],
    [1, 2],
  ]);
  const brokers = new Map(
    [1, 2].map(nodeId => [
      nodeId,
      {
        nodeId,
        async produce({ topicData }: { topicData: { partitions: { partition: number }[] }[] }) {
          const partitions = topicData.flatMap(({ partitions }) => partitions.map(({ partition }) => partition));
          if (nodeId === 2) {
            await new Promise(resolve => setTimeout(resolve, 20));
            throw new KafkaJSProtocolError({
              message: 'x',
              type: 'NOT_LEADER_FOR_PARTITION',
              code: 6,
              retriable: true,
            });
          }
          written.push(...partitions);
          const answered = partitions.map(partition => ({ partition, errorCode: 0, baseOffset: '0' }));
          return { topics: [{ topicName: 't', partitions: answered }] };
        },
      },
    ]),
  );
  const send = require('kafkajs/src/producer/sendMessages.js')({
    logger: { debug() {}, error() {} },
    cluster: clusterOf(leaders, brokers),
    eosManager: noTransactions,
    partitioner: ({ message }: { message: { partition: number } }) => message.partition,
    retrier: require('kafkajs/src/retry/index.js')({ retries: 5, initialRetryTime: 10 }),
  });
  const messages = [0, 1].map(partition => ({ partition, value: 'v' }));
  await send({ acks: -1, timeout: 1_000, topicMessages: [{ topic: 't', messages }] });
  expect(written).toEqual([0]);
});

it('writes it in ours, before it is acknowledged', async () => {
  const cluster = new HostileCluster([1, 2]);
  await using producer = producerOver(cluster, { acks: -1, timeoutMs: 5_000 });
  cluster.hang(2);
  const sent = producer.send(
    't',
    [0, 1].map(partition => ({ partition, value: `v${partition}` })),
  );
  setTimeout(() => {
    cluster.leaderOf.set(1, 1);
    cluster.release(2);
  }, 20);
  await sent;
  expect([cluster.valuesOf(0), cluster.valuesOf(1)]).toEqual([['v0'], ['v1']]);
});

/** Broker 2 shuts down, and 1 takes over what it led. */
function clusterOf(leaders: Map<number, number>, brokers: Map<number, object>) {
  return {
    refreshMetadataIfNecessary: async () => undefined,
    refreshMetadata: async () => void leaders.set(1, 1),
    addMultipleTargetTopics: async () => undefined,
    isConnected: () => true,
    findBroker: async ({ nodeId }: { nodeId: string }) => brokers.get(Number(nodeId)),
    findTopicPartitionMetadata: () => [...leaders].map(([partitionId, leader]) => ({ partitionId, leader })),
    findLeaderForPartitions: (_topic: string, partitions: string[]) =>
      Object.fromEntries(
        Map.groupBy(partitions.map(Number), partition => leaders.get(partition)!) as Map<number, number[]>,
      ),
  };
}

const noTransactions = {
  acquireBrokerLock: async () => undefined,
  releaseBrokerLock: async () => undefined,
  isTransactional: () => false,
  getSequence: () => 0,
  updateSequence: () => undefined,
  getProducerId: () => 1,
  getProducerEpoch: () => 0,
};
