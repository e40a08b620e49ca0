/** kafkajs' own pool of brokers, on brokers that hang, leave, and lead nothing. */
import { createRequire } from 'node:module';
import { expect, it } from 'vitest';
import '../../../../infra/kafka/metadata-refresh.ts';
import type { BrokerPool } from '../../../../infra/kafka/metadata-refresh.ts';

const require = createRequire(import.meta.url);
const Pool: new (options: object) => BrokerPool = require('kafkajs/src/cluster/brokerPool.js');
const Decoded: { parse(answer: object): Promise<object> } =
  require('kafkajs/src/protocol/requests/metadata/v6/response.js');
const { KafkaJSConnectionError }: { KafkaJSConnectionError: new (message: string) => Error } =
  require('kafkajs/src/errors.js');

const logger: object = { namespace: () => logger, debug() {}, error() {}, warn() {}, info() {} };

interface FakeBroker {
  connect?(): Promise<void>;
  metadata?(): Promise<object>;
  disconnect?(): Promise<void>;
}

const address = (nodeId: number) => ({ nodeId, host: `broker-${nodeId}`, port: 9092, rack: null });
/** Nodes and, by partition, leaders. */
const answer = (nodes: number[], leaders: number[] = [1], errorCode = 0) => ({
  brokers: nodes.map(address),
  topicMetadata: [
    {
      topic: 'clicks',
      topicErrorCode: 0,
      partitionMetadata: leaders.map((leader, partitionId) => ({
        partitionId,
        leader,
        partitionErrorCode: leader === -1 ? errorCode : 0,
      })),
    },
  ],
});

function poolOf(fakes: Record<number, FakeBroker>) {
  const asked: number[] = [];
  const pool = new Pool({
    logger,
    connectionPoolBuilder: { build: async (at: object) => at },
    metadataMaxAge: 60_000,
    retry: { retries: 0 },
  });
  const brokerOf = (nodeId: number) => {
    let isConnected = false;
    const fake = fakes[nodeId] ?? {};
    return {
      nodeId,
      connectionPool: { ...address(nodeId) },
      isConnected: () => isConnected,
      async connect() {
        await fake.connect?.();
        isConnected = true;
      },
      disconnect: async () => fake.disconnect?.(),
      async metadata() {
        asked.push(nodeId);
        // As it comes from the wire.
        return await Decoded.parse((await fake.metadata?.()) ?? answer([nodeId]));
      },
    };
  };
  pool.createBroker = (options: object) => brokerOf((options as { nodeId: number }).nodeId) as never;
  pool.brokers = Object.fromEntries(Object.keys(fakes).map(id => [id, brokerOf(Number(id)) as never]));
  return { pool, asked };
}

const hangs = () => new Promise<never>(() => {});

it('does not wait for a broker that hangs', async () => {
  const { pool } = poolOf({ 1: { metadata: hangs }, 2: { metadata: async () => answer([1, 2, 3]) } });
  await pool.refreshMetadata(['clicks']);
  expect(Object.keys(pool.brokers)).toEqual(['1', '2', '3']);
});

it('does not believe a broker that the others have lost, and that still calls itself the leader', async () => {
  const lost = { metadata: async () => answer([1, 2, 3], [1, 1]) };
  const well = { metadata: async () => answer([2, 3], [2, 3]) };
  for (const others of [{ 2: well, 3: well }, { 2: well }]) {
    const { pool } = poolOf({ 1: lost, ...others });
    await pool.refreshMetadata(['clicks']);
    expect(pool.metadata?.topicMetadata[0]?.partitionMetadata.map(({ leader }) => leader)).toEqual([2, 3]);
    expect(Object.keys(pool.brokers)).toEqual(['2', '3']);
  }
});

it('asks the next broker where one takes connections and answers nothing, or takes none', async () => {
  const refused = async () => Promise.reject(new KafkaJSConnectionError('connect ECONNREFUSED'));
  const { pool, asked } = poolOf({ 1: { connect: hangs }, 2: { connect: refused }, 3: {} });
  await pool.refreshMetadata(['clicks']);
  expect(asked).toEqual([3]);
});

it('does not wait for one that has left', async () => {
  const { pool } = poolOf({ 1: { metadata: async () => answer([1]) }, 2: { metadata: hangs, disconnect: hangs } });
  await pool.refreshMetadata(['clicks']);
  expect(Object.keys(pool.brokers)).toEqual(['1']);
});

it('learns of all others where one partition has no leader, and looks for that one soon', async () => {
  const { pool } = poolOf({ 1: { metadata: async () => answer([1], [1, -1, 1], 5) } });
  const askedAt = Date.now();
  await pool.refreshMetadata(['clicks']);
  expect(pool.metadata?.topicMetadata[0]?.partitionMetadata.map(({ leader }) => leader)).toEqual([1, -1, 1]);
  expect(Number(pool.metadataExpireAt) - askedAt).toBeLessThan(60_000);
});

it('still tells whoever waits for leaders that one is missing', async () => {
  await expect(Decoded.parse(answer([1], [-1], 5))).rejects.toMatchObject({ type: 'LEADER_NOT_AVAILABLE' });
});

it('takes metadata that lack a partition for no answer', async () => {
  const { pool } = poolOf({
    1: { metadata: async () => ({ ...answer([1, 2]), topicMetadata: [] }) },
    2: { metadata: async () => answer([1, 2], [2]) },
  });
  await pool.refreshMetadata(['clicks']);
  expect(pool.metadata?.topicMetadata[0]?.partitionMetadata[0]?.leader).toBe(2);
});

it('goes on to the next where any broker will do, and tells why none did', async () => {
  const refused = async () => Promise.reject(new KafkaJSConnectionError('connect ECONNREFUSED'));
  const { pool } = poolOf({ 1: { connect: refused }, 2: {}, 3: {} });
  const asked: string[] = [];
  const answered = await pool.withBroker(async ({ nodeId }) => {
    asked.push(nodeId);
    if (nodeId === '2') throw new Error('not now');
    return nodeId;
  });
  expect(asked).toContain('3');
  expect(answered).toBe('3');
  await expect(pool.withBroker(async () => Promise.reject(new Error('not allowed')))).rejects.toThrow('not allowed');
  await expect(poolOf({}).pool.withBroker(async () => 1)).rejects.toThrow('No brokers');
});
