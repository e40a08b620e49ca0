import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { nodesOf, shardOf, topologyOf } from '../../../../infra/clickhouse/topology.ts';
import { ConfigError } from '../../../../infra/errors.ts';

const parse = (CLICKHOUSE_URL: string, file?: unknown) =>
  topologyOf({ CLICKHOUSE_URL, CLICKHOUSE_USER: 'me', CLICKHOUSE_PASSWORD: 'pw' }, () =>
    typeof file === 'string' ? file : JSON.stringify(file),
  );
const file = 'file:///etc/topology.json';

describe('a topology of ClickHouse', () => {
  it('is one node where one address is given', () => {
    const node = { name: 'ch:8123', shard: 0, url: 'http://ch:8123', user: 'me', password: 'pw', tcp: 'ch:9000' };
    expect(parse('http://ch:8123')).toEqual([[node]]);
  });

  it('has nodes of a shard between commas, and shards between semicolons', () => {
    const topology = parse('http://a:8123, https://b ;http://c:8123,http://d,http://e:1');
    expect(topology.map(nodes => nodes.map(({ name, url }) => [name, url]))).toEqual([
      [
        ['a:8123', 'http://a:8123'],
        ['b:443', 'https://b'],
      ],
      [
        ['c:8123', 'http://c:8123'],
        ['d:80', 'http://d'],
        ['e:1', 'http://e:1'],
      ],
    ]);
    expect(nodesOf(topology).map(({ shard }) => shard)).toEqual([0, 0, 1, 1, 1]);
  });

  it('comes from a file, where a node may have a name, a user and a password of its own', () => {
    const named = { url: 'http://10.0.0.2:8123', name: 'second', user: 'u', password: 'p' };
    const topology = parse(file, { shards: [{ replicas: ['http://a:1', named] }, { replicas: ['http://b:1'] }] });
    expect(topology).toEqual([
      [
        { name: 'a:1', shard: 0, url: 'http://a:1', user: 'me', password: 'pw', tcp: 'a:9000' },
        { ...named, shard: 0, tcp: '10.0.0.2:9000' },
      ],
      [{ name: 'b:1', shard: 1, url: 'http://b:1', user: 'me', password: 'pw', tcp: 'b:9000' }],
    ]);
  });

  it('reads the file from where its URL says', () => {
    const directory = mkdtempSync(join(tmpdir(), 'topology-'));
    const path = join(directory, 'nodes.json');
    writeFileSync(path, '{"shards":[{"replicas":["http://a:1"]}]}');
    const access = { CLICKHOUSE_USER: '', CLICKHOUSE_PASSWORD: '' };
    const read = (path: string) => topologyOf({ CLICKHOUSE_URL: pathToFileURL(path).href, ...access });
    try {
      expect(nodesOf(read(path)).map(({ name }) => name)).toEqual(['a:1']);
      expect(() => read(join(directory, 'absent.json'))).toThrow(/cannot be read: ENOENT/);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it.each([
    ['http://a:1,http://a:1', 'a:1 is given twice'],
    ['http://a:1;http://b:1,http://a:1', 'a:1 is given twice'],
    ['http://a:1;', 'shard 2 of 2 is empty'],
    [';http://a:1', 'shard 1 of 2 is empty'],
    ['http://a:1,,http://b:1', '"" is not a URL such as http://host:8123'],
    ['http://a:1,b:1', '"b:1" is not a URL such as'],
    ['clickhouse', '"clickhouse" is not a URL such as'],
    ['ftp://a', '"ftp://a" is not a URL such as'],
    ['http://u:secret@a:1,nope', '"nope" is not a URL such as'],
  ])('%s is refused in one line that shows no password', (text, why) => {
    expect(() => parse(text)).toThrow(ConfigError);
    expect(() => parse(text)).toThrow(why);
    expect(() => parse(text)).not.toThrow(/secret/);
  });

  it.each([
    ['nope', 'is not JSON'],
    [{ shards: [] }, 'must have at least one shard'],
    [{ shards: [{ replicas: [] }] }, 'shard 1 of 1 is empty'],
    [{ nodes: [] }, 'CLICKHOUSE_URL=file:///etc/topology.json: /'],
    [{ shards: [{ replicas: [{ url: 'http://a:1', pasword: 'x' }] }] }, '/shards/0/replicas/0'],
    [
      {
        shards: [
          {
            replicas: [
              { url: 'http://a:1', name: 'x' },
              { url: 'http://b:1', name: 'x' },
            ],
          },
        ],
      },
      'x is given twice',
    ],
    [
      { shards: [{ replicas: [{ url: 'http://a:1' }, { url: 'http://a:1', name: 'x' }] }] },
      'http://a:1 is given twice',
    ],
  ])('a file %j is refused in one line', (content, why) => {
    expect(() => parse(file, content)).toThrow(ConfigError);
    expect(() => parse(file, content)).toThrow(why);
  });

  it('gives each partition to one shard, in turn', () => {
    expect([0, 1, 2, 3, 4, 5].map(partition => shardOf(partition, 2))).toEqual([0, 1, 0, 1, 0, 1]);
    expect([0, 7].map(partition => shardOf(partition, 1))).toEqual([0, 0]);
  });
});
