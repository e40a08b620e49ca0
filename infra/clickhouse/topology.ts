/**
 * Describes which ClickHouse servers there are: shards, each of which holds a part of the log's partitions, and the
 * nodes of a shard, each of which holds that part in full (decision 030).
 *
 * Partition p belongs to shard p mod S. So the order of the shards is part of the configuration, and must be the same
 * in all processes. The order of the nodes in a shard only says which one readers prefer: the first.
 */
import { fileURLToPath } from 'node:url';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { type ClickHouseConfig, withoutUserInfo } from '../config.ts';
import { ConfigError, messageOf } from '../errors.ts';
import { readRegularFileSync } from '../regular-file.ts';

export interface TopologyNode {
  /**
   * `host:port` unless a name is given. It is part of group names, metrics and answers, so it must stay the same for as
   * long as the node exists.
   */
  readonly name: string;
  readonly shard: number;
  readonly url: string;
  readonly user: string;
  readonly password: string;
  /**
   * `host:port` of ClickHouse's native protocol, as the other nodes reach it. They read each other when there are
   * several shards.
   */
  readonly tcp: string;
}

/** By shard, in their order. No shard is empty. */
export type Topology = readonly (readonly TopologyNode[])[];

type Access = Pick<ClickHouseConfig, 'CLICKHOUSE_URL' | 'CLICKHOUSE_USER' | 'CLICKHOUSE_PASSWORD'>;

/**
 * `CLICKHOUSE_URL` is one URL or several: nodes of one shard with commas between them, and shards with semicolons. It
 * may also be `file:///…/topology.json`, which describes the same (`parseTopologyFile`). A URL may end in `?tcp=port`
 * or `?tcp=host:port`. @throws ConfigError
 */
export function topologyOf(config: Access, readFile: (path: string) => string = readText): Topology {
  const { CLICKHOUSE_URL: text } = config;
  return text.startsWith('file:') ? parseTopologyFile(readFile(pathOf(text)), text, config) : parseUrls(text, config);
}

/** Returns the shard to which a partition of the log belongs. */
export function shardOf(partition: number, shards: number): number {
  return partition % shards;
}

export function nodesOf(topology: Topology): readonly TopologyNode[] {
  return topology.flat();
}

function parseUrls(text: string, access: Access): Topology {
  const setting = `CLICKHOUSE_URL="${withoutUserInfo(text)}"`;
  // A single address is passed on unchanged, and the client interprets the rest of it.
  const shards = text.split(';').map(shard => shard.split(',').map(url => withoutTcp(url.trim())));
  return checked(shards, setting, access);
}

const FileNode = Type.Union([
  Type.String({ minLength: 1 }),
  Type.Object(
    {
      url: Type.String({ minLength: 1 }),
      name: Type.Optional(Type.String({ pattern: '^[A-Za-z0-9._:-]{1,100}$' })),
      user: Type.Optional(Type.String()),
      password: Type.Optional(Type.String()),
      tcp: Type.Optional(Type.Union([Type.Integer(), Type.String()])),
    },
    { additionalProperties: false },
  ),
]);

/** `{"shards": [{"replicas": ["http://a:8123", {"url": "http://b:8123", "name": "b", "user": "u", "password": "p", "tcp": 9000}]}]}` */
const File = Type.Object(
  { shards: Type.Array(Type.Object({ replicas: Type.Array(FileNode) }, { additionalProperties: false })) },
  { additionalProperties: false },
);

function parseTopologyFile(text: string, where: string, access: Access): Topology {
  const setting = `CLICKHOUSE_URL=${where}`;
  let content: unknown;
  try {
    content = JSON.parse(text);
  } catch {
    throw new ConfigError(`${setting}: is not JSON`);
  }
  const [wrong] = Value.Errors(File, content);
  if (wrong !== undefined) throw new ConfigError(`${setting}: ${wrong.instancePath || '/'} ${wrong.message}`);
  const { shards } = content as Static<typeof File>;
  const given = shards.map(({ replicas }) =>
    replicas.map(node => (typeof node === 'string' ? withoutTcp(node) : node)),
  );
  return checked(given, setting, access);
}

type Given = Exclude<Static<typeof FileNode>, string>;

function checked(shards: readonly (readonly Given[])[], setting: string, access: Access): Topology {
  if (shards.length === 0) throw new ConfigError(`${setting}: must have at least one shard`);
  const topology = shards.map((nodes, shard) => {
    if (nodes.length === 0 || nodes.every(({ url }) => url === ''))
      throw new ConfigError(`${setting}: shard ${shard + 1} of ${shards.length} is empty`);
    return nodes.map((node): TopologyNode => {
      const { url, user = access.CLICKHOUSE_USER, password = access.CLICKHOUSE_PASSWORD } = node;
      const host = hostOf(url, setting);
      const name = node.name ?? host;
      return { name, shard, url, user, password, tcp: tcpOf(node, name, setting) };
    });
  });
  // Two nodes that are the same would be read as two.
  for (const what of topology.length > 1 ? (['name', 'url', 'tcp'] as const) : (['name', 'url'] as const)) {
    const seen = new Set<string>();
    for (const node of topology.flat()) {
      if (seen.has(node[what]))
        throw new ConfigError(
          `${setting}: ${what === 'tcp' ? 'tcp=' : ''}${withoutUserInfo(node[what])} is given twice, but a node must belong to exactly one shard`,
        );
      seen.add(node[what]);
    }
  }
  return topology;
}

function hostOf(text: string, setting: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.hostname === '')
    throw new ConfigError(`${setting}: "${withoutUserInfo(text)}" is not a URL such as http://host:8123`);
  return `${url.hostname}:${url.port || (url.protocol === 'https:' ? 443 : 80)}`;
}

/** The client of a node refuses unknown parts of its URL. */
function withoutTcp(url: string): Given {
  const [said, tcp] = /[?&]tcp=([^&#]*)/.exec(url) ?? [];
  if (said === undefined || tcp === undefined) return { url };
  const rest = url.replace(said, '');
  return { url: said.startsWith('?') ? rest.replace('&', '?') : rest, tcp };
}

/** The default is the URL's host with ClickHouse's native port, with TLS if the URL uses it. */
function tcpOf({ url, tcp }: Given, name: string, setting: string): string {
  const { hostname, protocol } = new URL(url);
  const given = String(tcp ?? (protocol === 'https:' ? 9440 : 9000));
  const address = /^\d+$/.test(given) ? `${hostname}:${given}` : given;
  const port = Number(/^(?:\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})$/.exec(address)?.[1]);
  if (tcp !== undefined && !(port > 0 && port < 65_536))
    throw new ConfigError(`${setting}: tcp=${given} of ${name}: must be a port, or host:port as other nodes reach it`);
  return address;
}

function pathOf(url: string): string {
  try {
    return fileURLToPath(url);
  } catch (error) {
    throw new ConfigError(`CLICKHOUSE_URL=${url}: ${messageOf(error)}`, { cause: error });
  }
}

function readText(path: string): string {
  try {
    return readRegularFileSync(path).toString();
  } catch (error) {
    throw new ConfigError(`CLICKHOUSE_URL=file://${path}: cannot be read: ${messageOf(error)}`, { cause: error });
  }
}

/** One shard among others. */
export interface InShards {
  /** From 0. */
  readonly shard: number;
  /** How many there are. */
  readonly of: number;
}

export const oneShard: InShards = { shard: 0, of: 1 };
