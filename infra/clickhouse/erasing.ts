/**
 * SQL that finds and changes the rows of erased persons in one ClickHouse node. Persons are named by hashes of their ids
 * (ingest/privacy/erasure-record.ts), because ClickHouse keeps the text of a mutation on disk and shows it.
 *
 * Rows are found as they are on disk, without FINAL: what a newer copy hides is still there.
 */
import { Type } from 'typebox';
import { checkedRows } from './checked-rows.ts';
import type { ClickHouse, ReadOptions } from './clickhouse.ts';
import { joined, named, type Sql, settingsList, sql, statement } from './sql.ts';

export interface ErasedText {
  /** 32 hex digits: the first half of SHA-256 of `prefix` and the text. */
  readonly form: string;
  readonly token: string;
  readonly secret: string;
  /** Epoch ms. What was clicked before is erased. */
  readonly until: number;
}

export interface ErasingRules {
  readonly prefix: string;
  /** Columns of `click_raw` that become empty, where it has them. */
  readonly removed: readonly string[];
}

/** Each form must be there once. */
export interface Erasing {
  readonly texts: readonly ErasedText[];
  readonly rules: ErasingRules;
}

export type ErasedTable = 'click_raw' | 'quarantine';

/** A part of a table that one statement reads. */
export interface Slice {
  readonly table: ErasedTable;
  /** Epoch ms, of the time by which the table is partitioned. */
  readonly from: number;
  readonly to: number;
}

const Days = Type.Object({ day: Type.Integer(), rows: Type.Integer() });

/** Returns the days of a table in which rows were inserted or merged since `since` (epoch ms), in slices of `rowsPerSlice`. */
export async function changedSlices(
  clickhouse: Pick<ClickHouse, 'query'>,
  table: ErasedTable,
  since: number,
  rowsPerSlice = 20_000_000,
): Promise<Slice[]> {
  const rows = await clickhouse.query(
    ...statement`SELECT toInt64(toUnixTimestamp(toDateTime(partition, 'UTC'))) * 1000 AS day, sum(rows) AS rows FROM system.parts
     WHERE database = currentDatabase() AND table = ${table} AND active
     GROUP BY day HAVING toInt64(toUnixTimestamp(max(modification_time))) * 1000 >= ${since} ORDER BY day ${limits}`,
  );
  return checkedRows(Days, rows, 'system.parts').flatMap(({ day, rows: n }) => {
    const lengthMs = Math.ceil(dayMs / Math.max(1, Math.ceil(n / rowsPerSlice)));
    const slices: Slice[] = [];
    for (let from = day; from < day + dayMs; from += lengthMs)
      slices.push({ table, from, to: Math.min(from + lengthMs, day + dayMs) });
    return slices;
  });
}

const Found = Type.Object({ n: Type.Integer() });

/** Returns how many rows of these persons a slice has. */
export async function rowsLeft(
  clickhouse: Pick<ClickHouse, 'query'>,
  { table, from, to }: Slice,
  erasing: Erasing,
): Promise<number> {
  const time = named(timeColumns[table]);
  const isErased = table === 'click_raw' ? isErasedClick(erasing) : isErasedLine(erasing);
  const rows = await clickhouse.query(
    ...statement`SELECT count() AS n FROM ${named(table)}
     WHERE ${time} >= ${at(from)} AND ${time} < ${at(to)} AND ${isErased} ${limits}`,
  );
  return checkedRows(Found, rows, table)[0]?.n ?? 0;
}

/** Begins to change all clicks of these persons. */
export async function eraseClicks(clickhouse: Pick<ClickHouse, 'query' | 'command'>, erasing: Erasing): Promise<void> {
  const { texts, rules } = erasing;
  const columns = await columnsOf(clickhouse, 'click_raw', rules.removed);
  const form = formSql(sql`user_id`, rules);
  const of = (values: readonly string[], otherwise: Sql) =>
    sql`transform(${form}, ${texts.map(text => text.form)}, ${values}, ${otherwise})`;
  const secret = of(
    texts.map(text => text.secret),
    sql`''`,
  );
  const address = sql`concat('fd', substring(lower(hex(SHA256(concat(${secret}, ${'\n'}, ip)))), 1, 30))`;
  const changes = [
    sql`user_id = ${of(
      texts.map(text => text.token),
      sql`user_id`,
    )}`,
    sql`ip = if(ip = '', '', arrayStringConcat(extractAll(${address}, '.{4}'), ':'))`,
    ...columns.map(column => sql`${named(column)} = ''`),
  ];
  await clickhouse.command(
    ...statement`ALTER TABLE click_raw UPDATE ${joined(changes, ', ')} WHERE ${isErasedClick(erasing)}`,
  );
}

const Line = Type.Object({
  place: Type.String(),
  reason: Type.String(),
  detail: Type.String(),
  appended_at: Type.Integer(),
  clicked_at: Type.Integer(),
  raw: Type.String(),
});
export interface FoundLine {
  /** Where the line stands in the log. */
  readonly place: string;
  readonly reason: string;
  readonly detail: string;
  readonly appended_at: number;
  readonly clicked_at: number;
  readonly raw: string;
}

/** Returns some quarantined lines that name these persons. */
export async function linesLeft(
  clickhouse: Pick<ClickHouse, 'query'>,
  erasing: Erasing,
  most: number,
): Promise<FoundLine[]> {
  const rows = await clickhouse.query(
    ...statement`SELECT ${place} AS place, reason, detail, toUnixTimestamp64Milli(quarantine.appended_at) AS appended_at, clicked_at, raw
     FROM quarantine WHERE ${isErasedLine(erasing)} LIMIT ${most} ${limits}`,
  );
  return checkedRows(Line, rows, 'quarantine');
}

/** Begins to change the texts of these lines. */
export async function rewriteLines(
  clickhouse: Pick<ClickHouse, 'command'>,
  lines: readonly Pick<FoundLine, 'place' | 'detail' | 'raw'>[],
): Promise<void> {
  const places = lines.map(line => line.place);
  const of = (values: readonly string[], column: Sql) => sql`transform(${place}, ${places}, ${values}, ${column})`;
  const raw = of(
    lines.map(line => line.raw),
    sql`raw`,
  );
  const detail = of(
    lines.map(line => line.detail),
    sql`detail`,
  );
  await clickhouse.command(
    ...statement`ALTER TABLE quarantine UPDATE raw = ${raw}, detail = ${detail} WHERE ${place} IN ${places}`,
  );
}

/** Removes what was replaced from a table of at most some thousand rows: filters that have named a person. */
export async function dropReplacedFilters(clickhouse: Pick<ClickHouse, 'command'>): Promise<void> {
  await clickhouse.command('OPTIMIZE TABLE stored_filter FINAL');
}

const Mutations = Type.Object({ n: Type.Integer(), why: Type.String() });

/** Returns how many changes of rows have begun and not ended yet, and why one of them does not succeed. */
export async function openChanges(
  clickhouse: Pick<ClickHouse, 'query'>,
): Promise<{ readonly n: number; readonly why: string }> {
  const rows = await clickhouse.query(
    ...statement`SELECT count() AS n, max(latest_fail_reason) AS why FROM system.mutations
     WHERE database = currentDatabase() AND table IN ('click_raw', 'quarantine') AND NOT is_done ${limits}`,
  );
  return checkedRows(Mutations, rows, 'system.mutations')[0] ?? { n: 0, why: '' };
}

const Done = Type.Object({ part: Type.String(), at: Type.Integer() });

/** Returns when each part of an erasure was done in this node, in epoch ms. */
export async function donePartsOf(
  clickhouse: Pick<ClickHouse, 'query'>,
  options: ReadOptions = {},
): Promise<Map<string, number>> {
  const [text, params] =
    statement`SELECT part, toUnixTimestamp64Milli(d.at) AS at FROM erasure_done AS d FINAL ${limits}`;
  const rows = await clickhouse.query(text, params, options);
  return new Map(checkedRows(Done, rows, 'erasure_done').map(({ part, at: doneAt }) => [part, doneAt]));
}

const timeColumns = { click_raw: 'clicked_at', quarantine: 'appended_at' } as const;

async function columnsOf(clickhouse: Pick<ClickHouse, 'query'>, table: string, wanted: readonly string[]) {
  const rows = await clickhouse.query(
    ...statement`SELECT name FROM system.columns
     WHERE database = currentDatabase() AND table = ${table} AND name IN ${wanted} ${limits}`,
  );
  return checkedRows(Type.Object({ name: Type.String() }), rows, 'system.columns').map(({ name }) => name);
}

function formSql(text: Sql, { prefix }: ErasingRules): Sql {
  return sql`lower(hex(substring(SHA256(concat(${prefix}, ${text})), 1, 16)))`;
}

/** Returns until when what has this text is erased, in epoch ms. -1: it is not erased. */
function untilSql(text: Sql, { texts, rules }: Erasing): Sql {
  const [forms, untils] = [texts.map(each => each.form), texts.map(each => each.until)];
  return sql`transform(${formSql(text, rules)}, ${forms}, ${untils}, toInt64(-1))`;
}

function isErasedClick(erasing: Erasing): Sql {
  // ClickHouse finds by the first condition which parts need not be read.
  const newest = Math.max(...erasing.texts.map(text => text.until));
  return sql`clicked_at < ${at(newest)} AND user_id != ''
     AND toUnixTimestamp64Milli(clicked_at) < ${untilSql(sql`user_id`, erasing)}`;
}

/**
 * The same as `usersIn` in aggregator/sink/erased-rows.ts. What is named there but not found here would stay; what is found
 * here but not changed there would be looked for again and again, which the sink reports.
 */
function isErasedLine(erasing: Erasing): Sql {
  const text = sql`if(startsWith(raw, 'base64:'), tryBase64Decode(substring(raw, 8)), raw)`;
  const users = sql`arrayConcat([JSONExtractString(raw, 'user_id')], extractAll(${text}, ${'"user_id"[ \\t]*:[ \\t]*"([^"\\\\]*)"'}),
     extractAll(${text}, ${'"user_id"[ \\t]*:[ \\t]*(-?[0-9]+)'}))`;
  const appended = sql`toUnixTimestamp64Milli(quarantine.appended_at)`;
  const since = sql`if(quarantine.clicked_at > 0, least(quarantine.clicked_at, ${appended}), ${appended})`;
  return sql`arrayExists(u -> ${since} < ${untilSql(sql`u`, erasing)}, ${users})`;
}

/** Returns whether a quarantined line names somebody of whom `forms` has the hash of a text. */
export function namesOneOf(forms: readonly string[], prefix: string): Sql {
  const texts = forms.map(form => ({ form, token: '', secret: '', until: endOfTime }));
  return isErasedLine({ texts, rules: { prefix, removed: [] } });
}

const endOfTime = 2 ** 52;

const place = sql`concat(toString(partition), '/', toString(offset), '/', toString(line))`;

function at(ms: number): Sql {
  return sql`fromUnixTimestamp64Milli(${Math.max(0, Math.floor(ms))}, 'UTC')`;
}

const dayMs = 86_400_000;

const limits: Sql = sql`SETTINGS ${settingsList({ output_format_json_quote_64bit_integers: 0, max_execution_time: 55 })}`;
