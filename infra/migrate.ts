/**
 * Brings the tables to the state of `infra/clickhouse/NNN_*.sql`: each file is applied once, in order, and never
 * changes afterwards.
 *
 * Statements are IF NOT EXISTS. So a process that died in the middle does no harm, and neither do two that run at the
 * same time: a file is recorded after its last statement, and until then it is simply applied again.
 *
 * A migration only adds (tables, columns with a default, rows, indexes, views). So the previous release runs on the
 * tables of a newer one, and ignores files that it does not have. `ad_minute` never gets columns that an insert without
 * names of columns would have to give (aggregator/ad-minute.ts).
 *
 * What a cluster needs beyond the files is added when they are sent (clickhouse/table-statements.ts).
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { type Static, Type } from 'typebox';
import { checkedRows } from './clickhouse/checked-rows.ts';
import type { ClickHouse } from './clickhouse/clickhouse.ts';
import { beginIncarnation, incarnationOf } from './clickhouse/incarnation.ts';
import { plainTables, type TableEngine } from './clickhouse/table-engine.ts';
import { tableStatement } from './clickhouse/table-statements.ts';
import { ConfigError, Corrupt } from './errors.ts';
import type { Logger } from './log.ts';

/**
 * @throws ConfigError where an applied file has changed, or tables are not created as configured; Corrupt where a table
 * cannot accept repeated rows
 */
export async function migrate(clickhouse: ClickHouse, log: Logger, directory: URL = migrationDirectory): Promise<void> {
  const { tables = plainTables } = clickhouse;
  // When it exists, the cluster is not told to create it, because one of its servers may be away.
  if ((await incarnationOf(clickhouse)) === undefined) await clickhouse.command(tableStatement(ledger, tables));
  const applied = new Map(
    checkedRows(
      AppliedRow,
      await clickhouse.query(`SELECT version, name, checksum FROM schema_migration FINAL`),
      'schema_migration',
    ).map(row => [row.version, row]),
  );
  if (applied.size === 0) await beginIncarnation(clickhouse);
  const files = migrationsIn(directory);
  for (const file of files) {
    const before = applied.get(file.version);
    if (before) assertUnchanged(file, before);
    else await apply(clickhouse, file, tables, log);
  }
  await assertEngines(clickhouse, tables, [ledger, ...files.map(file => file.sql)].flatMap(tablesOf));
}

export interface Migration {
  readonly version: number;
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

/**
 * Splits an SQL file into statements, without comments. A semicolon ends a statement except in a quoted text or
 * identifier. A quote inside a text is doubled, or has a backslash.
 */
export function statementsOf(sql: string): string[] {
  const token = /--[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\])*'|`[^`]*`|"[^"]*"|;|[^-/'`";]+|./g;
  const statements = [''];
  for (const [text] of sql.matchAll(token)) {
    if (text === ';') statements.push('');
    else if (!text.startsWith('--') && !text.startsWith('/*')) statements.push(statements.pop() + text);
  }
  return statements.map(statement => statement.trim()).filter(statement => statement !== '');
}

const migrationDirectory = new URL('./clickhouse/', import.meta.url);

const AppliedRow = Type.Object({ version: Type.Integer(), name: Type.String(), checksum: Type.String() });
const TableRow = Type.Object({ name: Type.String(), engine: Type.String() });
type Applied = Static<typeof AppliedRow>;

// Engine: ReplacingMergeTree; key: version. Two processes that apply the same file write the same row.
const ledger = `
  CREATE TABLE IF NOT EXISTS schema_migration
  (
      version    UInt32,
      name       String,
      checksum   String,
      applied_at DateTime64(3, 'UTC')
  )
  ENGINE = ReplacingMergeTree
  ORDER BY version`;

function migrationsIn(directory: URL): Migration[] {
  const migrations = readdirSync(directory)
    .filter(name => /^\d{3}_.+\.sql$/.test(name))
    .sort()
    .map(name => {
      const sql = readFileSync(new URL(name, directory), 'utf8');
      return { version: Number(name.slice(0, 3)), name, sql, checksum: createHash('sha256').update(sql).digest('hex') };
    });
  const twice = migrations.find((migration, i) => migration.version === migrations[i - 1]?.version);
  if (twice) throw new ConfigError(`${twice.name}: there is another migration ${twice.version}`);
  return migrations;
}

function assertUnchanged(file: Migration, applied: Applied): void {
  if (applied.checksum === file.checksum) return;
  throw new ConfigError(
    `${file.name} has changed since it was applied (as ${applied.name}): restore it, and put the change into a new migration`,
  );
}

async function apply(clickhouse: ClickHouse, file: Migration, tables: TableEngine, log: Logger): Promise<void> {
  for (const statement of statementsOf(file.sql)) await clickhouse.command(tableStatement(statement, tables));
  const row = { version: file.version, name: file.name, checksum: file.checksum, applied_at: Date.now() };
  await clickhouse.insert('schema_migration', JSON.stringify(row));
  log.info({ migration: file.name }, 'migration applied');
}

/**
 * Every table may get a row more than once, so an engine that keeps copies would count clicks twice. And if the servers
 * replicate by themselves, readers must know it (clickhouse/table-engine.ts). Otherwise they may see progress without
 * its rows.
 */
async function assertEngines(
  clickhouse: ClickHouse,
  { prefix }: TableEngine,
  expected: readonly string[],
): Promise<void> {
  const rows = await clickhouse.query(
    `SELECT name, engine FROM system.tables
     WHERE database = currentDatabase() AND is_temporary = 0 AND name IN {tables:Array(String)} ORDER BY name`,
    { tables: expected },
  );
  const tables = checkedRows(TableRow, rows, 'system.tables');
  for (const { name, engine } of tables) {
    const [is, kept] = /^(Replicated|Shared|)ReplacingMergeTree$/.exec(engine) ?? [];
    if (is === undefined)
      throw new Corrupt(
        `table ${name} has engine ${engine}, which would keep repeated rows, but must have ReplacingMergeTree`,
      );
    if (kept !== prefix)
      throw new ConfigError(
        `CLICKHOUSE_TABLE_ENGINE="${prefix}": table ${name} has engine ${engine}: set it to ${kept || 'nothing'}, or create the tables again`,
      );
  }
  const missing = expected.filter(name => !tables.some(table => table.name === name));
  if (missing.length > 0) throw new Corrupt(`after all migrations these tables are missing: ${missing.join(', ')}`);
}

function tablesOf(sql: string): string[] {
  return [...sql.matchAll(/^\s*CREATE TABLE IF NOT EXISTS (\w+)/gm)].map(match => match[1] ?? '');
}
