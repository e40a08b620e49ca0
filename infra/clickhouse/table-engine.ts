/**
 * Chooses how tables are created on servers that keep replicas equal by themselves: a replicated cluster with Keeper,
 * or the cloud service. Without these settings the tables are plain, and replicas are nodes with sinks of their own
 * (decision 030).
 *
 * Such a cluster counts as one node here. So every promise about one node must hold for it, whichever of its servers
 * answers: progress is visible only where the rows that it covers are, and an acknowledged insert survives the loss of
 * the server that accepted it. The settings for this are sent with every statement (decision 034).
 */
import type { ClickHouseSettings } from '@clickhouse/client';
import type { ClickHouseConfig } from '../config.ts';
import { ConfigError } from '../errors.ts';
import type { Topology } from './topology.ts';

export interface TableEngine {
  /** The prefix of the names of table engines. It is empty for plain tables. */
  readonly prefix: '' | 'Replicated' | 'Shared';
  /** The arguments before those of the engine itself. When there are none, the server's defaults apply. */
  readonly replication: readonly [] | readonly [path: string, replica: string];
  /** A statement that creates or alters a table goes to all servers of this cluster. */
  readonly cluster: string | undefined;
}

export const plainTables: TableEngine = { prefix: '', replication: [], cluster: undefined };

type Settings = Pick<ClickHouseConfig, 'CLICKHOUSE_TABLE_ENGINE' | 'CLICKHOUSE_CLUSTER'>;

/** @throws ConfigError */
export function tableEngineOf({ CLICKHOUSE_TABLE_ENGINE: engine, CLICKHOUSE_CLUSTER: name }: Settings): TableEngine {
  const cluster = name === '' ? undefined : name;
  if (cluster !== undefined && !/^[A-Za-z0-9_.{}-]{1,128}$/.test(cluster))
    throw new ConfigError(
      `CLICKHOUSE_CLUSTER="${cluster}": must be the name of a cluster (letters, digits, "_", "." and "-"), or a macro such as {cluster}`,
    );
  if (engine === '') {
    if (cluster === undefined) return plainTables;
    throw new ConfigError(
      `CLICKHOUSE_CLUSTER="${cluster}": needs CLICKHOUSE_TABLE_ENGINE, because plain tables on several servers would each contain different rows`,
    );
  }
  const [, prefix, path, replica] =
    /^(Replicated|Shared)(?:\(\s*'([^'\\]*)'\s*,\s*'([^'\\]*)'\s*\))?$/.exec(engine.trim()) ?? [];
  const fault = (rule: string) => new ConfigError(`CLICKHOUSE_TABLE_ENGINE="${engine}": ${rule}`);
  if (prefix !== 'Replicated' && prefix !== 'Shared')
    throw fault(
      "must be Replicated or Shared, alone or with a path and a replica's name, such as " +
        "Replicated('/clickhouse/tables/{shard}/{database}/{table}', '{replica}')",
    );
  if (path === undefined || replica === undefined) return { prefix, replication: [], cluster };
  if (!/^(\w+:)?\/./.test(path)) throw fault('the path must begin with "/"');
  if (!/\{(table|uuid)\}/.test(path))
    throw fault('the path must contain {table} or {uuid}, or all tables would be the same');
  if (path.includes('{replica}'))
    throw fault('the path must not contain {replica}, or no two servers would be replicas of each other');
  if (!/\{\w+\}/.test(replica))
    throw fault(
      "the replica's name must contain a macro such as {replica}, because all servers get the same statement",
    );
  return { prefix, replication: [path, replica], cluster };
}

/**
 * Where servers replicate by themselves, a shard has one address, and its sink fills all of them. @throws ConfigError
 */
export function assertOneAddressEach(topology: Topology, { prefix, replication: [path] }: TableEngine): void {
  if (prefix === '') return;
  const several = topology.find(nodes => nodes.length > 1);
  if (several !== undefined)
    throw new ConfigError(
      `CLICKHOUSE_URL: names ${several.length} nodes of a shard (${several.map(({ name }) => name).join(', ')}), but must name only one ` +
        'when CLICKHOUSE_TABLE_ENGINE is set, because the servers behind it keep replicas themselves',
    );
  if (topology.length > 1 && path !== undefined && !path.includes('{shard}'))
    throw new ConfigError(
      `CLICKHOUSE_TABLE_ENGINE: the path "${path}" must contain {shard}, because CLICKHOUSE_URL has ${topology.length} shards, which would get each other's rows`,
    );
}

/**
 * An insert is complete when a majority of the replicas has the rows. The next one begins after it, so that one replica
 * of each majority has all rows. It fails before its sender stops waiting. With the shared engine every insert is like
 * this.
 */
export function insertConsistency({ prefix }: TableEngine): Readonly<Record<string, number | string>> {
  if (prefix === '') return {};
  // A block that was inserted before must not be dropped: repeated rows replace themselves, as in plain tables.
  const asPlain = { insert_deduplicate: 0, deduplicate_blocks_in_dependent_materialized_views: 0 };
  if (prefix === 'Shared') return asPlain;
  return {
    ...asPlain,
    insert_quorum: 'auto',
    insert_quorum_parallel: 0,
    insert_quorum_timeout: 45_000,
    max_insert_threads: 1,
  };
}

/** A replica that lacks acknowledged rows refuses to answer. The read then fails and is tried again. */
export function readConsistency({ prefix }: TableEngine): ClickHouseSettings {
  return prefix === '' ? {} : { select_sequential_consistency: '1' };
}

/**
 * For statements that are neither reads nor inserts of rows: migrations, and inserts of what is read in the server. A
 * column exists when every replica has it. A replica without it would accept rows and leave the column out, as it does
 * with columns of later releases.
 */
export function commandConsistency(engine: TableEngine): ClickHouseSettings {
  if (engine.prefix === '') return {};
  return {
    ...(Object.fromEntries(
      Object.entries(insertConsistency(engine)).map(([name, value]) => [name, `${value}`]),
    ) as ClickHouseSettings),
    ...readConsistency(engine),
    alter_sync: '2',
    replication_wait_for_inactive_replica_timeout: '45',
    distributed_ddl_task_timeout: '45',
    distributed_ddl_output_mode: 'throw',
  };
}
