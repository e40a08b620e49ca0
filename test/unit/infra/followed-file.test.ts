/** A settings file is exchanged without a restart, and one that is half written stops nothing. */
import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import fs from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { ConfigError } from '../../../infra/errors.ts';
import { followFile } from '../../../infra/followed-file.ts';
import { registry } from '../../../infra/metrics.ts';
import { eventually } from '../../support/wait.ts';

/** Is called before each look at the state of the file. */
let atEachLook: (() => void) | undefined;
/** With which the system refuses to open a file. */
let failure: Error | undefined;
const { stat: realStat, open: realOpen } = fs;
beforeAll(() => {
  fs.open = (async (...given: Parameters<typeof realOpen>) => {
    if (failure) throw failure;
    return await realOpen(...given);
  }) as typeof realOpen;
  fs.stat = ((...given: Parameters<typeof realStat>) => {
    atEachLook?.();
    return realStat(...given);
  }) as typeof realStat;
  syncBuiltinESMExports();
});
afterAll(() => {
  Object.assign(fs, { stat: realStat, open: realOpen });
  syncBuiltinESMExports();
});

let directory = '';
let path = '';
let logged = '';
beforeEach(() => {
  atEachLook = undefined;
  failure = undefined;
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
    ...{ path, setting: 'WORDS_FILE', lookEveryMs: 5, mostBytes: 1_000, parse },
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

it.each([
  ['a named pipe into which nobody writes', () => void execFileSync('mkfifo', [path]), 'is a named pipe'],
  ['a directory', () => mkdirSync(path), 'is a directory'],
  ['a link to itself', () => symlinkSync(path, path), 'ELOOP'],
  ['a device without an end', () => symlinkSync('/dev/zero', path), 'is a device'],
  ['larger than it may be', () => writeFileSync(path, Buffer.alloc(2_000)), 'has 2000 bytes, but may have 1000'],
])('stays what was read before while it is %s, and nothing waits for that', async (_what, make, why) => {
  put('banana');
  await using file = await follow();
  rmSync(path);
  make();
  await eventually('it is told', async () => logged.includes(why));
  expect(file.current()).toEqual(['banana']);
  expect(await isStale()).toBe(1);
  rmSync(path, { recursive: true });
  put('cherry');
  await eventually('the next one', async () => file.current().join() === 'cherry');
});

it('is not in force while it is being written, though every half of it breaks no rule', async () => {
  put('banana');
  let isRead = false;
  const taken: string[] = [];
  await using file = await followFile({
    ...{ path, setting: 'WORDS_FILE', lookEveryMs: 5, mostBytes: 10_000, log: pino({ level: 'silent' }) },
    parse(bytes) {
      isRead = true;
      return parse(bytes);
    },
    about: words => ({ words: taken.push(words.join(' ')) }),
  });
  let looks = 0;
  writeFileSync(path, 'cherry');
  // Between two looks there is always one more, and none while it is read.
  atEachLook = () => {
    if (!isRead) appendFileSync(path, ' damson');
    if (!isRead) looks++;
    isRead = false;
  };
  isRead = false;
  await eventually('some looks', async () => looks > 10);
  atEachLook = undefined;
  await eventually('the whole', async () => taken.length > 1);
  expect(taken).toEqual(['banana', `cherry${' damson'.repeat(looks)}`]);
  expect(file.current()).toHaveLength(looks + 1);
});

it('is not in force when it has changed while it was read', async () => {
  put('banana');
  const taken: string[] = [];
  await using file = await followFile({
    ...{ path, setting: 'WORDS_FILE', lookEveryMs: 5, mostBytes: 1_000, log: pino({ level: 'silent' }) },
    parse(bytes) {
      const words = parse(bytes);
      if (words.join() === 'cherry') appendFileSync(path, ' damson');
      return words;
    },
    about: words => ({ words: taken.push(words.join(' ')) }),
  });
  put('cherry');
  await eventually('the whole', async () => file.current().length === 2);
  expect(taken).toEqual(['banana', 'cherry damson']);
});

it('that is as it was before is in force, and the metric says so', async () => {
  put('banana');
  await using file = await follow();
  renameSync(path, `${path}.away`);
  await eventually('it is told', async () => (await isStale()) === 1);
  renameSync(`${path}.away`, path);
  await eventually('it is there again', async () => (await isStale()) === 0);
  expect(file.current()).toEqual(['banana']);
});

it('that could not be read for a while is read as soon as it can be, though it has not changed since', async () => {
  put('banana');
  await using file = await follow();
  failure = new Error('EMFILE: too many open files');
  put('cherry');
  await eventually('it is told', async () => logged.includes('EMFILE'));
  let looks = 0;
  atEachLook = () => looks++;
  await eventually('some looks', async () => looks > 4);
  expect(logged.split('EMFILE').length - 1).toBe(1);
  failure = undefined;
  await eventually('it is read', async () => file.current().join() === 'cherry');
});
