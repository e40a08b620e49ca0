/**
 * Lists the tables of which each shard holds a part: those filled from the log's partitions, and what a node computes
 * from them. Every node has all other tables in full (decision 030).
 *
 * A statement names such a table only by `sharded`. It gets the name with a mark, which is a comment for ClickHouse, so
 * a single node answers for its own rows. When several shards are read, over-shards.ts replaces the name by all of them
 * at the moment when the statement is sent. So it does not matter when and by whom the statement was built.
 */
import { Sql } from './sql.ts';

export const shardedTables = [
  'click_raw',
  'ad_minute',
  'ad_minute_by_ad',
  'ad_hour',
  'most_clicked_ads',
  'partition_progress',
  'quarantine',
] as const;
export type ShardedTable = (typeof shardedTables)[number];

/** May be followed by FINAL. Columns may be qualified by the table's name. */
export function sharded(table: ShardedTable): Sql {
  return new Sql([`${table}${mark}`], []);
}

const mark = '/*sharded*/';

/**
 * Returns the statement with the result of `source` in place of its sharded tables, or the same statement if it has
 * none. @throws Error when such a table is named without the mark, because the rows of one shard would be reported as
 * all rows
 */
export function inPlaceOfSharded(statement: string, source: (table: string) => string): string {
  const [, unmarked] = unmarkedTable.exec(statement) ?? [];
  if (unmarked !== undefined) throw new Error(`a statement names ${unmarked} without "sharded"`);
  return statement.replace(markedTable, (_, table: string) => source(table));
}

const markedTable = /\b([a-z_]+)\/\*sharded\*\//g;
const unmarkedTable = new RegExp(`\\b(?:FROM|JOIN|INTO)\\s+(${shardedTables.join('|')})\\b(?!/\\*sharded)`);
