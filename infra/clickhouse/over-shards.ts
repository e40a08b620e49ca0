/**
 * Reads one node of each shard as if they were a single ClickHouse.
 *
 * The first node is asked. Where a statement names a sharded table (sharded-tables.ts), it reads the FINAL rows of all
 * these nodes and merges whole groups of them. So sums, top lists and states of distinct users are those of one node
 * with all rows. Tables that every node has in full are read from the first node itself.
 *
 * There is no partial answer: if a node does not answer, the statement fails.
 */

import type { ClickHouseConfig } from '../config.ts';
import { ConfigError, messageOf, Retryable, Unserved } from '../errors.ts';
import { checkedRows } from './checked-rows.ts';
import type { ClickHouse } from './clickhouse.ts';
import type { ClusterNode } from './cluster.ts';
import { codeOf } from './errors.ts';
import { IncarnationRow } from './incarnation.ts';
import { inPlaceOfSharded } from './sharded-tables.ts';
import { nodesOf, topologyOf } from './topology.ts';

export type ShardNode = Pick<ClusterNode, 'name' | 'tcp' | 'clickhouse'>;

/** How nodes read each other. */
export interface RemoteAccess {
  readonly database: string;
  readonly user: string;
  readonly password: string;
  readonly isTls: boolean;
}

/** @throws ConfigError when it is not the same for all nodes, because a statement uses one access for all of them */
export function remoteAccess(config: ClickHouseConfig): RemoteAccess {
  const all = nodesOf(topologyOf(config)).map(({ url, user, password }): RemoteAccess => {
    const inUrl = new URL(url);
    const isInUrl = inUrl.username !== '';
    return {
      database: config.CLICKHOUSE_DATABASE,
      user: isInUrl ? decodeURIComponent(inUrl.username) : user,
      password: isInUrl ? decodeURIComponent(inUrl.password) : password,
      isTls: inUrl.protocol === 'https:',
    };
  });
  const [first = {} as never, ...others] = all;
  for (const what of ['user', 'password', 'isTls'] as const) {
    if (others.some(other => other[what] !== first[what]))
      throw new ConfigError(
        `CLICKHOUSE_URL has several shards, whose nodes read each other, so all of them must have the same ${names[what]}`,
      );
  }
  return first;
}

const names = { user: 'user', password: 'password', isTls: 'protocol (http or https)' } as const;

/** `nodes` contains one node of each shard, in the order of the shards. */
export function overShards(nodes: readonly [ShardNode, ...ShardNode[]], access: RemoteAccess): ClickHouse {
  const [first, ...others] = nodes;
  const { clickhouse } = first;
  const source = (table: string) => `${remote(nodes, table, access)} AS ${table}`;
  const over = (statement: string) => {
    const text = inPlaceOfSharded(statement, source);
    if (text === statement) return statement;
    // Every statement ends with its settings (query-api/store/sql/read-settings.ts).
    return `${text}, ${settings}`;
  };
  const explained = (error: unknown) => blaming(others, withoutPassword(error, access));
  return {
    query: (sql, params, options) => clickhouse.query<never>(over(sql), params, options).catch(thrown(explained)),
    queryLines: (sql, params, options) => clickhouse.queryLines(over(sql), params, options).catch(thrown(explained)),
    command: onlyRead,
    insert: onlyRead,
    async ping() {
      await Promise.all(nodes.map(node => node.clickhouse.ping()));
    },
    disks: () => clickhouse.disks(),
    async *stream(sql, format, params, options) {
      try {
        yield* clickhouse.stream(over(sql), format, params, options);
      } catch (error) {
        throw explained(error);
      }
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/**
 * Without the first setting, each node would ask all others for what is in IN and JOIN. The second one overrides the
 * server's profile: when a node does not answer, the rows of the others alone are not an answer.
 */
const settings = 'prefer_global_in_and_join=1, skip_unavailable_shards=0';

async function onlyRead(): Promise<never> {
  throw new Error('several shards are read together, and written each for itself');
}

/** A node does not answer, or the node that reads it for others does not. */
export class NodeUnreached extends Retryable {
  readonly node: string;

  constructor(node: string, message: string, cause: unknown) {
    super(message, { cause });
    this.node = node;
  }
}

/**
 * Resolves when the first node reaches each of the others at its address, and not some other server. That server would
 * be read instead, and rows would be counted twice or not at all. The nodes are compared by their incarnations, as
 * found under their URLs. @throws Retryable
 */
export async function checkReached(
  nodes: readonly [ShardNode, ...ShardNode[]],
  access: RemoteAccess,
  incarnationOf: (name: string) => string | undefined,
): Promise<void> {
  const [first, ...others] = nodes;
  for (const other of others) {
    const rows = await first.clickhouse
      .query(
        `SELECT name FROM ${remote([other], 'schema_migration', access)} FINAL WHERE version = 0 SETTINGS max_execution_time=5`,
      )
      .catch(thrown(error => blaming([other], withoutPassword(error, access))))
      .catch(thrown(error => (error instanceof Retryable && error.cause ? askedInVain(first, error) : error)));
    const [row] = checkedRows(IncarnationRow, rows, `schema_migration of ${other.name}`);
    if ((row?.name ?? '') === (incarnationOf(other.name) ?? '')) continue;
    const cause = new Error('another incarnation');
    throw new NodeUnreached(
      other.name,
      `${first.name} finds a server other than ${other.name} at tcp=${other.tcp}`,
      cause,
    );
  }
}

function remote(nodes: readonly ShardNode[], table: string, { database, user, password, isTls }: RemoteAccess): string {
  const addresses = nodes.map(({ tcp }) => tcp).join(',');
  const quoted = [addresses, database, table, user, password].map(literal).join(', ');
  return `${isTls ? 'remoteSecure' : 'remote'}(${quoted})`;
}

function literal(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

/** ClickHouse hides the password, except when it quotes a statement that it does not understand. */
function withoutPassword(error: unknown, { password }: RemoteAccess): unknown {
  const secrets = [password, literal(password).slice(1, -1)].filter(secret => secret !== '');
  const hidden = (text: string) => secrets.reduce((left, secret) => left.replaceAll(secret, '[HIDDEN]'), text);
  for (let at = error; at instanceof Error; at = at.cause) {
    if (hidden(at.message) === at.message) continue;
    at.message = hidden(at.message);
    at.stack = hidden(at.stack ?? '');
  }
  return error;
}

function thrown(explained: (error: unknown) => unknown) {
  return (error: unknown): never => {
    throw explained(error);
  };
}

/** Returns whether the asked node could not read another node. */
function blaming(others: readonly ShardNode[], error: unknown): unknown {
  const code = codeOf(error);
  if (code === undefined || error instanceof NodeUnreached || error instanceof Unserved) return error;
  const text = messageOf(error);
  const named = others.find(({ tcp }) => text.includes(tcp));
  // An error that another node has answered is reported as the first node's own, with the address that it came from.
  if (!links.has(code)) return named && away.has(code) ? unreached(named, error) : error;
  const blamed = named ?? others[0];
  return blamed === undefined ? error : unreached(blamed, error);
}

function askedInVain({ name }: ShardNode, error: Retryable): unknown {
  return error instanceof NodeUnreached || error instanceof Unserved
    ? error
    : new NodeUnreached(name, error.message, error);
}

function unreached({ name, tcp }: ShardNode, error: unknown): NodeUnreached {
  return new NodeUnreached(name, `${name} cannot be reached at tcp=${tcp}: ${messageOf(error)}`, error);
}

/** Errors that ClickHouse reports when a connection to another server fails or is refused. */
const links: ReadonlySet<string> = new Set([
  'ALL_CONNECTION_TRIES_FAILED',
  'ATTEMPT_TO_READ_AFTER_EOF',
  'CANNOT_READ_ALL_DATA',
  'CANNOT_READ_FROM_SOCKET',
  'CANNOT_WRITE_TO_SOCKET',
  'DNS_ERROR',
  'NETWORK_ERROR',
  'SOCKET_TIMEOUT',
  'UNEXPECTED_PACKET_FROM_SERVER',
  'UNKNOWN_PACKET_FROM_SERVER',
]);

/** Errors of a node that cannot be read at the moment. */
const away: ReadonlySet<string> = new Set([
  'AUTHENTICATION_FAILED',
  'REQUIRED_PASSWORD',
  'TABLE_IS_DROPPED',
  'UNKNOWN_DATABASE',
  'UNKNOWN_TABLE',
]);
