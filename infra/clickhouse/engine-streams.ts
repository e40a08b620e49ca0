/**
 * Long reads of the embedded engine, piece by piece. Each has a connection of its own: the engine keeps a result open
 * only as the one thing its connection does. Rows come as they are taken; a Parquet file can only be written whole, so it
 * is written into a private directory first, and streamed from there.
 */
import { createReadStream } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Retryable } from '../errors.ts';

/**
 * `CSV` without names: the embedded engine would put them before each piece. `Parquet` is one file, which it writes whole
 * before the first piece comes.
 */
export type StreamFormat = 'CSV' | 'JSONEachRow' | 'Parquet';

export function engineStreams(directory: string, database: string) {
  const running = new Set<Promise<unknown>>();
  let closed = false;

  async function* rowsOf(sql: string, format: StreamFormat): AsyncGenerator<Uint8Array> {
    const { Session } = await import('chdb');
    const session = new Session(directory);
    try {
      await session.queryAsync(`USE ${database}`);
      if (format === 'Parquet') return yield* fileOf(sql, text => session.queryAsync(text));
      for await (const piece of session.queryStream(sql, { format })) {
        if (closed) throw closing();
        yield piece.raw();
      }
    } finally {
      session.close();
    }
  }

  return {
    async *open(sql: string, format: StreamFormat): AsyncGenerator<Uint8Array> {
      if (closed) throw closing();
      const { promise, resolve } = Promise.withResolvers<void>();
      running.add(promise);
      try {
        yield* rowsOf(sql, format);
      } finally {
        running.delete(promise);
        resolve();
      }
    },

    /** Waits for those that are being read. Each ends at its next piece; who asks for none any more must have returned. */
    async close(): Promise<void> {
      closed = true;
      await Promise.all(running);
    },
  };
}

async function* fileOf(sql: string, run: (sql: string) => Promise<unknown>): AsyncGenerator<Uint8Array> {
  const directory = await mkdtemp(join(tmpdir(), 'adclicks-export-'));
  try {
    const file = join(directory, 'rows.parquet');
    await run(`INSERT INTO FUNCTION file('${file}', 'Parquet') ${sql}`);
    yield* createReadStream(file, { highWaterMark: 1 << 20 });
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

function closing(): Retryable {
  return new Retryable('ClickHouse, stream: the engine is closing');
}
