/**
 * Identifies the incarnation of a node's tables, which changes when the node is emptied.
 *
 * A node whose directory was removed comes back without tables, gets new ones, and with them a new incarnation. The
 * sink remembers how far a node was filled in committed offsets of the log. By the incarnation it finds that these
 * belong to earlier tables, and fills the node from the beginning.
 *
 * The incarnation is stored in `schema_migration` as version 0, before any other table is created. Nodes from before
 * this feature have none, which counts as the incarnation ''.
 */
import { randomUUID } from 'node:crypto';
import { Type } from 'typebox';
import { checkedRows } from './checked-rows.ts';
import type { ClickHouse } from './clickhouse.ts';
import { codeOf } from './errors.ts';

export type Incarnation = string;

/** The row with version 0 of `schema_migration`, whose name is the incarnation. */
export const IncarnationRow = Type.Object({ name: Type.String() });

/** Returns undefined when the node has no tables yet. @throws Retryable */
export async function incarnationOf(clickhouse: Pick<ClickHouse, 'query'>): Promise<Incarnation | undefined> {
  try {
    const rows = await clickhouse.query(
      'SELECT name FROM schema_migration FINAL WHERE version = 0 SETTINGS max_execution_time=10',
    );
    const [row] = checkedRows(IncarnationRow, rows, 'schema_migration');
    return row?.name ?? '';
  } catch (error) {
    if (/^UNKNOWN_(TABLE|DATABASE)$/.test(codeOf(error) ?? '')) return undefined;
    throw error;
  }
}

/**
 * Must be called while nothing is recorded in `schema_migration`. If two processes do it at the same time, the later
 * one holds.
 */
export async function beginIncarnation(clickhouse: Pick<ClickHouse, 'insert'>): Promise<void> {
  const row = { version: 0, name: randomUUID(), checksum: '', applied_at: Date.now() };
  await clickhouse.insert('schema_migration', JSON.stringify(row));
}
