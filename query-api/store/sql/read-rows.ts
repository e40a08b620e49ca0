/**
 * Reads rows of ClickHouse, and checks each of them against the shape that its question expects. A row of another shape
 * is an error that names the column, and not a wrong number in an answer. The type of a row comes from its shape.
 *
 * Nothing else in this room calls `query` (test/architecture.test.ts). Results that are passed on as bytes are checked
 * by the code that parses them.
 */
import { type Static, type TObject, type TProperties, Type } from 'typebox';
import { shown } from '../../../infra/broken-rule.ts';
import { checkedRows } from '../../../infra/clickhouse/checked-rows.ts';
import type { ClickHouse, Params, ReadOptions } from '../../../infra/clickhouse/clickhouse.ts';
import { Corrupt } from '../../../infra/errors.ts';

export type Reader = Pick<ClickHouse, 'query'>;

/** The columns of a row. */
export interface RowShape<P extends TProperties = TProperties> {
  /** Names the rows in an error: a table or a question. */
  readonly what: string;
  readonly columns: TObject<P>;
}

export type RowOf<S extends RowShape> = Readonly<Static<S['columns']>>;

export function rowShape<P extends TProperties>(what: string, columns: P): RowShape<P> {
  return { what, columns: Type.Object(columns) };
}

/** @throws Retryable, or Corrupt when a row has another shape */
export async function readRows<P extends TProperties>(
  clickhouse: Reader,
  { what, columns }: RowShape<P>,
  [sql, params]: readonly [sql: string, params: Params],
  options?: ReadOptions,
): Promise<RowOf<RowShape<P>>[]> {
  return checkedRows(columns, await clickhouse.query(sql, params, options), what);
}

/** Returns the only row of an answer. */
export async function readRow<P extends TProperties>(
  clickhouse: Reader,
  shape: RowShape<P>,
  statement: readonly [sql: string, params: Params],
): Promise<RowOf<RowShape<P>> | undefined> {
  const [row] = await readRows(clickhouse, shape, statement);
  return row;
}

/** Returns the column `n` of the only row, or 0 when there is no row. */
export async function readNumber(
  clickhouse: Reader,
  what: string,
  [sql, params]: readonly [sql: string, params: Params],
  options?: ReadOptions,
): Promise<number> {
  const [row] = checkedRows(NumberRow, await clickhouse.query(sql, params, options), what);
  return row?.n ?? 0;
}

/** Returns the objects of a list that a column stores as JSON. @throws Corrupt when it is not such a list */
export function storedRows<P extends TProperties>({ what, columns }: RowShape<P>, text: string): RowOf<RowShape<P>>[] {
  const rows = parsedJson(text);
  if (!Array.isArray(rows)) throw new Corrupt(`${what}: ${shown(text)}, but must be a list in JSON`);
  return checkedRows(columns, rows, what);
}

/** Returns undefined when the text is not JSON. */
export function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

const NumberRow = Type.Object({ n: Type.Integer() });
