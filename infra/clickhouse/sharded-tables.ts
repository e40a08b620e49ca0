/**
 * Tables of which each shard holds a part: what comes of the log's partitions, and what a node works out of that. Of all
 * other tables every node has the whole (decision 030).
 *
 * A statement names such a table by `sharded` and by nothing else. What it gets is the name with a mark, which is a comment
 * to ClickHouse: a node that is asked by itself answers for its own rows. Who reads several shards puts all of them in
 * its place (over-shards.ts), where the statement is sent, so it does not matter when and by whom it was put together.
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

/** To be followed by FINAL, if at all. Its columns may be named by the table. */
export function sharded(table: ShardedTable): Sql {
  return new Sql([`${table}${mark}`], []);
}

const mark = '/*sharded*/';

/**
 * The statement with what `source` says in the place of its sharded tables; the same statement where it has none.
 * @throws Error where one is named without the mark: its rows of one shard would be told as all
 */
export function inPlaceOfSharded(statement: string, source: (table: string) => string): string {
  const [, unmarked] = unmarkedTable.exec(statement) ?? [];
  if (unmarked !== undefined) throw new Error(`a statement names ${unmarked} without "sharded"`);
  return statement.replace(markedTable, (_, table: string) => source(table));
}

const markedTable = /\b([a-z_]+)\/\*sharded\*\//g;
const unmarkedTable = new RegExp(`\\b(?:FROM|JOIN|INTO)\\s+(${shardedTables.join('|')})\\b(?!/\\*sharded)`);
