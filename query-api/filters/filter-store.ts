/** The table of stored filters. */
import { type Sql, sql, statement } from '../../infra/clickhouse/sql.ts';
import type { ClickHouse } from '../../infra/clickhouse.ts';
import { settingsOf } from '../read-settings.ts';
import { type FilterDefinition, storedDefinition } from './filter-definition.ts';

export interface StoredFilter {
  readonly id: string;
  readonly definition: FilterDefinition;
  /** Epoch ms. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type FilterStore = ReturnType<typeof createFilterStore>;

/** A deleted one leaves a row behind, so these count, too: a bound on what strangers can fill the table with. */
export const maxFilters = 10_000;

export function createFilterStore(clickhouse: ClickHouse, { timeoutMs }: { readonly timeoutMs: number }) {
  const rows = async (where: Sql, limit: number) =>
    await clickhouse.query<FilterRow>(
      ...statement`SELECT id, definition, deleted, toUnixTimestamp64Milli(created) AS created_at,
         toUnixTimestamp64Milli(updated) AS updated_at, seq
       FROM (
         SELECT id, definition, deleted, created_at AS created, updated_at AS updated, seq FROM stored_filter FINAL
         WHERE ${where} ORDER BY id LIMIT ${limit}
       ) ORDER BY id ${settingsOf(limit, timeoutMs)}`,
    );
  const current = async (id: string) => (await rows(sql`id = ${id}`, 1))[0];
  return {
    async get(id: string): Promise<StoredFilter | undefined> {
      const row = await current(id);
      return row && row.deleted === 0 ? filterOf(row) : undefined;
    },

    /** In the order of ids, those after `after`. */
    async list(after: string, limit: number): Promise<StoredFilter[]> {
      return (await rows(sql`deleted = 0 AND id > ${after}`, limit)).map(filterOf);
    },

    /** Ids that are or were taken. */
    async count(): Promise<number> {
      const [row] = await clickhouse.query<{ n: number }>(
        ...statement`SELECT count() AS n FROM stored_filter FINAL ${settingsOf(1, timeoutMs)}`,
      );
      return row?.n ?? 0;
    },

    /** The row's seq is the time, so that the later of two writers wins, and never falls back behind the row it replaces. */
    async put(id: string, definition: FilterDefinition, at: number): Promise<StoredFilter> {
      const before = await current(id);
      const createdAt = before?.deleted === 0 ? before.created_at : at;
      const row = { id, definition: JSON.stringify(definition), deleted: 0, created_at: createdAt, updated_at: at };
      await clickhouse.insert('stored_filter', JSON.stringify({ ...row, seq: Math.max(at, (before?.seq ?? 0) + 1) }));
      return { id, definition, createdAt, updatedAt: at };
    },

    /** What it was; undefined: there was none. */
    async remove(id: string, at: number): Promise<StoredFilter | undefined> {
      const before = await current(id);
      if (before?.deleted !== 0) return undefined;
      const removed = filterOf(before);
      const row = { ...before, deleted: 1, updated_at: at, seq: Math.max(at, before.seq + 1) };
      await clickhouse.insert('stored_filter', JSON.stringify(row));
      return removed;
    },
  };
}

interface FilterRow {
  readonly id: string;
  readonly definition: string;
  readonly deleted: number;
  readonly created_at: number;
  readonly updated_at: number;
  readonly seq: number;
}

function filterOf({ id, definition, created_at, updated_at }: FilterRow): StoredFilter {
  return { id, definition: storedDefinition(id, definition), createdAt: created_at, updatedAt: updated_at };
}
