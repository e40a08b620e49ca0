import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createFetchLoop } from '../../../../infra/kafka/fetch-loop.ts';
import { eventually } from '../../../support/wait.ts';

const program = join(import.meta.dirname, '../../../support/stopped-fetching.ts');

/** What becomes of a manager that is stopped while its brokers change. */
async function stopped(whose: 'kafkajs' | 'ours'): Promise<string> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, whose], { timeout: 50_000 });
  return stdout.trim();
}

const batchOf = (partition: number) => ({ topic: 't', partition });
const noBatches: ReturnType<typeof batchOf>[] = [];

describe('stopped while its brokers change', () => {
  it('kafkajs’ own fetch manager spins for ever', async () => {
    expect(await stopped('kafkajs')).toBe('spins');
  });

  it('ours ends', async () => {
    expect(await stopped('ours')).toBe('stopped');
  });
});

it('is what kafkajs’ runner makes', () => {
  const require = createRequire(import.meta.url);
  expect(require('kafkajs/src/consumer/fetchManager.js')).toBe(createFetchLoop);
});

it('gives the event loop its turns where every fetch returns at once', async () => {
  let fetches = 0;
  const loop = createFetchLoop({
    getNodeIds: () => ['1', '2'],
    async fetch() {
      fetches++;
      return noBatches;
    },
    handler: async () => {},
  });
  const ended = loop.start();
  await eventually('many rounds', async () => fetches > 20);
  await loop.stop();
  await ended;
});

it('gives the event loop its turns where every fetch brings something at once', async () => {
  let handled = 0;
  const loop = createFetchLoop({
    getNodeIds: () => ['1'],
    fetch: async () => [batchOf(0)],
    async handler() {
      handled++;
    },
  });
  const ended = loop.start();
  await eventually('many batches', async () => handled > 1_000);
  await loop.stop();
  await ended;
});

it('starts a loop for a broker that comes, ends that of one that goes, and leaves the others alone', async () => {
  let nodeIds = ['1', '2'];
  const fetches = new Map<string, number>();
  const loop = createFetchLoop({
    getNodeIds: () => nodeIds,
    async fetch(nodeId) {
      fetches.set(nodeId, (fetches.get(nodeId) ?? 0) + 1);
      // The first broker hangs: nobody else has to wait for it.
      if (nodeId === '1') await hung.promise;
      await sleep(1);
      return noBatches;
    },
    handler: async () => {},
  });
  const hung = Promise.withResolvers<void>();
  const of = (nodeId: string) => fetches.get(nodeId) ?? 0;
  const ended = loop.start();
  await eventually('fetches from the second', async () => of('2') > 3);
  nodeIds = ['1', '3'];
  await eventually('fetches from the third', async () => of('3') > 3);
  const second = of('2');
  const third = of('3');
  await eventually('more from the third', async () => of('3') > third + 3);
  expect(of('2')).toBe(second);
  nodeIds = [];
  await eventually('more while no broker is known', async () => of('3') > third + 6);
  hung.resolve();
  await loop.stop();
  await ended;
});

it('handles a partition for one broker at a time, and no more batches than allowed', async () => {
  const now = new Set<number>();
  let most = 0;
  let handled = 0;
  const loop = createFetchLoop({
    getNodeIds: () => ['1', '2', '3'],
    // Partition 0 is on its way from one broker to the next.
    fetch: async nodeId => [batchOf(0), batchOf(Number(nodeId))],
    async handler({ partition }) {
      if (now.has(partition)) throw new Error(`partition ${partition} is handled twice at a time`);
      now.add(partition);
      most = Math.max(most, now.size);
      await sleep(partition === 0 ? 20 : 2);
      now.delete(partition);
      handled++;
    },
    concurrency: 2,
  });
  const ended = loop.start();
  await eventually('many batches', async () => handled > 30);
  await loop.stop();
  await ended;
  expect(most).toBe(2);
});

it('ends with the first error of a fetch or a handler once all have ended, and can be started again', async () => {
  let failing = true;
  let handling = 0;
  let rounds = 0;
  const loop = createFetchLoop({
    getNodeIds: () => ['1', '2'],
    async fetch(nodeId) {
      if (nodeId === '1' && failing) throw new Error('fetch failed');
      return [batchOf(Number(nodeId))];
    },
    async handler() {
      handling++;
      await sleep(20);
      handling--;
      rounds++;
    },
    concurrency: 2,
  });
  await expect(loop.start()).rejects.toThrow('fetch failed');
  expect(handling).toBe(0);
  failing = false;
  const ended = loop.start();
  await eventually('more batches', async () => rounds > 5);
  await loop.stop();
  await ended;
});

it('fails, as kafkajs’ does, where no broker is known from the start', async () => {
  const loop = createFetchLoop({ getNodeIds: () => [], fetch: async () => noBatches, handler: async () => {} });
  await expect(loop.start()).rejects.toMatchObject({ name: 'KafkaJSNoBrokerAvailableError' });
});
