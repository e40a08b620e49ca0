/** The settings of personal data, and the file of keys. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { PrivacyConfig, personalDataRulesOf, privacyKeysOf } from '../../../../ingest/privacy/privacy-config.ts';

let directory = '';
let path = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'privacy-'));
  path = join(directory, 'keys.txt');
});
afterEach(() => rmSync(directory, { recursive: true }));

const keys = () => privacyKeysOf({ PRIVACY_KEY_FILE: path }).map(key => key.export().toString());
const first = 'a'.repeat(43);
const second = 'b'.repeat(43);

it('has the key in force first, and former ones behind it', () => {
  writeFileSync(path, `${first}\r\n\n${second}\n`);
  expect(keys()).toEqual([first, second]);
});

it.each([
  ['', 'must have 1 to 8 keys, one in each line, and has 0'],
  [`${first}\n`.repeat(9), 'has 9'],
  [`${first}\nsecret-that-is-short\n`, 'key 2 must be 43 to 128 of'],
])('names the rule that a file breaks, and shows no key (%#)', (text, message) => {
  writeFileSync(path, text);
  expect(keys).toThrow(message);
  expect(keys).not.toThrow(/secret-that|aaaa/);
});

it('names the file that is not there', () => {
  expect(keys).toThrow(`PRIVACY_KEY_FILE=${path}: cannot be read`);
});

it.each(['INGEST_IP', 'INGEST_USER_ID'])('refuses %s=hashed without a key, which would hide nothing', setting => {
  const config = loadConfig(PrivacyConfig, { [setting]: 'hashed' });
  expect(() => personalDataRulesOf(config)).toThrow(`${setting}=hashed needs a key: set PRIVACY_KEY_FILE`);
});
