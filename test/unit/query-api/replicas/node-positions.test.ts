import { expect, it } from 'vitest';
import { sinkNode } from '../../../../aggregator/sink/node.ts';
import type { Admin } from '../../../../infra/kafka/admin.ts';
import { names as namesOf } from '../../../../infra/topics.ts';
import { nodePositions } from '../../../../query-api/log/node-positions.ts';

const names = namesOf('p-');
const of = (name: string, shard: number, incarnation: string | undefined, topology = { shards: 2, nodes: 2 }) => ({
  ...sinkNode({ name, shard }, topology, ''),
  incarnation: async () => incarnation,
});
/** The commits of each group for partitions 0 and 1 of any topic. */
function adminWith(commits: Record<string, string>): Pick<Admin, 'ranges' | 'commits'> {
  return {
    ranges: async () =>
      new Map([
        [0, { start: 5, end: 100 }],
        [1, { start: 6, end: 100 }],
      ]),
    commits: async group => {
      const metadata = commits[group];
      if (metadata === undefined) return new Map();
      return new Map([0, 1].map(partition => [partition, { offset: 90 + partition, metadata }]));
    },
  };
}
const clicks = async (admin: Pick<Admin, 'ranges' | 'commits'>, ...nodes: ReturnType<typeof of>[]) =>
  (await nodePositions(admin, names, nodes))
    .filter(({ topicName }) => topicName === 'clicks')
    .map(({ node, group, partition, from, position, end }) => [node, group, partition, from, position, end]);

it('of a node are the partitions of its shard, in its own groups', async () => {
  const admin = adminWith({ 'p-sink-raw-a': 'x@0', 'p-sink-raw-b': 'y@5' });
  expect(await clicks(admin, of('a', 0, 'x'), of('b', 1, 'y'))).toEqual([
    ['a', 'p-sink-raw-a', 0, 0, 90, 100],
    ['b', 'p-sink-raw-b', 1, 5, 91, 100],
  ]);
});

it('of the only node are all partitions, in the groups without its name', async () => {
  const only = of('a', 0, '', { shards: 1, nodes: 1 });
  expect(await clicks(adminWith({ 'p-sink-raw': '' }), only)).toEqual([
    ['a', 'p-sink-raw', 0, 0, 90, 100],
    ['a', 'p-sink-raw', 1, 0, 91, 100],
  ]);
});

it('of a node that was emptied since, or was never filled, are the beginning of the log', async () => {
  const admin = adminWith({ 'p-sink-raw-a': 'before@0' });
  expect(await clicks(admin, of('a', 0, 'now'), of('b', 1, 'y'))).toEqual([
    ['a', 'p-sink-raw-a', 0, 5, 5, 100],
    ['b', 'p-sink-raw-b', 1, 6, 6, 100],
  ]);
});

it('of a node whose incarnation is not known are the committed ones', async () => {
  const admin = adminWith({ 'p-sink-raw-a': 'x@3' });
  expect(await clicks(admin, of('a', 0, undefined))).toEqual([['a', 'p-sink-raw-a', 0, 0, 90, 100]]);
});

it('in the topics of jobs and people are reported for all nodes of all shards', async () => {
  const admin = adminWith({ 'p-sink-results-a': 'x@0', 'p-sink-results-b': 'y@0' });
  const positions = await nodePositions(admin, names, [of('a', 0, 'x'), of('b', 1, 'y')]);
  const seals = positions.filter(({ topicName }) => topicName === 'seals');
  expect(seals.map(({ node, partition, position }) => [node, partition, position])).toEqual([
    ['a', 0, 90],
    ['a', 1, 91],
    ['b', 0, 90],
    ['b', 1, 91],
  ]);
});
