import { describe, expect, it } from 'vitest';
import { assertOneAddressEach, plainTables, tableEngineOf } from '../../../../infra/clickhouse/table-engine.ts';
import { topologyOf } from '../../../../infra/clickhouse/topology.ts';
import { ConfigError } from '../../../../infra/errors.ts';

const engineOf = (CLICKHOUSE_TABLE_ENGINE: string, CLICKHOUSE_CLUSTER = '') =>
  tableEngineOf({ CLICKHOUSE_TABLE_ENGINE, CLICKHOUSE_CLUSTER });

describe('how tables are made', () => {
  it('is plain unless somebody says otherwise', () => {
    expect(engineOf('')).toEqual(plainTables);
  });

  it.each([
    ['Replicated', 'Replicated', []],
    ['Shared', 'Shared', []],
    ["Replicated('/c/{shard}/{table}', '{replica}')", 'Replicated', ['/c/{shard}/{table}', '{replica}']],
    [" Shared( '/c/{uuid}/{shard}','{shard}_{replica}' ) ", 'Shared', ['/c/{uuid}/{shard}', '{shard}_{replica}']],
    ["Replicated('second:/c/{table}', '{host}')", 'Replicated', ['second:/c/{table}', '{host}']],
  ])('is told by %s', (text, prefix, replication) => {
    expect(engineOf(text, 'main')).toEqual({ prefix, replication, cluster: 'main' });
    expect(engineOf(text)).toEqual({ prefix, replication, cluster: undefined });
  });

  it.each(['main', 'all-replicated', '{cluster}', 'c1.eu'])('takes %s for a cluster', name => {
    expect(engineOf('Replicated', name).cluster).toBe(name);
  });

  it.each([
    ['replicated', 'must be Replicated or Shared'],
    ['ReplicatedMergeTree', 'must be Replicated or Shared'],
    ["Replicated('/c/{table}')", 'must be Replicated or Shared'],
    ["Replicated('/c/{table}', '{replica}', version)", 'must be Replicated or Shared'],
    ["Replicated('/c/{table}', '{replica}'), x", 'must be Replicated or Shared'],
    ["Replicated('/c/{table}\\'', '{replica}')", 'must be Replicated or Shared'],
    ["Replicated('c/{table}', '{replica}')", 'the path must begin with "/"'],
    ["Replicated('/c/{shard}', '{replica}')", 'the path must contain {table} or {uuid}'],
    ["Replicated('/c/{table}/{replica}', '{replica}')", 'the path must not contain {replica}'],
    ["Replicated('/c/{table}', 'r1')", "the replica's name must contain a macro"],
  ])('refuses the engine %s, and says why', (text, rule) => {
    const error = caught(() => engineOf(text));
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain(`CLICKHOUSE_TABLE_ENGINE="${text}": ${rule}`);
  });

  it.each(["x' SYNC", 'a b', 'a;b', 'x'.repeat(129)])('refuses the cluster %j', name => {
    expect(String(caught(() => engineOf('Replicated', name)))).toContain(
      `CLICKHOUSE_CLUSTER="${name}": must be the name`,
    );
  });

  it('refuses plain tables on a cluster, as each server would hold other rows', () => {
    const error = caught(() => engineOf('', 'main'));
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain('CLICKHOUSE_CLUSTER="main": needs CLICKHOUSE_TABLE_ENGINE');
  });
});

describe('servers that keep replicas themselves', () => {
  const topology = (CLICKHOUSE_URL: string) =>
    topologyOf({ CLICKHOUSE_URL, CLICKHOUSE_USER: 'u', CLICKHOUSE_PASSWORD: 'p' });
  const withPath = (path: string) => engineOf(`Replicated('${path}', '{replica}')`);

  it('have one address for each shard', () => {
    const replicas = topology('http://a:8123,http://b:8123');
    expect(() => assertOneAddressEach(replicas, plainTables)).not.toThrow();
    const error = caught(() => assertOneAddressEach(replicas, engineOf('Replicated')));
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toMatch(
      /CLICKHOUSE_URL: names 2 nodes of a shard \(a:8123, b:8123\), but must name only one/,
    );
    expect(() => assertOneAddressEach(topology('http://a:8123'), withPath('/c/{table}'))).not.toThrow();
  });

  it('of several shards have paths of their own, or each would get the rows of the others', () => {
    const shards = topology('http://a:8123;http://b:8123');
    expect(() => assertOneAddressEach(shards, withPath('/c/{shard}/{table}'))).not.toThrow();
    expect(() => assertOneAddressEach(shards, engineOf('Replicated'))).not.toThrow();
    const error = caught(() => assertOneAddressEach(shards, withPath('/c/{table}')));
    expect(error).toBeInstanceOf(ConfigError);
    expect(String(error)).toContain('the path "/c/{table}" must contain {shard}');
  });
});

function caught(work: () => unknown): unknown {
  try {
    return work();
  } catch (error) {
    return error;
  }
}
