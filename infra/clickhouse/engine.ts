/**
 * The embedded engine: ClickHouse inside this process, under `DATA_DIR/clickhouse`.
 *
 * One connection runs one statement at a time, and a statement cannot be interrupted from outside, so there is one
 * connection for writing, one for long statements and a few for reading, each with a queue of bounded length: an insert
 * never waits for a report. A stream has a connection of its own while it lasts. (The binding runs statements with bound
 * parameters one after the other in the whole process.)
 */
import { accessSync, constants, mkdirSync, readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client';
import type { ClickHouseConfig } from '../config.ts';
import { ConfigError, messageOf, Retryable } from '../errors.ts';
import { allowStall } from '../watchdog.ts';
import type { Disk } from './disks.ts';
import { openInserts } from './engine-inserts.ts';
import { engineStreams, type StreamFormat } from './engine-streams.ts';

/** Who runs statements: HTTP takes any number at once, a connection of the embedded engine one at a time. */
export interface Lanes {
  read<T>(use: (client: ClickHouseClient) => Promise<T>): Promise<T>;
  write<T>(use: (client: ClickHouseClient) => Promise<T>): Promise<T>;
  /** Rows as lines of JSON. */
  insert(table: string, rows: Buffer): Promise<void>;
  disks(): Promise<readonly Disk[]>;
  /** Beside the others. */
  long<T>(use: (client: ClickHouseClient) => Promise<T>): Promise<T>;
  stream(sql: string, format: StreamFormat): AsyncIterable<Uint8Array>;
  close(): Promise<void>;
}

export async function openEngine(config: ClickHouseConfig, readers: number): Promise<Lanes> {
  const directory = join(config.DATA_DIR, 'clickhouse');
  // The engine is a large native library: loaded only by the process that runs it.
  const { createChdbConnection } = await import('chdb/connection');
  const connect = async () => {
    // The two packages declare one interface twice; the casts end at this line.
    const connection = createChdbConnection({ path: directory });
    const client = createClient({
      connection: connection as unknown as Connection,
      log: { level: ClickHouseLogLevel.OFF },
    });
    await client.command({ query: `CREATE DATABASE IF NOT EXISTS ${config.CLICKHOUSE_DATABASE}` });
    await client.command({ query: `USE ${config.CLICKHOUSE_DATABASE}` });
    return client;
  };
  const opened: ClickHouseClient[] = [];
  let inserts: Awaited<ReturnType<typeof openInserts>>;
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
    using _ = allowStall(openTimeoutMs);
    while (opened.length < 2 + readers) opened.push(await connect());
    inserts = await openInserts(resolve(config.DATA_DIR));
  } catch (error) {
    throw cannotOpen(error, directory);
  }
  const [writer, longWriter, ...others] = opened;
  const write = laneOf([writer!], 'write');
  const long = laneOf([longWriter!], 'long statement');
  const read = laneOf(others, 'read');
  const streams = engineStreams(directory, config.CLICKHOUSE_DATABASE);
  return {
    read: read.run,
    write: write.run,
    insert: (table, rows) => inserts.insert(table, rows, query => write.run(client => client.command({ query }))),
    // The broker's data lies beside the engine's, and the system is asked rather than the engine: it knows when that is stuck.
    disks: async () => [await diskAt(config.DATA_DIR)],
    long: long.run,
    stream: streams.open,
    async close() {
      await Promise.all([read.close(), write.close(), long.close(), streams.close()]);
      using _ = allowStall(openTimeoutMs);
      for (const client of opened) await client.close();
      inserts.close();
    },
  };
}

async function diskAt(path: string): Promise<Disk> {
  const { bavail, blocks, bsize } = await statfs(path);
  return { name: 'data', freeBytes: bavail * bsize, sizeBytes: blocks * bsize };
}

type Connection = NonNullable<NonNullable<Parameters<typeof createClient>[0]>['connection']>;

/** The engine opens and closes within one call, and may have many parts to look at. */
const openTimeoutMs = 10 * 60_000;

/** Statements that wait for a connection; beyond, the engine is overloaded and says so at once. */
const queueLimit = 128;

/** Hands `clients` out one user at a time, first come first served. */
function laneOf<C>(clients: readonly C[], name: string) {
  const free = [...clients];
  const waiting: PromiseWithResolvers<C>[] = [];
  const running = new Set<Promise<unknown>>();
  let closed = false;

  const take = (): Promise<C> | C => {
    if (closed) throw new Retryable(`ClickHouse, ${name}: the engine is closing`);
    const client = free.pop();
    if (client) return client;
    if (waiting.length >= queueLimit)
      throw new Retryable(`ClickHouse, ${name}: ${queueLimit} statements are waiting already`);
    const turn = Promise.withResolvers<C>();
    waiting.push(turn);
    return turn.promise;
  };
  const giveBack = (client: C) => {
    const next = waiting.shift();
    if (next) next.resolve(client);
    else free.push(client);
  };

  return {
    async run<T>(use: (client: C) => Promise<T>): Promise<T> {
      const client = await take();
      const result = use(client).finally(() => giveBack(client));
      const settled = result.catch(() => undefined).finally(() => running.delete(settled));
      running.add(settled);
      return await result;
    },
    async close() {
      closed = true;
      for (const turn of waiting.splice(0)) turn.reject(new Retryable(`ClickHouse, ${name}: the engine is closing`));
      await Promise.all(running);
    },
  };
}

/** The engine prints its reason and keeps it from us: what a user can mend is found out here. */
function cannotOpen(error: unknown, directory: string): unknown {
  const message = messageOf(error);
  if (/ENOSPC|No space left on device/.test(message)) {
    return new ConfigError(`${directory}: no space left on the disk: free some and start again`, { cause: error });
  }
  if (/EACCES|EPERM|EROFS|ENOTDIR|EEXIST/.test(message)) {
    return new ConfigError(`DATA_DIR: ${directory} cannot be written: ${message}`, { cause: error });
  }
  if (!message.startsWith('Failed to create connection')) return error;
  const owner = ownerOf(directory);
  if (owner === undefined)
    return new Error(`the embedded engine cannot open ${directory}; its reason stands on stderr`, { cause: error });
  return new ConfigError(
    `DATA_DIR: ${directory} is in use by process ${owner}: stop that one, or choose another directory`,
    { cause: error },
  );
}

/** The engine writes its process into file `status`, which stays behind where that process was killed. */
function ownerOf(directory: string): number | undefined {
  try {
    const pid = Number(/^PID: (\d+)/.exec(readFileSync(join(directory, 'status'), 'utf8'))?.[1]);
    process.kill(pid, 0);
    return pid;
  } catch {
    return undefined;
  }
}
