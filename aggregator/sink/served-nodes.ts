/** Chooses the nodes of the topology that a sink process fills, and reports for each of them whether it is filled. */
import type { Cluster, ClusterNode } from '../../infra/clickhouse/cluster.ts';
import { ConfigError } from '../../infra/errors.ts';

/**
 * `names` is a comma-separated list. When it is empty, all nodes are chosen. @throws ConfigError for a name that no
 * node has
 */
export function servedNodes({ nodes }: Pick<Cluster, 'nodes'>, names: string): readonly ClusterNode[] {
  if (names.trim() === '') return nodes;
  const wanted = names.split(',').map(name => name.trim());
  const unknown = wanted.find(name => !nodes.some(node => node.name === name));
  if (unknown !== undefined) {
    const known = nodes.map(({ name }) => name).join(', ');
    throw new ConfigError(`SINK_NODES="${names}": CLICKHOUSE_URL has no node "${unknown}" (it has ${known})`);
  }
  return nodes.filter(({ name }) => wanted.includes(name));
}

type Checks = Record<string, () => void | Promise<void>>;

/** Readiness checks for the chosen nodes. `inserts` throws unless rows go into the node of that name. */
export function nodeChecks(served: readonly ClusterNode[], inserts: (node: string) => () => void): Checks {
  const [only, ...others] = served;
  if (only !== undefined && others.length === 0)
    return { clickhouse: () => only.clickhouse.ping(), inserts: inserts(only.name) };
  return Object.fromEntries(
    served.flatMap(({ name, clickhouse }) => [
      [`clickhouse ${name}`, () => clickhouse.ping()],
      [`inserts ${name}`, inserts(name)],
    ]),
  );
}
