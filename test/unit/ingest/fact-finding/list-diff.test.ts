/** `adclicks lists diff`, as its users see it. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'diff-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const put = (name: string, lines: readonly string[]) => {
  const path = join(directory, name);
  writeFileSync(path, `${lines.join('\n')}\n`);
  return path;
};
const adclicks = (...args: readonly string[]) =>
  execFileSync(process.execPath, ['query-api/cli/main.ts', 'lists', 'diff', ...args], {
    encoding: 'utf8',
    stdio: 'pipe',
  });

it('shows what is added and removed, what is covered, and what that means for clicks', () => {
  const before = put('old', ['192.0.2.0/24', '198.51.100.7', 'user-agent: FooBot/']);
  const after = put('new', ['# new', '192.0.2.0/25', '192.0.2.128/25', '2001:db8::/48', 'user-agent: FooBot/']);
  const clicks = put('clicks', [
    '{"ad_id":"a","ip":"192.0.2.200"}',
    '{"ad_id":"a","ip":"198.51.100.7"}',
    '{"ad_id":"a","ip":"2001:db8::7"}',
    '{"ad_id":"a","ip":"2001:db8::8"}',
    '{"ad_id":"a","user_agent":"x foobot/1"}',
    '{"ad_id":"a"}',
    'nonsense',
  ]);
  expect(adclicks(before, after, '--clicks', clicks, '--show', '2').split('\n')).toEqual([
    'added: 3',
    '  + 192.0.2.0/25',
    '  + 192.0.2.128/25',
    '  … and 1 more (--show)',
    'removed: 2',
    '  - 192.0.2.0/24',
    '  - 198.51.100.7',
    'IPv4 addresses covered: 257 before, 256 after',
    'IPv6 addresses covered: 0 before, 65536 times a /64 after',
    'clicks: 7, of which 2 have neither address nor user agent',
    'on the list: 3 before, 4 after (2 more, 1 fewer)',
    '',
  ]);
  expect(JSON.parse(adclicks(before, after, '--clicks', clicks, '--json'))).toMatchObject({
    removed: ['192.0.2.0/24', '198.51.100.7'],
    covered_after: { ipv4: 256, ipv6: `${1n << 80n}` },
    clicks: { listed_before: 3, listed_after: 4, newly_listed: 2, no_longer_listed: 1, unknown: 2 },
  });
});

it('names the line by which ingest would refuse the new list', () => {
  const before = put('old', ['192.0.2.0/24']);
  const after = put('new', ['192.0.2.0/24', '192.0.2.1/24']);
  expect(() => adclicks(before, after)).toThrow(/new: line 2 is "192\.0\.2\.1\/24", but must be the first address/);
});
