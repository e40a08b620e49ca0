import { describe, expect, it } from 'vitest';
import { beginsOf, heldBy, heldSince } from '../../../aggregator/sink/held-offsets.ts';
import { sinkNode } from '../../../aggregator/sink/node.ts';
import type { Admin } from '../../../infra/kafka/admin.ts';

const commit = (offset: number, metadata: string) => ({ offset, metadata });

describe('a committed offset of a sink', () => {
  it('says what a node holds in the life of its tables that it was committed in', () => {
    expect(heldBy(commit(7, heldSince('a', 0)), 'a')).toEqual({ from: 0, to: 7 });
    expect(heldBy(commit(7, heldSince('a', 5)), 'a')).toEqual({ from: 5, to: 7 });
    expect(heldBy(commit(7, heldSince('', 5)), '')).toEqual({ from: 5, to: 7 });
  });

  it('says nothing of another life, nor where there is none', () => {
    expect(heldBy(commit(7, heldSince('a', 0)), 'b')).toBeUndefined();
    expect(heldBy(commit(7, heldSince('', 0)), 'b')).toBeUndefined();
    expect(heldBy(commit(7, heldSince('a', 0)), '')).toBeUndefined();
    expect(heldBy(commit(7, 'a'), 'a')).toBeUndefined();
    expect(heldBy(undefined, 'a')).toBeUndefined();
  });

  it('of before there were incarnations holds for the tables of before', () => {
    expect(heldSince('', 0)).toBe('');
    expect(heldBy(commit(7, ''), '')).toEqual({ from: 0, to: 7 });
  });
});

describe('the beginning of a leg', () => {
  const admin: Pick<Admin, 'commits' | 'ranges'> = {
    commits: async () =>
      new Map([
        [0, commit(90, heldSince('now', 20))],
        [1, commit(95, heldSince('before', 0))],
      ]),
    ranges: async () => new Map([0, 1, 2].map(partition => [partition, { start: 40 + partition, end: 100 }])),
  };

  it('is where it stands, or where the log begins if the node was emptied or never filled', async () => {
    expect(await beginsOf(admin, 'g', new Map([['clicks', [0, 1, 2]]]), 'now')).toEqual([
      { topic: 'clicks', partition: 0, seek: undefined, from: 20 },
      { topic: 'clicks', partition: 1, seek: 41, from: 41 },
      { topic: 'clicks', partition: 2, seek: 42, from: 42 },
    ]);
  });
});

describe('a node', () => {
  it('holds the partitions of its shard, and no others', () => {
    const held = (shard: number) =>
      [0, 1, 2, 3, 4].filter(sinkNode({ name: 'n', shard }, { shards: 2, nodes: 4 }, '').holds);
    expect([held(0), held(1)]).toEqual([
      [0, 2, 4],
      [1, 3],
    ]);
  });

  it('has its name in its groups unless it is the only one', () => {
    const of = { name: 'a:8123', shard: 0 };
    expect(sinkNode(of, { shards: 1, nodes: 1 }, '').inGroups).toBeUndefined();
    expect(sinkNode(of, { shards: 1, nodes: 2 }, '').inGroups).toBe('a:8123');
  });
});
