/**
 * Builds SQL from pieces with bound values. This is the only way in which a statement gets a value that is not written
 * in the code.
 *
 *     clickhouse.query(...statement`SELECT sum(clicks) FROM ad_minute FINAL WHERE ${within(range)} AND country =
 *     ${country}`)
 *
 * What is between `${` and `}` is a piece made with `sql`, or otherwise a value, whatever its text. Pieces are joined.
 * Values become `{p0:String}` and so on, numbered over the whole statement. So no function has to return its parameters
 * next to its text, and no two functions can use the same name. A value cannot become part of the text by mistake. A
 * test finds SQL that is built in any other way.
 */
import type { Params } from './clickhouse.ts';

/** Numbers are whole (Int64). `null` and dates are not needed. */
export type SqlValue = string | number | readonly string[] | readonly number[];

/** A piece of SQL with its values. */
export class Sql {
  /** There is one more text than values: the values are between them. */
  readonly texts: readonly string[];
  readonly values: readonly SqlValue[];

  constructor(texts: readonly string[], values: readonly SqlValue[]) {
    this.texts = texts;
    this.values = values;
  }

  /** If a piece became part of a text without `sql` or `statement`, its values would be lost. */
  toString(): string {
    if (this.values.length > 0) throw new Error(`SQL with values in a text: ${this.texts.join('{…}')}`);
    return this.texts.join('');
  }
}

/** Builds a piece. */
export function sql(texts: TemplateStringsArray, ...inserted: readonly (Sql | SqlValue)[]): Sql {
  const all = [texts[0] ?? ''];
  const values: SqlValue[] = [];
  for (const [i, each] of inserted.entries()) {
    const piece = each instanceof Sql ? each : pieceOf(each);
    all[all.length - 1] += piece.texts[0] ?? '';
    all.push(...piece.texts.slice(1));
    values.push(...piece.values);
    all[all.length - 1] += texts[i + 1] ?? '';
  }
  return new Sql(all, values);
}

/** Builds a whole statement, as the methods of `ClickHouse` accept it. Equal values are sent once. */
export function statement(
  texts: TemplateStringsArray,
  ...inserted: readonly (Sql | SqlValue)[]
): [sql: string, params: Params] {
  const piece = sql(texts, ...inserted);
  const params: Record<string, SqlValue> = {};
  const names = new Map<string, string>();
  let text = piece.texts[0] ?? '';
  for (const [i, value] of piece.values.entries()) {
    const type = typeOf(value);
    const key = `${type} ${JSON.stringify(value)}`;
    const name = names.get(key) ?? `p${names.size}`;
    names.set(key, name);
    params[name] = value;
    text += `{${name}:${type}}${piece.texts[i + 1] ?? ''}`;
  }
  return [text, params];
}

export const noSql = sql``;

export function joined(pieces: readonly Sql[], separator: ' AND ' | ' OR ' | ' UNION ALL ' | ', '): Sql {
  return pieces.reduce((all, piece, i) => (i === 0 ? piece : sql`${all}${separators[separator]}${piece}`), noSql);
}

const separators = { ' AND ': sql` AND `, ' OR ': sql` OR `, ' UNION ALL ': sql` UNION ALL `, ', ': sql`, ` };

/**
 * Inserts the name of one of our tables or columns. @throws RangeError if it is not a name, so that no text from
 * elsewhere can be one
 */
export function named(identifier: string): Sql {
  if (!/^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?$/.test(identifier))
    throw new RangeError(`${JSON.stringify(identifier)} is no name`);
  return new Sql([identifier], []);
}

/**
 * Returns `name=1, other=2` for SETTINGS, where not every server accepts parameters. The values are numbers, which
 * cannot close a quote.
 */
export function settingsList(settings: Readonly<Record<string, number>>): Sql {
  const list = Object.entries(settings).map(([name, value]) => {
    if (!Number.isFinite(value)) throw new RangeError(`setting ${name}: ${value} is not a number`);
    return sql`${named(name)}=${new Sql([`${value}`], [])}`;
  });
  return joined(list, ', ');
}

/**
 * What a server accepts in one parameter of a URL (`http_max_field_value_size`, 128 KiB) has room for this, with each
 * byte written as `%5C%27`.
 */
const mostBytes = 20_000;

/** A list that is too long for one parameter is sent in several. */
function pieceOf(value: SqlValue): Sql {
  if (typeof value === 'number' && !Number.isSafeInteger(value)) throw new RangeError(`${value} is not an integer`);
  if (typeof value === 'string' || typeof value === 'number') return bound(value);
  const [first = value, ...others] = partsOf<string | number>(value) as (typeof value)[];
  if (others.length === 0) return bound(first);
  return sql`arrayConcat(${joined([first, ...others].map(bound), ', ')})`;
}

function bound(value: SqlValue): Sql {
  return new Sql(['', ''], [value]);
}

function partsOf<T extends string | number>(list: readonly T[]): T[][] {
  const parts: T[][] = [];
  let bytes = mostBytes;
  for (const each of list) {
    const more = Buffer.byteLength(`${each}`) + 3;
    if (bytes + more > mostBytes) {
      parts.push([]);
      bytes = 0;
    }
    parts.at(-1)?.push(each);
    bytes += more;
  }
  return parts;
}

function typeOf(value: SqlValue): string {
  if (typeof value === 'string') return 'String';
  if (typeof value === 'number') return 'Int64';
  return typeof value[0] === 'number' ? 'Array(Int64)' : 'Array(String)';
}
