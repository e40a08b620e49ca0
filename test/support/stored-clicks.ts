/** Many raw clicks and their counts in the store at once, evenly over a range, with users: for reads that take long. */
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';

export interface StoredClicks {
  readonly clicks: number;
  readonly ads: number;
  readonly users: number;
  /** Epoch ms, half-open. */
  readonly from: number;
  readonly to: number;
}

export async function storeClicks(clickhouse: ClickHouse, plan: StoredClicks): Promise<void> {
  const stepMs = (plan.to - plan.from) / plan.clicks;
  await clickhouse.command(
    `INSERT INTO click_raw (click_id, event_id, ad_id, clicked_at, received_at, country, user_id, ip)
     SELECT leftPad(toString(number), 26, '0') AS click_id, click_id AS event_id,
       concat('ad-', toString(cityHash64(number) % {ads:UInt32})) AS ad_id,
       fromUnixTimestamp64Milli(toInt64({from:Int64} + number * {step:Float64}), 'UTC') AS clicked_at,
       clicked_at AS received_at, ['KR', 'US', 'DE'][number % 3 + 1] AS country,
       concat('u_', toString(sipHash64(number) % {users:UInt32})) AS user_id, '203.0.113.7' AS ip
     FROM numbers({clicks:UInt64})`,
    { clicks: plan.clicks, ads: plan.ads, users: plan.users, from: plan.from, step: stepMs },
  );
  await clickhouse.command(
    `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
     SELECT toDateTime(toStartOfMinute(clicked_at), 'UTC') AS minute, ad_id, country, 0 AS partition, 1 AS version,
       count() AS clicks, 0 AS duplicates, 0 AS late
     FROM click_raw GROUP BY minute, ad_id, country`,
  );
  const at = { watermark: plan.to, final_until: plan.to, appended_at: plan.to };
  const lines = { received: plan.clicks, counted: plan.clicks, duplicates: 0, quarantined: 0 };
  const row = { partition: 0, partitions: 1, position: plan.clicks, ...at, ...lines };
  await clickhouse.insert('partition_progress', JSON.stringify(row));
}
