/**
 * Stored filters: read from their table, and changed through the log, whose order decides between two who change one at the
 * same time (aggregator/job-records.ts).
 */

import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { type Sql, sql, statement } from '../../../infra/clickhouse/sql.ts';
import { Retryable } from '../../../infra/errors.ts';
import { Problem } from '../../../infra/http.ts';
import type { RequestLog } from '../../log/request-log.ts';
import { untilVisible } from '../../log/until-visible.ts';
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

/** A deleted one leaves a row behind, so these count, too: a bound on what strangers can fill the table with. */
export const maxFilters = 10_000;

export interface FilterStoreOptions {
  readonly timeoutMs: number;
  readonly requests: RequestLog;
}

export function createFilterStore(clickhouse: ClickHouse, { timeoutMs, requests }: FilterStoreOptions) {
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
  /** Who asks by it next gets what he has put, whichever query API he asks. @throws Retryable, Problem */
  const change = async (row: ChangedFilter) => {
    await requests.append('filter', [{ ...row, logged: 1 }]);
    await shown(row).catch(error => {
      if (!(error instanceof Retryable)) throw error;
      const doing = `id "${row.id}": what you have asked for is written, and not to be seen yet`;
      throw new Problem(503, 'unavailable', `${doing}: ask for the same again, which does no harm`, {}, 1);
    });
  };
  const shown = ({ id, definition, deleted, updated_at }: ChangedFilter) =>
    untilVisible(`filter ${id}`, { withinMs: 5_000 }, async () => {
      // Without FINAL: somebody else's may have replaced it already.
      const found = await clickhouse.query(
        ...statement`SELECT id FROM stored_filter WHERE id = ${id} AND definition = ${definition} AND deleted = ${deleted}
           AND updated_at = fromUnixTimestamp64Milli(${updated_at}, 'UTC') LIMIT 1 ${settingsOf(1, timeoutMs)}`,
      );
      return found.length > 0;
    });
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

    /** @throws Retryable, Problem: it may be there all the same, or come; to put it again does no harm */
    async put(id: string, definition: FilterDefinition, at: number): Promise<StoredFilter> {
      const before = await current(id);
      const createdAt = before?.deleted === 0 ? before.created_at : at;
      const text = JSON.stringify(definition);
      await change({ id, definition: text, deleted: 0, created_at: createdAt, updated_at: at });
      return { id, definition, createdAt, updatedAt: at };
    },

    /** What it was; undefined: there was none. @throws Retryable, Problem likewise */
    async remove(id: string, at: number): Promise<StoredFilter | undefined> {
      const before = await current(id);
      if (before?.deleted !== 0) return undefined;
      const { definition, created_at } = before;
      await change({ id, definition, deleted: 1, created_at, updated_at: at });
      return filterOf(before);
    },
  };
}

/** `seq` it gets from its place in the log. */
type ChangedFilter = Omit<FilterRow, 'seq'>;

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
