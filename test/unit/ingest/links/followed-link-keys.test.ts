/** Link keys are rotated without a restart, and a file that is half written stops nothing. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { followLinkKeys } from '../../../../ingest/links/followed-link-keys.ts';
import { eventually } from '../../../support/wait.ts';

let directory = '';
let path = '';
let logged = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'link-keys-'));
  path = join(directory, 'keys.json');
  logged = '';
});
afterEach(() => rmSync(directory, { recursive: true }));

const secretOf = (id: string) => id.repeat(50).slice(0, 50);
const fileOf = (...ids: string[]) => JSON.stringify({ keys: ids.map(id => ({ id, secret: secretOf(id) })) });
const follow = () =>
  followLinkKeys({
    ...{ path, name: 'INGEST_LINK_KEYS_FILE', lookEveryMs: 5 },
    log: pino({}, { write: line => (logged += line) }),
  });

it('are read again when the file has changed or another is in its place, and secrets are never logged', async () => {
  writeFileSync(path, fileOf('first'));
  await using followed = await follow();
  const ids = () => [...followed.current().keys.keys()];
  expect(ids()).toEqual(['first']);
  writeFileSync(path, fileOf('first', 'second'));
  await eventually('the second key', async () => ids().length === 2);
  writeFileSync(`${path}.new`, fileOf('third'));
  renameSync(`${path}.new`, path);
  await eventually('the third key', async () => ids().join() === 'third');
  expect(logged).toContain('link keys: read');
  expect(logged).not.toContain('firstfirst');
});

it('stay those that were read before, while the file is broken or gone, which is logged once', async () => {
  writeFileSync(path, fileOf('first'));
  await using followed = await follow();
  // Put in its place, so that nobody sees a state in between.
  writeFileSync(`${path}.new`, fileOf('second').slice(0, 40));
  renameSync(`${path}.new`, path);
  await eventually('it is told', async () => logged.includes('must be JSON'));
  rmSync(path);
  await eventually('it is told', async () => logged.includes('ENOENT'));
  expect([...followed.current().keys.keys()]).toEqual(['first']);
  expect(logged.split('NOT in force').length - 1).toBe(2);
  expect(logged).not.toContain('secondsec');
  writeFileSync(`${path}.new`, fileOf('second'));
  renameSync(`${path}.new`, path);
  await eventually('the second key', async () => followed.current().keys.has('second'));
});

it.each([
  ['is not there', undefined, 'INGEST_LINK_KEYS_FILE: cannot be read (ENOENT'],
  ['breaks a rule', '{"keys": []}', 'INGEST_LINK_KEYS_FILE: keys must'],
])('end the start when the file %s', async (_what, text, message) => {
  if (text !== undefined) writeFileSync(path, text);
  await expect(follow()).rejects.toThrow(message);
});
