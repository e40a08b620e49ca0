import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openInserts } from '../../../infra/clickhouse/engine-inserts.ts';

let dataDir: string;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), "it's-"));
});
afterEach(() => rmSync(dataDir, { recursive: true, force: true }));

const rows = Buffer.from('{"id":"a"}\n');
/** The path as the engine reads it in the statement. */
const pathIn = (sql: string) => /file\('((?:[^'\\]|\\.)*)'/.exec(sql)?.[1]?.replace(/\\(.)/g, '$1') ?? '';

describe('the file of an insert', () => {
  it('holds the rows while the statement runs, and is gone afterwards', async () => {
    const inserts = await openInserts(dataDir);
    let path = '';
    await inserts.insert('t', rows, async sql => {
      expect(sql).toMatch(/^INSERT INTO t SELECT \* FROM file\('.*', 'JSONEachRow'\) SETTINGS async_insert=0, /);
      path = pathIn(sql);
      expect(readFileSync(path)).toEqual(rows);
    });
    expect(existsSync(path)).toBe(false);
  });

  it('is gone also where the statement failed', async () => {
    const inserts = await openInserts(dataDir);
    await expect(inserts.insert('t', rows, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
    expect(readdirSync(join(dataDir, 'inserts'))).toEqual([]);
  });

  it('goes at the next start where a process was killed over it', async () => {
    mkdirSync(join(dataDir, 'inserts'));
    writeFileSync(join(dataDir, 'inserts', '7.rows'), rows);
    await openInserts(dataDir);
    expect(readdirSync(join(dataDir, 'inserts'))).toEqual([]);
  });

  it.each(['a*b', 'a{b', 'a?b', 'a::b'])(
    'lies elsewhere where the engine would take its path for a pattern: %s',
    async name => {
      mkdirSync(join(dataDir, name));
      const inserts = await openInserts(join(dataDir, name));
      await inserts.insert('t', rows, async sql => {
        expect(pathIn(sql)).not.toMatch(/[*?{]|::/);
        expect(readFileSync(pathIn(sql))).toEqual(rows);
      });
      inserts.close();
      expect(readdirSync(join(dataDir, name))).toEqual([]);
    },
  );
});
