/** A ClickHouse server over HTTP, with as many statements at once as it has connections. */
import { Readable } from 'node:stream';
import { finished } from 'node:stream/promises';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import { type ClickHouseConfig, withoutUserInfo } from '../config.ts';
import { ConfigError } from '../errors.ts';
import type { Disk } from './disks.ts';
import type { Lanes } from './engine.ts';
import { codeOf, translate } from './errors.ts';
import { formatOf, insertSettingsOf } from './insert.ts';

export function openServer(config: ClickHouseConfig, readers: number): Lanes {
  if (!URL.canParse(config.CLICKHOUSE_URL))
    throw new ConfigError(`CLICKHOUSE_URL="${withoutUserInfo(config.CLICKHOUSE_URL)}": is not a URL`);
  const clientOf = (database: string, connections: number) =>
    createClient({
      url: config.CLICKHOUSE_URL,
      username: config.CLICKHOUSE_USER,
      password: config.CLICKHOUSE_PASSWORD,
      database,
      request_timeout: requestTimeoutMs,
      max_open_connections: connections,
      // Failures are thrown, and logged by whom they concern.
      log: { level: ClickHouseLogLevel.OFF },
      keep_alive: { enabled: true, idle_socket_ttl: 2_500 },
    });
  const client = clientOf(config.CLICKHOUSE_DATABASE, readers + 1);
  const createDatabase = async () => {
    await using root = asDisposable(clientOf('default', 1));
    await root.client.command({ query: `CREATE DATABASE IF NOT EXISTS ${config.CLICKHOUSE_DATABASE}` });
  };
  const write: Lanes['write'] = async use => {
    try {
      return await use(client);
    } catch (error) {
      // A server refuses every statement of a client whose database is not there yet, even its creation.
      if (codeOf(error) !== 'UNKNOWN_DATABASE') throw error;
      await createDatabase();
      return await use(client);
    }
  };
  return {
    read: use => use(client),
    write,
    insert: (table, rows) =>
      write(async () => {
        const query = `INSERT INTO ${table} SETTINGS ${insertSettingsOf(table)} FORMAT ${formatOf(rows)}`;
        const { stream } = await client.exec({ query, values: Readable.from([rows], { objectMode: false }) });
        await finished(stream.resume());
      }),
    disks: () => disksOf(client),
    long: use => use(client),
    async *stream(sql, format) {
      const { stream } = await client.exec({ query: `${sql} FORMAT ${format}` });
      yield* stream;
    },
    close: () => client.close(),
  };
}

export const disksSql = `SELECT name, toFloat64(unreserved_space) AS freeBytes, toFloat64(total_space) AS sizeBytes
  FROM system.disks WHERE NOT is_remote SETTINGS max_execution_time=2`;

/** A disk elsewhere (S3) has no end that could be told. */
async function disksOf(client: ClickHouseClient): Promise<Disk[]> {
  try {
    const result = await client.query({ query: disksSql, format: 'JSONEachRow' });
    return await result.json<Disk>();
  } catch (error) {
    throw translate(error, 'query');
  }
}

/** Longer than any statement of ours takes; reads carry a shorter `max_execution_time` of their own. */
const requestTimeoutMs = 60_000;

function asDisposable(client: ClickHouseClient) {
  return { client, [Symbol.asyncDispose]: () => client.close() };
}
