/**
 * Which life of a node its tables belong to: a node that was emptied begins another. A node whose directory was removed
 * comes back with no tables, gets new ones, and with them another incarnation: so whoever remembers how far the node
 * was filled (offsets of the log, committed by its sink) finds that this was another life, and fills it from the
 * beginning.
 *
 * It stands in `schema_migration`, as version 0, before any other table is made. Nodes that are older than this have none,
 * which is an incarnation like another: ''.
 */
import { randomUUID } from 'node:crypto';
import type { ClickHouse } from './clickhouse.ts';
import { codeOf } from './errors.ts';

export type Incarnation = string;

/** Undefined: the node has no tables yet. @throws Retryable */
export async function incarnationOf(clickhouse: Pick<ClickHouse, 'query'>): Promise<Incarnation | undefined> {
  try {
    const [row] = await clickhouse.query<{ name: string }>(
      'SELECT name FROM schema_migration FINAL WHERE version = 0 SETTINGS max_execution_time=10',
    );
    return row?.name ?? '';
  } catch (error) {
    if (/^UNKNOWN_(TABLE|DATABASE)$/.test(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}

/** To be called when nothing is recorded in `schema_migration` yet. Of two at the same time the later holds. */
export async function beginIncarnation(clickhouse: Pick<ClickHouse, 'insert'>): Promise<void> {
  const row = { version: 0, name: randomUUID(), checksum: '', applied_at: Date.now() };
  await clickhouse.insert('schema_migration', JSON.stringify(row));
}
