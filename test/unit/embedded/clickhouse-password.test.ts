/** The password of the embedded ClickHouse is never one that lets everybody in. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type ClickHouseFiles, clickHouseFiles, passwordOf } from '../../../infra/embedded/clickhouse-files.ts';

let dataDir = '';
let files: ClickHouseFiles;
beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'password-'));
  files = clickHouseFiles(dataDir);
});
afterEach(() => rmSync(dataDir, { recursive: true }));

const made = /^[\w-]{24}$/;

it('is made once, for its owner alone, and kept', () => {
  const password = passwordOf(files, '');
  expect(password).toMatch(made);
  expect(passwordOf(files, '')).toBe(password);
  expect(statSync(files.password).mode & 0o777).toBe(0o600);
});

it.each(['', '\n', '  \n'])('is made again where its file holds %j, as after a loss of power', text => {
  writeFileSync(files.password, text);
  const password = passwordOf(files, '');
  expect(password).toMatch(made);
  expect(readFileSync(files.password, 'utf8')).toBe(`${password}\n`);
});

it.each([
  ['cut off', () => writeFileSync(files.password, 'abc'), 'must have one password, of 8 to 128 characters'],
  ['binary', () => writeFileSync(files.password, Buffer.alloc(24)), 'must have one password'],
  ['a directory', () => mkdirSync(files.password), 'must be a file, and is a directory'],
])('is refused where its file is %s, in a line that names the file and shows nothing of it', (_what, make, rule) => {
  make();
  const refused = () => passwordOf(files, '');
  expect(refused).toThrow(`DATA_DIR: ${files.password}: `);
  expect(refused).toThrow(rule);
  expect(refused).not.toThrow('abc');
});

it('is the one that is given, whatever is in the file', () => {
  writeFileSync(files.password, '');
  expect(passwordOf(files, 'given')).toBe('given');
});
