/** What the tables hold, read as billing reads them (FINAL), past the query API. */
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import type { ClickHouseEnv } from '../../infra/embedded/clickhouse.ts';

export interface CellRow {
  /** Epoch s. */
  readonly minute: number;
  readonly ad_id: string;
  readonly country: string;
  readonly partition: number;
  readonly version: number;
  readonly clicks: number;
  readonly duplicates: number;
}

export interface StoreRows {
  readonly raw: readonly { click_id: string; event_id: string; ad_id: string; clicked_at: number }[];
  readonly adMinute: readonly CellRow[];
  readonly adMinuteByAd: readonly CellRow[];
  readonly quarantine: readonly { partition: number; offset: number; line: number; reason: string; raw: string }[];
  readonly progress: readonly {
    partition: number;
    position: number;
    received: number;
    counted: number;
    duplicates: number;
    quarantined: number;
  }[];
  readonly restatements: readonly {
    minute: number;
    ad_id: string;
    country: string;
    revision: number;
    before: number;
    after: number;
    before_duplicates: number;
  }[];
}

const cells = 'SELECT toUnixTimestamp(minute) AS minute, ad_id, country, partition, version, clicks, duplicates FROM';

export async function readStoreRows(env: ClickHouseEnv): Promise<StoreRows> {
  const config = loadConfig(ClickHouseConfig, { ...env });
  await using clickhouse = openClickHouse(config, { readers: 1 });
  return {
    raw: await clickhouse.query(
      'SELECT click_id, event_id, ad_id, toUnixTimestamp64Milli(clicked_at) AS clicked_at FROM click_raw FINAL',
    ),
    adMinute: await clickhouse.query(`${cells} ad_minute FINAL`),
    adMinuteByAd: await clickhouse.query(`${cells} ad_minute_by_ad FINAL`),
    quarantine: await clickhouse.query('SELECT partition, offset, line, reason, raw FROM quarantine FINAL'),
    progress: await clickhouse.query(
      'SELECT partition, position, received, counted, duplicates, quarantined FROM partition_progress FINAL',
    ),
    restatements: await clickhouse.query(
      'SELECT toUnixTimestamp(minute) AS minute, ad_id, country, revision, before, after, before_duplicates FROM restatement FINAL WHERE empty(rows) OR (minute, at, job) IN (SELECT minute, at, job FROM recounted_minute)',
    ),
  };
}
