/**
 * Shows that the nodes of a shard are equal row by row, or in which hours they are not.
 *
 * Rows are inserted all the time, into one node a moment earlier than into another, and newer rows replace older ones.
 * So a first look proves nothing. A difference counts if two things hold once all nodes have read the log as far as the
 * furthest node had at the first look: the difference is still there, and no node's rows have changed since. Hours that
 * keep changing are reported as unsettled, and are compared again later. An hour that is over stops changing.
 *
 * While a person is erased, one node has changed its rows and another one has not yet, and both may rest for minutes.
 * Meanwhile differences in the tables that this changes are unsettled.
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { type Bucket, type Digest, type Digests, digestsOf, keyOf } from '../../store/replicas/replica-digests.ts';
import type { TimeRange } from '../../time/time-range.ts';
import { type AreErasuresOpen, erasedTables } from './open-erasures.ts';

export interface Difference extends Bucket {
  /** The digest of each node, by its name. */
  readonly found: ReadonlyMap<string, Digest>;
}

export interface ReplicaFindings {
  readonly differences: readonly Difference[];
  /** The number of compared rows of the node that has the most. */
  readonly rows: number;
  readonly buckets: number;
  /** The number of buckets that kept changing. */
  readonly unsettled: number;
}

export interface CheckedNode {
  readonly name: string;
  readonly clickhouse: Pick<ClickHouse, 'query'>;
}

export interface ReplicaCheckDeps {
  /** All nodes of one shard. Each of them must answer. */
  readonly nodes: readonly CheckedNode[];
  /** Resolves once every node has read the log as far as the furthest node has now. */
  readonly level: () => Promise<void>;
  readonly areErasuresOpen: AreErasuresOpen;
  /** Epoch ms. */
  readonly now: () => number;
}

/** @throws when a node does not answer */
export async function checkReplicas(
  { nodes, level, areErasuresOpen, now }: ReplicaCheckDeps,
  range: TimeRange,
): Promise<ReplicaFindings> {
  const look = async () => {
    const found = new Map<string, Digests>();
    for (const { name, clickhouse } of nodes) found.set(name, await digestsOf(clickhouse, range, now()));
    return found;
  };
  const wasErasing = await areErasuresOpen(nodes);
  let found = await look();
  let differences = differencesIn(found);
  for (let looked = 1; differences.length > 0; looked++) {
    const seen = new Map(differences.map(difference => [keyOf(difference), difference]));
    await level();
    found = await look();
    differences = differencesIn(found);
    const isErasing = wasErasing || (await areErasuresOpen(nodes));
    const resting = differences.filter(
      difference =>
        isSame(difference, seen.get(keyOf(difference))) && !(isErasing && erasedTables.has(difference.table)),
    );
    if (resting.length === differences.length || looked === looks)
      return findingsOf(found, resting, differences.length - resting.length);
  }
  return findingsOf(found, [], 0);
}

/** After a difference was seen, the most further looks at it. */
const looks = 4;

function differencesIn(found: ReadonlyMap<string, Digests>): Difference[] {
  const buckets = new Map([...found.values()].flatMap(digests => [...digests]));
  const differences: Difference[] = [];
  for (const [key, { table, hour, partition }] of buckets) {
    const each = new Map([...found].map(([node, digests]) => [node, digests.get(key) ?? nothing]));
    const [first, ...others] = each.values();
    if (others.every(digest => digest.rows === first?.rows && digest.hash === first.hash)) continue;
    differences.push({ table, hour, partition, found: each });
  }
  return differences;
}

const nothing: Digest = { rows: 0, hash: '' };

function findingsOf(found: ReadonlyMap<string, Digests>, differences: readonly Difference[], unsettled: number) {
  const rowsOf = (digests: Digests) => [...digests.values()].reduce((sum, { rows }) => sum + rows, 0);
  return {
    differences,
    rows: Math.max(0, ...[...found.values()].map(rowsOf)),
    buckets: new Set([...found.values()].flatMap(digests => [...digests.keys()])).size,
    unsettled,
  };
}

function isSame(a: Difference, b: Difference | undefined): boolean {
  if (b === undefined) return false;
  return [...a.found].every(([node, digest]) => {
    const before = b.found.get(node);
    return before?.rows === digest.rows && before.hash === digest.hash;
  });
}
