/**
 * What is left behind, of several nodes: the log once, as Kafka's own client reads it, and beside it the rows of one node of
 * each shard, as if these were one store. So every promise is checked on each set of replicas by the checks of one node.
 */
import { nodeAccess } from '../../support/clickhouse-node.ts';
import { type ReadLine, readCommitted } from '../../support/read-committed.ts';
import type { Evidence } from '../evidence.ts';
import { readStoreRows, type StoreRows } from '../store-rows.ts';
import { type NodesStage, partitions } from './stage.ts';

export interface NodeEvidence {
  readonly node: string;
  readonly shard: number;
  readonly rows: StoreRows;
  readonly stored: Evidence['stored'];
}

export interface WholeEvidence {
  readonly log: Pick<Evidence, 'clicks' | 'aggregates' | 'quarantine'>;
  readonly nodes: readonly NodeEvidence[];
}

const topics = { clicks: 'rawSinkGroup', aggregates: 'aggregateSinkGroup', quarantine: 'aggregateSinkGroup' } as const;

/** The sinks must be down. */
export async function gatherNodes(stage: NodesStage): Promise<WholeEvidence> {
  const { brokers, names, shards } = stage;
  // Before the tables: what is committed now must be in them then.
  const stored = await Promise.all(stage.nodes.map(({ name }) => storedIn(stage, name)));
  const log = {
    clicks: await readCommitted(brokers, names.topic('clicks')),
    aggregates: await readCommitted(brokers, names.topic('aggregates')),
    quarantine: await readCommitted(brokers, names.topic('quarantine')),
  };
  const nodes: NodeEvidence[] = [];
  for (const [shard, own] of shards.entries()) {
    for (const { name, url } of own) {
      const rows = await readStoreRows({ ...nodeAccess, CLICKHOUSE_URL: url });
      nodes.push({ node: name, shard, rows, stored: stored[nodes.length]! });
    }
  }
  return { log, nodes };
}

/** One store for each: the first nodes of all shards, the second nodes, … */
export function stores({ log, nodes }: WholeEvidence): Evidence[] {
  const shards = Map.groupBy(nodes, ({ shard }) => shard);
  const replicas = Math.min(...[...shards.values()].map(({ length }) => length));
  return Array.from({ length: replicas }, (_, replica) => {
    const own = [...shards.values()].map(of => of[replica]!);
    const all = <T>(rows: (of: StoreRows) => readonly T[]) => own.flatMap(of => [...rows(of.rows)]);
    return {
      ...log,
      stored: new Map(
        own.flatMap(of => [...of.stored].filter(([key]) => shardOf(partitionIn(key), shards.size) === of.shard)),
      ),
      rows: {
        raw: all(rows => rows.raw),
        adMinute: all(rows => rows.adMinute),
        adMinuteByAd: all(rows => rows.adMinuteByAd),
        quarantine: all(rows => rows.quarantine),
        progress: all(rows => rows.progress),
        // What jobs have said, each node holds whole.
        restatements: own[0]?.rows.restatements ?? [],
      },
    };
  });
}

/** Each node's raw ids are those of the log in the partitions of its shard: nothing of another's, nothing less, nothing twice. */
export function rawOfShards({ log, nodes }: WholeEvidence): string[] {
  const shards = new Set(nodes.map(({ shard }) => shard)).size;
  return nodes.flatMap(({ node, shard, rows }) => {
    const ids = new Set(log.clicks.filter(of => shardOf(of.partition, shards) === shard).flatMap(idIn));
    const found = new Set(rows.raw.map(({ event_id }) => event_id));
    const lost = ids.difference(found);
    const foreign = found.difference(ids);
    if (lost.size + foreign.size === 0) return [];
    const shown = (of: ReadonlySet<string>) => [...of].slice(0, 3).join(', ');
    return [
      `raw of ${node}: ${lost.size} of the log not there (${shown(lost)}), ${foreign.size} not its shard's (${shown(foreign)})`,
    ];
  });
}

function shardOf(partition: number, shards: number): number {
  return partition % shards;
}

function partitionIn(key: string): number {
  return Number(key.split('|')[1]);
}

function idIn({ line }: ReadLine): string[] {
  return [(JSON.parse(line) as { event_id: string }).event_id];
}

async function storedIn({ admin, names }: NodesStage, node: string): Promise<Map<string, number>> {
  const stored = new Map<string, number>();
  for (const [topic, group] of Object.entries(topics)) {
    const name = names.topic(topic as keyof typeof topics);
    const commits = await admin.commits(names.groupAt(names[group], node), name);
    for (let partition = 0; partition < partitions; partition++)
      stored.set(`${topic}|${partition}`, commits.get(partition)?.offset ?? 0);
  }
  return stored;
}
