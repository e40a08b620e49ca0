/** A settings file is exchanged without a restart, and one that is half written stops nothing. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ConfigError } from '../../../infra/errors.ts';
import { followFile } from '../../../infra/followed-file.ts';
import { registry } from '../../../infra/metrics.ts';
import { eventually } from '../../support/wait.ts';

let directory = '';
let path = '';
let logged = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'followed-'));
  path = join(directory, 'secrets.txt');
  logged = '';
});
afterEach(() => rmSync(directory, { recursive: true }));

function parse(bytes: Buffer): string[] {
  const words = bytes.toString().split(' ');
  if (words.some(word => word.length !== 6)) throw new ConfigError('each word must have six letters');
  return words;
}

const follow = () =>
  followFile({
    ...{ path, setting: 'WORDS_FILE', lookEveryMs: 5, parse },
    about: words => ({ words: words.length }),
    log: pino({}, { write: line => (logged += line) }),
  });

/** Nobody sees a state in between. */
function put(text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

async function isStale(): Promise<number | undefined> {
  const metric = await registry.getSingleMetric('adclicks_settings_file_stale')?.get();
  return metric?.values.find(({ labels }) => labels['setting'] === 'WORDS_FILE')?.value;
}

it('is read again when it has changed or another is in its place, and its content is never logged', async () => {
  put('banana');
  await using file = await follow();
  expect(file.current()).toEqual(['banana']);
  writeFileSync(path, 'banana cherry');
  await eventually('two words', async () => file.current().length === 2);
  put('damson');
  await eventually('the third word', async () => file.current().join() === 'damson');
  expect(logged).toContain('settings file: read');
  expect(logged).not.toContain('banana');
});

it('stays what was read before while it is broken or gone, which the log says once and a metric as long', async () => {
  put('banana');
  await using file = await follow();
  expect(await isStale()).toBe(0);
  put('banana cher');
  await eventually('it is told', async () => logged.includes('six letters'));
  expect(await isStale()).toBe(1);
  rmSync(path);
  await eventually('it is told', async () => logged.includes('ENOENT'));
  expect(file.current()).toEqual(['banana']);
  expect(logged.split('NOT in force').length - 1).toBe(2);
  put('cherry');
  await eventually('the next one', async () => file.current().join() === 'cherry');
  expect(await isStale()).toBe(0);
});

it.each([
  ['is not there', undefined, 'cannot be read (ENOENT'],
  ['breaks a rule', 'no', 'each word must have six letters'],
])('ends the start when it %s', async (_what, text, message) => {
  if (text !== undefined) put(text);
  await expect(follow()).rejects.toThrow(message);
});
