/** kafkajs' own consumer group and offsets, on coordinators that go, move and hang. */
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it, vi } from 'vitest';
import type { ConsumerGroup, CoordinatedCluster } from '../../../../infra/kafka/group-coordinator.ts';
import '../../../../infra/kafka/group-coordinator.ts';
import { lastTroubleOf } from '../../../../infra/kafka/reading-trouble.ts';
import { eventually } from '../../../support/wait.ts';

const require = createRequire(import.meta.url);
const Cluster: { readonly prototype: CoordinatedCluster } = require('kafkajs/src/cluster/index.js');
const Group: { readonly prototype: ConsumerGroup } = require('kafkajs/src/consumer/consumerGroup.js');
const OffsetManager: { readonly prototype: Offsets } = require('kafkajs/src/consumer/offsetManager/index.js');
const Runner: { readonly prototype: { commitOffsets(offsets: unknown): Promise<void> } } =
  require('kafkajs/src/consumer/runner.js');
const Errors: { KafkaJSConnectionError: new (message: string) => Error } = require('kafkajs/src/errors.js');

interface Offsets {
  commitOffsets(offsets: unknown): Promise<void>;
}

const refused = () => new Errors.KafkaJSConnectionError('connect ECONNREFUSED');
const brokerError = (type: string) => Object.assign(new Error(type), { type });

/** What the broker `nodeId` does as the coordinator of a group. */
type Work = () => Promise<void>;

function clusterOf(brokers: Record<string, { coordinator: () => number; work: Work; isAway?: () => boolean }>) {
  const asked: string[] = [];
  const brokerAt = (nodeId: string | number) => {
    const at = brokers[nodeId];
    if (at === undefined || at.isAway?.()) throw refused();
    const work = async () => {
      asked.push(String(nodeId));
      await at.work();
    };
    return {
      nodeId,
      isConnected: () => !at.isAway?.(),
      heartbeat: work,
      offsetCommit: work,
      findGroupCoordinator: async () => ({ coordinator: { nodeId: at.coordinator() } }),
    };
  };
  const cluster = Object.assign(Object.create(Cluster.prototype), {
    getNodeIds: () => Object.keys(brokers),
    findBroker: async ({ nodeId }: { nodeId: string }) => brokerAt(nodeId),
    refreshMetadata: async () => {},
  }) as CoordinatedCluster;
  return { cluster, brokerAt, asked };
}

let groups = 0;

function groupOf(cluster: CoordinatedCluster, coordinator: unknown): ConsumerGroup & { generationId: number } {
  return Object.assign(Object.create(Group.prototype), {
    groupId: `group-${++groups}`,
    cluster,
    coordinator,
    memberId: 'member',
    generationId: 5,
  });
}

it('finds the coordinator though one broker is away and another does not know it yet', async () => {
  let known = 0;
  const { cluster } = clusterOf({
    1: { coordinator: () => 3, work: async () => {}, isAway: () => true },
    2: {
      coordinator() {
        if (known++ === 0) throw brokerError('GROUP_COORDINATOR_NOT_AVAILABLE');
        return 3;
      },
      work: async () => {},
    },
    3: { coordinator: () => 3, work: async () => {}, isAway: () => known < 2 },
  });
  expect(await cluster.findGroupCoordinator({ groupId: 'g' })).toMatchObject({ nodeId: 3 });
});

it('tells why no coordinator is found, at once where that does not pass', async () => {
  const { cluster } = clusterOf({
    1: {
      coordinator() {
        throw brokerError('GROUP_AUTHORIZATION_FAILED');
      },
      work: async () => {},
    },
  });
  await expect(cluster.findGroupCoordinator({ groupId: 'g' })).rejects.toThrow('GROUP_AUTHORIZATION_FAILED');
});

it('beats at the new coordinator, as the same member, when the old one is gone', async () => {
  const { cluster, brokerAt, asked } = clusterOf({
    1: { coordinator: () => 2, work: async () => Promise.reject(refused()) },
    2: { coordinator: () => 2, work: async () => {} },
  });
  const group = groupOf(cluster, brokerAt(1));
  await group.heartbeat({ interval: 0 });
  await eventually('a beat at the other', () => asked.includes('2'));
  expect(group).toMatchObject({ memberId: 'member', generationId: 5 });
  expect(lastTroubleOf(group.groupId)).toBeGreaterThan(0);
  await group.heartbeat({ interval: 1_000_000 });
});

it('does not hold up reading while the coordinator hangs, and tells a rebalance at the next beat', async () => {
  const hung = Promise.withResolvers<void>();
  const { cluster, brokerAt, asked } = clusterOf({ 1: { coordinator: () => 1, work: () => hung.promise } });
  const group = groupOf(cluster, brokerAt(1));
  await group.heartbeat({ interval: 0 });
  await group.heartbeat({ interval: 0 });
  expect(asked).toEqual(['1']);
  hung.reject(brokerError('REBALANCE_IN_PROGRESS'));
  await sleep(1);
  await expect(group.heartbeat({ interval: 0 })).rejects.toThrow('REBALANCE_IN_PROGRESS');
});

it('takes nothing of an earlier generation for news of this one', async () => {
  const hung = Promise.withResolvers<void>();
  let work = () => hung.promise;
  const { cluster, brokerAt } = clusterOf({ 1: { coordinator: () => 1, work: () => work() } });
  const group = groupOf(cluster, brokerAt(1));
  await group.heartbeat({ interval: 0 });
  group.generationId = 6;
  hung.reject(brokerError('ILLEGAL_GENERATION'));
  await sleep(1);
  work = async () => {};
  await group.heartbeat({ interval: 0 });
});

function offsetsOf(cluster: CoordinatedCluster, coordinator: unknown, generationId = 5): Offsets {
  return Object.assign(Object.create(OffsetManager.prototype), {
    groupId: 'g',
    cluster,
    coordinator,
    generationId,
    memberId: 'member',
    instrumentationEmitter: { emit() {} },
    committedOffsets: () => ({}),
  });
}

const commit = { topics: [{ topic: 'clicks', partitions: [] }] };

it('commits at the new coordinator where the old one is gone or loading', async () => {
  let isLoading = true;
  const { cluster, brokerAt, asked } = clusterOf({
    1: { coordinator: () => 2, work: async () => Promise.reject(brokerError('NOT_COORDINATOR_FOR_GROUP')) },
    2: {
      coordinator: () => 2,
      async work() {
        if (isLoading) {
          isLoading = false;
          throw brokerError('GROUP_LOAD_IN_PROGRESS');
        }
      },
    },
  });
  await offsetsOf(cluster, brokerAt(1)).commitOffsets(commit).catch(onlyBookkeeping);
  expect(asked).toEqual(['1', '2', '2']);
});

it('does not repeat a commit that the group refuses', async () => {
  const { cluster, brokerAt, asked } = clusterOf({
    1: { coordinator: () => 1, work: async () => Promise.reject(brokerError('ILLEGAL_GENERATION')) },
  });
  await expect(offsetsOf(cluster, brokerAt(1)).commitOffsets(commit)).rejects.toThrow('ILLEGAL_GENERATION');
  expect(asked).toEqual(['1']);
});

it('refuses a commit of a consumer that has ended, which kafkajs takes for done', async () => {
  const runner = Object.assign(Object.create(Runner.prototype), {
    running: false,
    consumerGroup: { offsetManager: { commitOffsets: async () => {} } },
  });
  await expect(runner.commitOffsets(commit)).rejects.toThrow('nothing is committed');
});

/** After the commit has been made, kafkajs notes it in fields that are not made here. */
function onlyBookkeeping(error: unknown): void {
  if (!(error instanceof TypeError)) throw error;
}

it.each([
  ['back', -600_000],
  ['forward', 600_000],
])('beats at the same pace when the clock is put %s by ten minutes', async (_, stepMs) => {
  const { cluster, brokerAt, asked } = clusterOf({ 1: { coordinator: () => 1, work: async () => {} } });
  const group = groupOf(cluster, brokerAt(1));
  await group.heartbeat({ interval: 60_000 });
  const clock = vi.spyOn(Date, 'now').mockReturnValue(Date.now() + stepMs);
  await group.heartbeat({ interval: 60_000 });
  expect(asked).toEqual(['1']);
  await sleep(20);
  await group.heartbeat({ interval: 10 });
  expect(asked).toEqual(['1', '1']);
  clock.mockRestore();
});
