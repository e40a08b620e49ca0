/**
 * The setting with which a statement finds the rows of some ads alone, as if ClickHouse had no others. It is one lock for
 * every statement, and not a condition that each statement has to remember: ClickHouse itself adds the condition wherever one of our tables is
 * read (setting `additional_table_filters`), also in subqueries, under FINAL, and in the nodes of other shards. The
 * primary key is used for it as for a condition in the statement.
 *
 * A table that holds numbers of all ads together has no rows for such a reader. So a statement that reads one by mistake
 * says too little, and never what belongs to others. A test compares this list with the tables that there are.
 */
import { type ClickHouseSettings, SettingsMap } from '@clickhouse/client';
import { adIdPrefixPattern } from '../keys/tenant.ts';

/** The setting for the tables of `database`. @throws RangeError if a prefix is not one, so that it cannot end a text */
export function settingsForAds(database: string, adIdPrefixes: readonly string[]): ClickHouseSettings {
  const wrong = adIdPrefixes.find(prefix => !adIdPrefixPattern.test(prefix));
  if (wrong !== undefined) throw new RangeError(`${JSON.stringify(wrong)} is no prefix of ad ids`);
  // The texts are inside a text, so their quotes need a backslash.
  const isOurs = adIdPrefixes.map(prefix => `startsWith(ad_id, \\'${prefix}\\')`).join(' OR ') || '0';
  const filters = Object.entries(rowsOfTables)
    .filter(([, rows]) => rows !== 'all')
    .map(([table, rows]) => [`${database}.${table}`, rows === 'ad' ? isOurs : '0'] as const);
  return { additional_table_filters: SettingsMap.from(Object.fromEntries(filters)) };
}

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
  audit_record: 'none',
  erasure_done: 'none',
  // Its filters name the users and addresses of others.
  stored_filter: 'none',
  // How far counting has come, which an answer says, and which recounts are visible.
  partition_progress: 'all',
  recounted_minute: 'all',
  schema_migration: 'all',
};
