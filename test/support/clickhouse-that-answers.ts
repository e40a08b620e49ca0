/** A ClickHouse that answers reads of rows as it is told, and forgets what it is given. */
import { Readable } from 'node:stream';
import type { ClickHouse, ReadOptions } from '../../infra/clickhouse/clickhouse.ts';

export type Answer = (sql: string, options?: ReadOptions) => readonly unknown[] | Promise<readonly unknown[]>;

export function clickHouseThatAnswers(answer: Answer = () => []): ClickHouse {
  return {
    query: async <T>(sql: string, _params?: unknown, options?: ReadOptions) => (await answer(sql, options)) as T[],
    queryLines: async () => new Uint8Array(),
    command: async () => undefined,
    stream: () => Readable.from([]),
    insert: async () => undefined,
    ping: async () => undefined,
    disks: async () => [],
    [Symbol.asyncDispose]: async () => undefined,
  };
}
