/**
 * Stored filters. They are read from their table and changed through the log. When two clients change a filter at the
 * same time, the order of the log decides (aggregator/job-records.ts).
 */

import { Type } from 'typebox';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import { Problem } from '../../../infra/http.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
import { type Reader, type RowOf, readNumber, readRows, rowShape } from '../sql/read-rows.ts';
import { settingsOf } from '../sql/read-settings.ts';
import { type FilterDefinition, storedDefinition } from './filter-definition.ts';

export interface StoredFilter {
  readonly id: string;
  readonly definition: FilterDefinition;
  /** Epoch ms. */
  readonly createdAt: number;
  readonly updatedAt: number;
}

export type FilterStore = ReturnType<typeof createFilterStore>;

/** Limits what clients can write into the table (new-filters.ts). A deleted filter leaves a row behind, so it counts too. */
export const maxFilters = 10_000;

export interface FilterStoreOptions {
  readonly timeoutMs: number;
  readonly requests: RequestLog;
}

const FilterRow = rowShape('stored_filter', {
  id: Type.String(),
  definition: Type.String(),
  deleted: Type.Integer(),
  created_at: Type.Integer(),
  updated_at: Type.Integer(),
  seq: Type.Integer(),
});
type FilterRow = RowOf<typeof FilterRow>;

/** The sink adds `seq`, which is the place in the log. */
type ChangedFilter = Omit<FilterRow, 'seq'>;

const FilterId = rowShape('stored_filter', { id: Type.String() });

/** Long because it holds one short question or change after another. Each of them can be read on its own. */
export function createFilterStore(clickhouse: Reader, { timeoutMs, requests }: FilterStoreOptions) {
  const rows = async (where: Sql, limit: number) =>
    await readRows(
      clickhouse,
      FilterRow,
      statement`SELECT id, definition, deleted, toUnixTimestamp64Milli(created) AS created_at,
         toUnixTimestamp64Milli(updated) AS updated_at, seq
       FROM (
         SELECT id, definition, deleted, created_at AS created, updated_at AS updated, seq FROM stored_filter FINAL
         WHERE ${where} ORDER BY id LIMIT ${limit}
       ) ORDER BY id ${settingsOf(limit, timeoutMs)}`,
    );
  const current = async (id: string) => (await rows(sql`id = ${id}`, 1))[0];
  const change = async (row: ChangedFilter) => {
    await requests.append('filter', [{ ...row, logged: 1 }]);
    await untilShown(clickhouse, row, timeoutMs);
  };
  return {
    async get(id: string): Promise<StoredFilter | undefined> {
      const row = await current(id);
      return row && row.deleted === 0 ? filterOf(row) : undefined;
    },

    /** Returns the filters after `after`, in the order of ids. */
    async list(after: string, limit: number): Promise<StoredFilter[]> {
      return (await rows(sql`deleted = 0 AND id > ${after}`, limit)).map(filterOf);
    },

    /** Whether the id is or was used. */
    async has(id: string): Promise<boolean> {
      return (await current(id)) !== undefined;
    },

    /** Counts the ids that are or were used. */
    async count(): Promise<number> {
      const counted = statement`SELECT count() AS n FROM stored_filter FINAL ${settingsOf(1, timeoutMs)}`;
      return await readNumber(clickhouse, 'stored_filter', counted);
    },

    /**
     * @throws Retryable, Problem when it is not known whether the filter is stored. It may be stored now or later.
     *   Putting it again does no harm.
     */
    async put(id: string, definition: FilterDefinition, at: number): Promise<StoredFilter> {
      const before = await current(id);
      const createdAt = before?.deleted === 0 ? before.created_at : at;
      const text = JSON.stringify(definition);
      await change({ id, definition: text, deleted: 0, created_at: createdAt, updated_at: at });
      return { id, definition, createdAt, updatedAt: at };
    },

    /**
     * Returns the removed filter, or undefined if there was none. What stays behind does not say what it was, so that no
     * person is named in it. @throws Retryable, Problem as `put` does
     */
    async remove(id: string, at: number): Promise<StoredFilter | undefined> {
      const before = await current(id);
      if (before?.deleted !== 0) return undefined;
      const { created_at } = before;
      await change({ id, definition: '{}', deleted: 1, created_at, updated_at: at });
      return filterOf(before);
    },
  };
}

/**
 * Resolves when ClickHouse shows the change. So the client that has made it sees it with its next request, whichever
 * query API it asks. @throws Retryable, Problem
 */
async function untilShown(
  clickhouse: Reader,
  { id, definition, deleted, updated_at }: ChangedFilter,
  timeoutMs: number,
): Promise<void> {
  const isShown = async () => {
    // Read without FINAL, because another client's change may already have replaced this one.
    const found = await readRows(
      clickhouse,
      FilterId,
      statement`SELECT id FROM stored_filter WHERE id = ${id} AND definition = ${definition} AND deleted = ${deleted}
         AND updated_at = fromUnixTimestamp64Milli(${updated_at}, 'UTC') LIMIT 1 ${settingsOf(1, timeoutMs)}`,
    );
    return found.length > 0;
  };
  await untilVisible(`filter ${id}`, { withinMs: 5_000 }, isShown).catch(error => {
    if (!(error instanceof Retryable)) throw error;
    const doing = `id "${id}": the change is written, but not visible yet`;
    throw new Problem(503, 'unavailable', `${doing}: send the same request again, which does no harm`, {}, 1);
  });
}

function filterOf({ id, definition, created_at, updated_at }: FilterRow): StoredFilter {
  return { id, definition: storedDefinition(id, definition), createdAt: created_at, updatedAt: updated_at };
}
