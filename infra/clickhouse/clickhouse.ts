/**
 * Creates the ClickHouse clients, and is the only place that does. The server is always reached over HTTP, also the
 * embedded one (infra/embedded/clickhouse.ts). Settings are only inside the SQL, where a reader sees them.
 */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type ClickHouseClient, ClickHouseLogLevel, type ClickHouseSettings, createClient } from '@clickhouse/client';
import { type ClickHouseConfig, withoutUserInfo } from '../config.ts';
import { ConfigError } from '../errors.ts';
import { settingsForAds } from './ads-filter.ts';
import { type Disk, disksSql } from './disks.ts';
import { codeOf, translate } from './errors.ts';
import { formatOf, insertSettingsIn, withoutBlankLines } from './insert.ts';
import { createReads, type ReadKind, type Sent } from './reads.ts';
import { commandConsistency, readConsistency, type TableEngine, tableEngineOf } from './table-engine.ts';
import { databaseStatement } from './table-statements.ts';
import { mostOfTicket } from './tickets.ts';

/** `CSV` has no line of names. `Parquet` is one file. */
export type StreamFormat = 'CSV' | 'JSONEachRow' | 'Parquet';

export type Params = Readonly<Record<string, unknown>>;

export interface ReadOptions {
  /** The kind of read (reads.ts). The default is a read of counts. */
  readonly kind?: ReadKind;
  /** Only rows of ads whose id begins with one of these texts (only-ads.ts). Left out: of all ads. */
  readonly adIdPrefixes?: readonly string[];
}

/**
 * A client of ClickHouse. A read ends in the server as soon as its asker has gone (asking.ts) or takes no more of a
 * stream. A write is never taken back. Reads wait for a place for a limited time, so they may also throw Unserved.
 */
export interface ClickHouse extends AsyncDisposable {
  /** How its tables are created. Left out where none are created. */
  readonly tables?: TableEngine;
  /**
   * Returns the rows of a read, one object each. `params` are bound as `{name:Type}`. The SQL contains its own
   * SETTINGS, and no FORMAT. 64-bit integers become numbers, and the caller makes sure that they stay below 2^53.
   * @throws Retryable
   */
  query<T>(sql: string, params?: Params, options?: ReadOptions): Promise<T[]>;
  /**
   * Returns the rows as lines of JSON, for a caller that reads many. No objects are created for them. @throws Retryable
   */
  queryLines(sql: string, params?: Params, options?: ReadOptions): Promise<Uint8Array>;
  /** @throws Retryable */
  command(sql: string, params?: Params): Promise<void>;
  /**
   * Returns the result of a long read in pieces, as fast as they are taken, so the used memory does not grow with it.
   * The read ends when no more pieces are taken. The SQL has its own SETTINGS and no FORMAT. @throws Retryable, also
   * between two pieces
   */
  stream(sql: string, format: StreamFormat, params?: Params, options?: ReadOptions): AsyncIterable<Uint8Array>;
  /**
   * Inserts lines of JSON, either all objects or all arrays of the values of `columns`, or without them of all columns
   * in the table's order. After a failed insert, none, some or all of the rows may be there: send the same rows again.
   * @throws Retryable, or RefusedRows where a line is not a row of `table`
   */
  insert(table: string, lines: string | Buffer, columns?: readonly string[]): Promise<void>;
  /** @throws Retryable */
  ping(): Promise<void>;
  /**
   * The local disks of the server that answers.
   * @throws Retryable
   */
  disks(): Promise<readonly Disk[]>;
}

export interface ClickHouseOptions {
  /** The number of reads of counts that may run at the same time, and the same number for reads of jobs. */
  readonly readers: number;
  /** The number of raw reads that may run at the same time, and how many of these one client may have. */
  readonly rawReaders?: number;
  readonly rawReadersPerClient?: number;
  /** The number of cores for each raw read. */
  readonly rawThreads?: number;
  /** The number of reads of each kind that may wait for a place, and how many of these one client may have. */
  readonly mostWaiting?: number;
  readonly mostWaitingPerClient?: number;
  /** How long a read may wait for a place. */
  readonly queueTimeoutMs?: number;
}

/**
 * Does not contact the server yet. @throws ConfigError where CLICKHOUSE_URL is not a URL, or tables cannot be created
 * as configured
 */
export function openClickHouse(config: ClickHouseConfig, options: ClickHouseOptions): ClickHouse {
  const { readers, rawReaders = 2, rawReadersPerClient = 1, rawThreads = 1 } = options;
  const { mostWaiting = 128, mostWaitingPerClient = 64, queueTimeoutMs: waitMs = 10_000 } = options;
  const database = config.CLICKHOUSE_DATABASE;
  const tables = tableEngineOf(config);
  const insertSettings = insertSettingsIn(tables);
  const commandSettings = commandConsistency(tables);
  const ofReads = 2 * readers + rawReaders * mostOfTicket + operationPlaces;
  const client = clientOf(config, database, ofReads + mostOthers);
  const control = clientOf(config, database, mostControl, controlTimeoutMs);
  const waiting = { mostWaiting, mostWaitingPerClient, waitMs };
  const counts = { ...waiting, places: readers, perClient: readers };
  const reads = createReads(control, {
    kinds: {
      counts,
      raw: { ...waiting, places: rawReaders, perClient: rawReadersPerClient },
      jobs: counts,
      operations: { ...waiting, places: operationPlaces, perClient: operationPlaces },
    },
    rawThreads,
    settings: readConsistency(tables),
  });
  const createDatabase = async () => {
    const outside = clientOf(config, 'default', 1);
    try {
      await run(outside, databaseStatement(database, tables), {}, commandSettings);
    } finally {
      await outside.close();
    }
  };
  const among = (adIdPrefixes: readonly string[] | undefined, sent: Sent): Sent => {
    if (adIdPrefixes === undefined) return sent;
    const clickhouse_settings = { ...sent.clickhouse_settings, ...settingsForAds(database, adIdPrefixes) };
    return { ...sent, clickhouse_settings };
  };
  const write = (work: () => Promise<unknown>) => withDatabase(createDatabase, work);
  return {
    tables,
    query: (sql, params, { kind = 'counts', adIdPrefixes } = {}) =>
      reads.run(kind, sent => rowsOf(client, sql, params, among(adIdPrefixes, sent))),
    queryLines: (sql, params, { kind = 'counts', adIdPrefixes } = {}) =>
      reads.run(kind, sent => linesOf(client, sql, params, among(adIdPrefixes, sent))),
    command: (sql, params) => write(() => run(client, sql, params, commandSettings)),
    stream: (sql, format, params, { kind = 'raw', adIdPrefixes } = {}) =>
      reads.stream(kind, sent => piecesOf(client, `${sql} FORMAT ${format}`, params, among(adIdPrefixes, sent))),
    async insert(table, lines, columns) {
      const rows = withoutBlankLines(Buffer.isBuffer(lines) ? lines : Buffer.from(lines));
      if (rows.length === 0) return;
      const into = columns === undefined ? table : `${table} (${columns.join(', ')})`;
      await write(() => insert(client, into, insertSettings(table), rows));
    },
    ping: () => ping(control),
    disks: () => reads.run('operations', sent => rowsOf<Disk>(client, disksSql, {}, sent)),
    async [Symbol.asyncDispose]() {
      await client.close();
      await control.close();
    },
  };
}

/** Returns the same database, where reads without a kind are of the given kind. */
export function readingAs(kind: ReadKind, clickhouse: ClickHouse): ClickHouse {
  return {
    ...(clickhouse.tables && { tables: clickhouse.tables }),
    query: (sql, params, options) => clickhouse.query(sql, params, { kind, ...options }),
    queryLines: (sql, params, options) => clickhouse.queryLines(sql, params, { kind, ...options }),
    stream: (sql, format, params, options) => clickhouse.stream(sql, format, params, { kind, ...options }),
    command: (sql, params) => clickhouse.command(sql, params),
    insert: (table, lines, columns) => clickhouse.insert(table, lines, columns),
    ping: () => clickhouse.ping(),
    disks: () => clickhouse.disks(),
    [Symbol.asyncDispose]: () => clickhouse[Symbol.asyncDispose](),
  };
}

/** For health and metrics. */
const operationPlaces = 2;
/** Inserts, commands and streams that may run at the same time. They never wait for a read. */
const mostOthers = 32;
/** Pings, and statements that end others. They wait for nothing else. */
const mostControl = 16;
const controlTimeoutMs = 5_000;

/** Longer than any of our statements takes. Reads have a shorter `max_execution_time` of their own. */
const requestTimeoutMs = 60_000;

function clientOf(
  config: ClickHouseConfig,
  database: string,
  connections: number,
  timeoutMs = requestTimeoutMs,
): ClickHouseClient {
  if (!URL.canParse(config.CLICKHOUSE_URL))
    throw new ConfigError(`CLICKHOUSE_URL="${withoutUserInfo(config.CLICKHOUSE_URL)}": is not a URL`);
  return createClient({
    url: config.CLICKHOUSE_URL,
    username: config.CLICKHOUSE_USER,
    password: config.CLICKHOUSE_PASSWORD,
    database,
    request_timeout: timeoutMs,
    max_open_connections: connections,
    // Long lists of ads would make URLs that servers and proxies refuse.
    use_multipart_params_auto: true,
    // Failures are thrown, and logged by the code that they concern.
    log: { level: ClickHouseLogLevel.OFF },
    keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
  });
}

/**
 * A server refuses every statement of a client whose database does not exist yet, even the statement that creates it.
 */
async function withDatabase(create: () => Promise<void>, work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (codeOf(error) !== 'UNKNOWN_DATABASE') throw error;
    await create();
    await work();
  }
}

async function rowsOf<T>(client: ClickHouseClient, sql: string, params: Params = {}, sent: Sent): Promise<T[]> {
  const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow', ...sent });
  return await result.json<T>();
}

async function linesOf(client: ClickHouseClient, sql: string, params: Params | undefined, sent: Sent) {
  const pieces: Uint8Array[] = [];
  for await (const piece of piecesOf(client, `${sql} FORMAT JSONEachRow`, params, sent)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* piecesOf(
  client: ClickHouseClient,
  query: string,
  params: Params = {},
  sent: Sent,
): AsyncGenerator<Uint8Array> {
  const { stream } = await client.exec({ query, query_params: { ...params }, ...sent });
  yield* stream;
}

async function insert(client: ClickHouseClient, into: string, settings: string, rows: Buffer): Promise<void> {
  const query = `INSERT INTO ${into} SETTINGS ${settings} FORMAT ${formatOf(rows)}`;
  try {
    const { stream } = await client.exec({ query, values: Readable.from([rows], { objectMode: false }) });
    await finished(stream.resume());
  } catch (error) {
    throw translate(error, 'insert');
  }
}

async function run(
  client: ClickHouseClient,
  sql: string,
  params: Params | undefined,
  clickhouse_settings: ClickHouseSettings,
): Promise<void> {
  try {
    await client.command({ query: sql, query_params: { ...params }, clickhouse_settings });
  } catch (error) {
    throw translate(error, 'command');
  }
}

async function ping(client: ClickHouseClient): Promise<void> {
  const answer = await client.ping({ select: true });
  if (!answer.success) throw translate(answer.error, 'ping');
}
