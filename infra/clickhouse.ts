/**
 * The one place that makes a ClickHouse client: a server over HTTP, the embedded one (infra/embedded/clickhouse.ts) as
 * any other. Settings stand only inside the SQL, where a reader sees them.
 */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { type Disk, disksSql } from './clickhouse/disks.ts';
import { codeOf, translate } from './clickhouse/errors.ts';
import { formatOf, insertSettingsOf, withoutBlankLines } from './clickhouse/insert.ts';
import { createPlaces } from './clickhouse/places.ts';
import { type ClickHouseConfig, withoutUserInfo } from './config.ts';
import { ConfigError } from './errors.ts';

/** `CSV` is without names. `Parquet` is one file. */
export type StreamFormat = 'CSV' | 'JSONEachRow' | 'Parquet';

export type Params = Readonly<Record<string, unknown>>;

export interface ClickHouse extends AsyncDisposable {
  /**
   * Rows of a read, one object each. `params` are bound as `{name:Type}`; the SQL carries its own SETTINGS, and no
   * FORMAT. 64-bit integers come as numbers: the reader sees to it that they stay below 2^53.
   * @throws Retryable
   */
  query<T>(sql: string, params?: Params): Promise<T[]>;
  /**
   * The rows as lines of JSON, for who reads many: no object is made of them.
   * @throws Retryable
   */
  queryLines(sql: string, params?: Params): Promise<Uint8Array>;
  /** @throws Retryable */
  command(sql: string, params?: Params): Promise<void>;
  /**
   * The result of a long read piece by piece, as fast as they are taken: what is in memory does not grow with it. To stop
   * taking them ends the read. The SQL has its own SETTINGS and no FORMAT.
   * @throws Retryable, also between two pieces
   */
  stream(sql: string, format: StreamFormat, params?: Params): AsyncIterable<Uint8Array>;
  /**
   * Inserts lines of JSON, either all objects or all arrays of the values of all columns in the table's order. An insert
   * that failed may be there none, in part or whole: send the same rows again.
   * @throws Retryable, or RefusedRows where a line is no row of `table`
   */
  insert(table: string, lines: string | Buffer): Promise<void>;
  /** @throws Retryable */
  ping(): Promise<void>;
  /**
   * The local disks of the server that answers.
   * @throws Retryable
   */
  disks(): Promise<readonly Disk[]>;
}

export interface ClickHouseOptions {
  /** Reads that may run at the same time. */
  readonly readers: number;
}

/** The server is not contacted yet. @throws ConfigError where CLICKHOUSE_URL is no URL */
export function openClickHouse(config: ClickHouseConfig, { readers }: ClickHouseOptions): ClickHouse {
  const client = clientOf(config, config.CLICKHOUSE_DATABASE, readers + mostOthers);
  const reads = createPlaces('ClickHouse, query', readers, mostWaiting);
  const write = (work: () => Promise<unknown>) => withDatabase(config, work);
  return {
    query: (sql, params) => reads.run(() => rowsOf(client, sql, params)),
    queryLines: (sql, params) => reads.run(() => linesOf(client, sql, params)),
    command: (sql, params) => write(() => run(client, sql, params)),
    stream: (sql, format, params) => piecesOf(client, `${sql} FORMAT ${format}`, params),
    async insert(table, lines) {
      const rows = withoutBlankLines(Buffer.isBuffer(lines) ? lines : Buffer.from(lines));
      if (rows.length === 0) return;
      await write(() => insert(client, table, rows));
    },
    ping: () => ping(client),
    disks: () => rowsOf<Disk>(client, disksSql),
    [Symbol.asyncDispose]: () => client.close(),
  };
}

/** Reads that wait for a place; beyond, the server is overloaded and who asks is told at once. */
const mostWaiting = 128;
/** Inserts, commands, streams and pings at the same time: these never wait for a read. */
const mostOthers = 32;

/** Longer than any statement of ours takes; reads carry a shorter `max_execution_time` of their own. */
const requestTimeoutMs = 60_000;

function clientOf(config: ClickHouseConfig, database: string, connections: number): ClickHouseClient {
  if (!URL.canParse(config.CLICKHOUSE_URL))
    throw new ConfigError(`CLICKHOUSE_URL="${withoutUserInfo(config.CLICKHOUSE_URL)}": is not a URL`);
  return createClient({
    url: config.CLICKHOUSE_URL,
    username: config.CLICKHOUSE_USER,
    password: config.CLICKHOUSE_PASSWORD,
    database,
    request_timeout: requestTimeoutMs,
    max_open_connections: connections,
    // Long lists of ads would make addresses that servers and what stands before them refuse.
    use_multipart_params_auto: true,
    // Failures are thrown, and logged by whom they concern.
    log: { level: ClickHouseLogLevel.OFF },
    keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
  });
}

/** A server refuses every statement of a client whose database is not there yet, even its creation. */
async function withDatabase(config: ClickHouseConfig, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (codeOf(error) !== 'UNKNOWN_DATABASE') throw error;
    const client = clientOf(config, 'default', 1);
    try {
      await run(client, `CREATE DATABASE IF NOT EXISTS ${config.CLICKHOUSE_DATABASE}`);
    } finally {
      await client.close();
    }
    await work();
  }
}

async function rowsOf<T>(client: ClickHouseClient, sql: string, params: Params = {}): Promise<T[]> {
  try {
    const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' });
    return await result.json<T>();
  } catch (error) {
    throw translate(error, 'query');
  }
}

async function linesOf(client: ClickHouseClient, sql: string, params?: Params): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(client, `${sql} FORMAT JSONEachRow`, params)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* piecesOf(client: ClickHouseClient, query: string, params: Params = {}): AsyncGenerator<Uint8Array> {
  try {
    const { stream } = await client.exec({ query, query_params: { ...params } });
    yield* stream;
  } catch (error) {
    throw translate(error, 'query');
  }
}

async function insert(client: ClickHouseClient, table: string, rows: Buffer): Promise<void> {
  const query = `INSERT INTO ${table} SETTINGS ${insertSettingsOf(table)} FORMAT ${formatOf(rows)}`;
  try {
    const { stream } = await client.exec({ query, values: Readable.from([rows], { objectMode: false }) });
    await finished(stream.resume());
  } catch (error) {
    throw translate(error, 'insert');
  }
}

async function run(client: ClickHouseClient, sql: string, params: Params = {}): Promise<void> {
  try {
    await client.command({ query: sql, query_params: { ...params } });
  } catch (error) {
    throw translate(error, 'command');
  }
}

async function ping(client: ClickHouseClient): Promise<void> {
  const answer = await client.ping({ select: true });
  if (!answer.success) throw translate(answer.error, 'ping');
}
