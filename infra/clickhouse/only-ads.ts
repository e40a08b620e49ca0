/**
 * Lets a reader see the rows of some ads alone, as if ClickHouse had no others. It is one lock for every statement, and
 * not a condition that each statement has to remember: ClickHouse itself adds the condition wherever one of our tables is
 * read (setting `additional_table_filters`), also in subqueries, under FINAL, and in the nodes of other shards. The
 * primary key is used for it as for a condition in the statement.
 *
 * A table that holds numbers of all ads together has no rows for such a reader. So a statement that reads one by mistake
 * says too little, and never what belongs to others. A test compares this list with the tables that there are.
 */
import { type ClickHouseSettings, SettingsMap } from '@clickhouse/client';
import { Corrupt } from '../errors.ts';
import { ownsAd, adIdPrefixPattern as prefixPattern } from '../keys/tenant.ts';
import type { ClickHouse, ReadOptions } from './clickhouse.ts';

/** `ad`: each row is of one ad, in column `ad_id`. `none`: rows of all ads together. `all`: no row is about ads. */
export const rowsOfTables: Readonly<Record<string, 'ad' | 'none' | 'all'>> = {
  click_raw: 'ad',
  ad_minute: 'ad',
  ad_minute_by_ad: 'ad',
  ad_hour: 'ad',
  quarantine: 'ad',
  restatement: 'ad',
  replay_diff: 'none',
  // Top lists and sums of all ads.
  most_clicked_ads: 'none',
  minute_recount: 'none',
  replay_job: 'none',
  replay_cancellation: 'none',
  job_runner: 'none',
  conservation_seal: 'none',
  conservation_check: 'none',
  replica_check: 'none',
  // Its filters name the users and addresses of others.
  stored_filter: 'none',
  // How far counting has come, which an answer says, and which recounts are visible.
  partition_progress: 'all',
  recounted_minute: 'all',
  schema_migration: 'all',
};

/** Returns the same database, in which there are only the ads whose id begins with one of the prefixes. It is read only. */
export function onlyAds(clickhouse: ClickHouse, adIdPrefixes: readonly string[]): ClickHouse {
  const only = (options?: ReadOptions): ReadOptions => ({ ...options, adIdPrefixes });
  return {
    query: async <T>(sql: string, params?: Parameters<ClickHouse['query']>[1], options?: ReadOptions) =>
      checked(await clickhouse.query<T>(sql, params, only(options)), adIdPrefixes),
    queryLines: (sql, params, options) => clickhouse.queryLines(sql, params, only(options)),
    stream: (sql, format, params, options) => clickhouse.stream(sql, format, params, only(options)),
    command: readOnly,
    insert: readOnly,
    ping: () => clickhouse.ping(),
    disks: readOnly,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** The second lock: a row that names an ad of others is never answered, whatever made ClickHouse return it. */
function checked<T>(rows: T[], adIdPrefixes: readonly string[]): T[] {
  for (const row of rows) {
    const adId: unknown = typeof row === 'object' && row !== null && 'ad_id' in row ? row.ad_id : '';
    // Sums over several ads have an empty id.
    if (typeof adId === 'string' && adId !== '' && !ownsAd({ adIdPrefixes }, adId))
      throw new Corrupt('ClickHouse returned a row of an ad that the reader must not see');
  }
  return rows;
}

async function readOnly(): Promise<never> {
  throw new Error('whoever sees some ads alone reads, and nothing else');
}

/** The setting for the tables of `database`. @throws RangeError if a prefix is not one, so that it cannot end a text */
export function settingsForAds(database: string, adIdPrefixes: readonly string[]): ClickHouseSettings {
  const wrong = adIdPrefixes.find(prefix => !prefixPattern.test(prefix));
  if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong)} is no prefix of ad ids`);
  // The texts are inside a text, so their quotes need a backslash.
  const isOurs = adIdPrefixes.map(prefix => `startsWith(ad_id, \\'${prefix}\\')`).join(' OR ') || '0';
  const filters = Object.entries(rowsOfTables)
    .filter(([, rows]) => rows !== 'all')
    .map(([table, rows]) => [`${database}.${table}`, rows === 'ad' ? isOurs : '0'] as const);
  return { additional_table_filters: SettingsMap.from(Object.fromEntries(filters)) };
}
