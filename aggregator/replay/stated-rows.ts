/**
 * Parses the rows that ClickHouse holds for a range, and checks each of them: a recount writes what differs from them,
 * so a row of another shape must be an error, and not a restatement of numbers that nobody wrote.
 */
import { Type } from 'typebox';
import { checkedRows } from '../../infra/clickhouse/checked-rows.ts';
import { Corrupt } from '../../infra/errors.ts';
import { invalidReasons } from '../../ingest/validity/rules.ts';
import type { StatedRow } from '../restatement.ts';

/** `ndjson` has a `StatedRow` per line, and may be empty. @throws Corrupt */
export function statedRowsIn(ndjson: Uint8Array): StatedRow[] {
  const text = new TextDecoder().decode(ndjson).trimEnd();
  return checkedRows(StatedColumns, parsed(text), 'ad_minute') satisfies StatedRow[];
}

function parsed(text: string): unknown[] {
  try {
    return JSON.parse(`[${text.replaceAll('\n', ',')}]`);
  } catch (error) {
    throw new Corrupt(`ad_minute: the rows are not lines of JSON, from ${text.slice(0, 80)}`, { cause: error });
  }
}

const Count = Type.Integer({ minimum: 0 });
const StatedColumns = Type.Object({
  minute: Count,
  ad_id: Type.String(),
  country: Type.String(),
  partition: Count,
  revision: Count,
  clicks: Count,
  duplicates: Count,
  late: Count,
  rules: Count,
  invalid: Count,
  invalid_by: Type.Partial(Type.Object(Object.fromEntries(invalidReasons.map(reason => [reason, Count])))),
});
