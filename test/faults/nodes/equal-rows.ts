/**
 * Whether the nodes of a shard hold the same rows, by a client that shares nothing with the pipeline: every table is read
 * whole over plain HTTP, as billing reads it (FINAL), sorted, and held against the other's line by line.
 */
export interface AskedNode {
  readonly name: string;
  readonly url: string;
}

export interface RowComparison {
  readonly rows: number;
  readonly tables: readonly string[];
  readonly differences: readonly string[];
}

export type Ask = (node: AskedNode, sql: string) => Promise<string>;

/**
 * Not compared are the ledger of migrations, which says when each node was made, and what each node works out for itself from
 * the rows that are compared, when it comes to it.
 */
const ownTables = new Set(['schema_migration', 'ad_hour', 'most_clicked_ads']);

export async function compareRows(shards: readonly (readonly AskedNode[])[], ask: Ask): Promise<RowComparison> {
  const differences: string[] = [];
  const compared = new Set<string>();
  let rows = 0;
  for (const [first, ...others] of shards) {
    if (first === undefined) continue;
    const tables = await tablesOf(first, ask);
    for (const other of others) {
      const theirs = await tablesOf(other, ask);
      if (theirs.join() !== tables.join())
        differences.push(`${first.name} has tables ${tables}, ${other.name} ${theirs}`);
    }
    for (const table of tables) {
      const sql = `SELECT * FROM ${table} FINAL ORDER BY ALL FORMAT TabSeparated`;
      const lines = linesIn(await ask(first, sql));
      rows += lines.length;
      compared.add(table);
      for (const other of others) {
        const found = differenceOf(lines, linesIn(await ask(other, sql)));
        if (found !== undefined) differences.push(`${table}, ${first.name} and ${other.name}: ${found}`);
      }
    }
  }
  return { rows, tables: [...compared].sort(), differences };
}

/** Undefined: none. */
export function differenceOf(ours: readonly string[], theirs: readonly string[]): string | undefined {
  const at = Array.from({ length: Math.max(ours.length, theirs.length) }).findIndex((_, i) => ours[i] !== theirs[i]);
  if (at === -1) return undefined;
  return `${ours.length} and ${theirs.length} rows; the first that differs: ${ours[at] ?? '(none)'} | ${theirs[at] ?? '(none)'}`;
}

async function tablesOf(node: AskedNode, ask: Ask): Promise<string[]> {
  const sql = `SELECT name FROM system.tables WHERE database = currentDatabase() AND engine LIKE '%MergeTree' ORDER BY name FORMAT TabSeparated`;
  return linesIn(await ask(node, sql)).filter(name => !ownTables.has(name));
}

function linesIn(text: string): string[] {
  return text.split('\n').filter(Boolean);
}

export function askOverHttp(user: string, password: string): Ask {
  return async ({ name, url }, sql) => {
    const response = await fetch(url, {
      method: 'POST',
      headers: { 'X-ClickHouse-User': user, 'X-ClickHouse-Key': password },
      body: sql,
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${name}: ${response.status} ${text.slice(0, 300)}`);
    return text;
  };
}
