import { describe, expect, it } from 'vitest';
import { nodeChecks, servedNodes } from '../../../aggregator/sink/served-nodes.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import type { ClusterNode } from '../../../infra/clickhouse/cluster.ts';
import { ConfigError } from '../../../infra/errors.ts';

const node = (name: string): ClusterNode => {
  const clickhouse = { ping: () => Promise.reject(new Error(`${name} is away`)) } as unknown as ClickHouse;
  return { name, shard: 0, tcp: '', clickhouse };
};
const cluster: { nodes: [ClusterNode, ...ClusterNode[]] } = { nodes: [node('a:1'), node('b:1')] };

describe('a sink process', () => {
  it('serves all nodes, or those that SINK_NODES names', () => {
    const served = (names: string) => servedNodes(cluster, names).map(({ name }) => name);
    expect(served('')).toEqual(['a:1', 'b:1']);
    expect(served(' b:1 ')).toEqual(['b:1']);
    expect(served('b:1,a:1')).toEqual(['a:1', 'b:1']);
  });

  it('refuses a name that no node has', () => {
    expect(() => servedNodes(cluster, 'a:1,c:1')).toThrow(ConfigError);
    expect(() => servedNodes(cluster, 'a:1,c:1')).toThrow('CLICKHOUSE_URL has no node "c:1" (it has a:1, b:1)');
  });

  it('says of each node whether it is there and takes rows', async () => {
    const inserts = (name: string) => () => {
      throw new Error(`nothing goes into ${name}`);
    };
    const told = async (nodes: readonly ClusterNode[]) => {
      const checks = Object.entries(nodeChecks(nodes, inserts));
      const failures = checks.map(async ([name, check]) => {
        const why = await Promise.resolve()
          .then(check)
          .catch((error: Error) => error.message);
        return [name, why];
      });
      return Object.fromEntries(await Promise.all(failures));
    };
    expect(await told(cluster.nodes)).toEqual({
      'clickhouse a:1': 'a:1 is away',
      'inserts a:1': 'nothing goes into a:1',
      'clickhouse b:1': 'b:1 is away',
      'inserts b:1': 'nothing goes into b:1',
    });
    expect(Object.keys(await told(cluster.nodes.slice(0, 1)))).toEqual(['clickhouse', 'inserts']);
  });
});
