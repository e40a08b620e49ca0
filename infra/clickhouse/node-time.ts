/** Tells the time of a ClickHouse server, by which it dates rows and lets them expire. */
import { Type } from 'typebox';
import { checkedRows } from './checked-rows.ts';
import type { ClickHouse } from './clickhouse.ts';
import { statement } from './sql.ts';

/** Returns epoch ms. */
export async function timeOf(clickhouse: Pick<ClickHouse, 'query'>): Promise<number> {
  const rows = await clickhouse.query(...statement`SELECT toUnixTimestamp64Milli(now64(3, 'UTC')) AS at`);
  return checkedRows(Time, rows, 'the time of the node')[0]?.at ?? 0;
}

const Time = Type.Object({ at: Type.Integer() });
