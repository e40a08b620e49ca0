/**
 * The one place that makes a ClickHouse client: a server over HTTP where CLICKHOUSE_URL is set, otherwise the embedded
 * engine in this process. Both run the same SQL, and settings stand only inside it: the embedded engine would keep a
 * setting passed beside a query for every later query of its connection.
 */
import type { ClickHouseClient } from '@clickhouse/client';
import type { Disk } from './clickhouse/disks.ts';
import { openEngine } from './clickhouse/engine.ts';
import type { StreamFormat } from './clickhouse/engine-streams.ts';
import { translate } from './clickhouse/errors.ts';
import { withoutBlankLines } from './clickhouse/insert.ts';
import { openServer } from './clickhouse/server.ts';
import type { ClickHouseConfig } from './config.ts';
import { Retryable } from './errors.ts';

export interface ClickHouse extends AsyncDisposable {
  /**
   * Rows of a read, one object each. `params` are bound as `{name:Type}`; the SQL carries its own SETTINGS, and no
   * FORMAT. 64-bit integers come as numbers: the reader sees to it that they stay below 2^53.
   * @throws Retryable
   */
  query<T>(sql: string, params?: Readonly<Record<string, unknown>>): Promise<T[]>;
  /**
   * The rows as lines of JSON, for who reads many: no object is made of them.
   * @throws Retryable
   */
  queryLines(sql: string, params?: Readonly<Record<string, unknown>>): Promise<Uint8Array>;
  /** @throws Retryable */
  command(sql: string): Promise<void>;
  /**
   * A statement that takes long, such as INSERT … SELECT: reads and inserts do not wait for it, only others of its kind.
   * @throws Retryable
   */
  longCommand(sql: string): Promise<void>;
  /**
   * The result of a long read piece by piece, as fast as they are taken: what is in memory does not grow with it. To stop
   * taking them ends the read. The SQL has no parameters, its own SETTINGS and no FORMAT.
   * @throws Retryable, also between two pieces
   */
  stream(sql: string, format: StreamFormat): AsyncIterable<Uint8Array>;
  /**
   * Inserts lines of JSON, either all objects or all arrays of the values of all columns in the table's order. An insert that failed may be there none, in part or whole: send the same rows again.
   * @throws Retryable, or RefusedRows where a line is no row of `table`
   */
  insert(table: string, lines: string | Buffer): Promise<void>;
  /** @throws Retryable */
  ping(): Promise<void>;
  /**
   * Where its data lies: of a server, the local disks of the one that answers.
   * @throws Retryable
   */
  disks(): Promise<readonly Disk[]>;
}

export interface ClickHouseOptions {
  /** Reads that may run at the same time. */
  readonly readers: number;
}

/** @throws ConfigError where the embedded engine's directory cannot be used. A server is not contacted yet. */
export async function openClickHouse(config: ClickHouseConfig, { readers }: ClickHouseOptions): Promise<ClickHouse> {
  const lanes = config.CLICKHOUSE_URL === '' ? await openEngine(config, readers) : openServer(config, readers);
  return {
    query: (sql, params) => lanes.read(client => rowsOf(client, sql, params)),
    queryLines: (sql, params) => lanes.read(client => linesOf(client, sql, params)),
    command: sql => lanes.write(client => run(client, sql)),
    longCommand: sql => lanes.long(client => run(client, sql)),
    stream: (sql, format) => translated(lanes.stream(sql, format)),
    async insert(table, lines) {
      const rows = withoutBlankLines(Buffer.isBuffer(lines) ? lines : Buffer.from(lines));
      if (rows.length === 0) return;
      try {
        await lanes.insert(table, rows);
      } catch (error) {
        throw translate(error, 'insert');
      }
    },
    ping: () => lanes.read(client => ping(client)),
    disks: () => lanes.disks(),
    [Symbol.asyncDispose]: () => lanes.close(),
  };
}

async function rowsOf<T>(
  client: ClickHouseClient,
  sql: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<T[]> {
  try {
    const result = await client.query({ query: sql, query_params: { ...params }, format: 'JSONEachRow' });
    return await result.json<T>();
  } catch (error) {
    throw translate(error, 'query');
  }
}

async function linesOf(
  client: ClickHouseClient,
  sql: string,
  params: Readonly<Record<string, unknown>> = {},
): Promise<Uint8Array> {
  try {
    const { stream } = await client.exec({ query: `${sql} FORMAT JSONEachRow`, query_params: { ...params } });
    const chunks: Buffer[] = [];
    for await (const chunk of stream) chunks.push(chunk);
    // The embedded engine answers in one piece, which needs no copy.
    return chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks);
  } catch (error) {
    throw translate(error, 'query');
  }
}

async function* translated(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* pieces;
  } catch (error) {
    throw error instanceof Retryable ? error : translate(error, 'query');
  }
}

async function run(client: ClickHouseClient, sql: string): Promise<void> {
  try {
    await client.command({ query: sql });
  } catch (error) {
    throw translate(error, 'command');
  }
}

async function ping(client: ClickHouseClient): Promise<void> {
  const answer = await client.ping({ select: true });
  if (!answer.success) throw translate(answer.error, 'ping');
}
