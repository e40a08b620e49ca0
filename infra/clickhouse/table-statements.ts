/**
 * Adapts the statements of the migrations to a cluster: its table engine, and execution on every server. The files and
 * their checksums stay as they are, so one release migrates plain tables, a replicated cluster and the cloud service.
 *
 * With plain tables a statement is sent unchanged, byte for byte. Otherwise a statement of an unknown kind is refused,
 * because it would reach only one server of several.
 */
import type { TableEngine } from './table-engine.ts';

/** @throws RangeError when it is not known how the statement must be sent to a cluster */
export function tableStatement(statement: string, tables: TableEngine): string {
  if (tables.prefix === '') return statement;
  const bare = withoutQuoted(statement);
  // Rows reach the other servers by replication.
  if (/^\s*INSERT\s+INTO\s/.test(bare)) return statement;
  const head = heads.exec(bare);
  if (head === null) throw unknown(statement);
  const [, kind] = head;
  const onCluster = `${statement.slice(0, head[0].length)}${clusterClause(tables)}`;
  const rest = statement.slice(head[0].length);
  if (kind === 'ALTER TABLE') return onCluster + rest;
  const bareRest = bare.slice(head[0].length);
  if (kind === 'CREATE TABLE IF NOT EXISTS') return onCluster + forgetful(replicated(rest, bareRest, tables));
  // A view that stores rows itself would have an engine of its own.
  if (!/^\s+TO\s/.test(bareRest)) throw unknown(statement);
  return onCluster + rest;
}

export function databaseStatement(database: string, tables: TableEngine): string {
  return `CREATE DATABASE IF NOT EXISTS ${database}${clusterClause(tables)}`;
}

const heads = /^\s*(CREATE TABLE IF NOT EXISTS|CREATE MATERIALIZED VIEW IF NOT EXISTS|ALTER TABLE)\s+\w+(?=[\s(])/;

function clusterClause({ cluster }: TableEngine): string {
  return cluster === undefined ? '' : ` ON CLUSTER '${cluster}'`;
}

function replicated(create: string, bare: string, { prefix, replication }: TableEngine): string {
  const engines = [...bare.matchAll(/\bENGINE\s*=\s*((?!Replicated|Shared)\w*MergeTree)\b(?:\(([^()]*)\))?/g)];
  const [engine] = engines;
  if (engine === undefined || engines.length > 1) throw unknown(create);
  const [text, name, own = ''] = engine;
  const given = [...replication.map(each => `'${each}'`), ...(own === '' ? [] : [own])];
  const written = `ENGINE = ${prefix}${name}${given.length === 0 ? '' : `(${given.join(', ')})`}`;
  return create.slice(0, engine.index) + written + create.slice(engine.index + text.length);
}

/**
 * A replicated table drops a block that it has had before, and plain tables do not. Since ClickHouse 26.2 an insert
 * cannot switch that off in a way that older servers understand, but a table can.
 */
function forgetful(create: string): string {
  const setting = 'replicated_deduplication_window = 0';
  const own = /\bSETTINGS\s+/.exec(withoutQuoted(create));
  if (own === null) return `${create}\nSETTINGS ${setting}`;
  const at = own.index + own[0].length;
  return `${create.slice(0, at)}${setting}, ${create.slice(at)}`;
}

/** Returns a text of the same length, so that positions in it are also positions in the statement. */
function withoutQuoted(sql: string): string {
  return sql.replace(/--[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\])*'|`[^`]*`|"[^"]*"/g, text => ' '.repeat(text.length));
}

function unknown(statement: string): RangeError {
  const begin = statement.trim().split('\n')[0]?.slice(0, 80);
  return new RangeError(`it is not known how to send this statement to a cluster (table-statements.ts): ${begin}`);
}
