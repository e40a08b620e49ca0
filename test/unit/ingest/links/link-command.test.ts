/** `adclicks link`: what it prints is taken by ingest, and what ingest would refuse is not printed. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { atOnce } from '../../../../infra/slices.ts';
import { linkCommand } from '../../../../ingest/links/command.ts';
import { checkLink } from '../../../../ingest/links/link-check.ts';
import { readLinkKeys } from '../../../../ingest/links/link-keys.ts';

const file = {
  keys: [
    { id: 'past', secret: 'p'.repeat(43), not_after: '2026-01-01T00:00:00Z' },
    { id: 'acme', secret: 'a'.repeat(43), ad_id_prefix: 'acme-' },
    { id: 'all', secret: 'b'.repeat(43) },
  ],
  destinations: { 'acme-1': ['https://acme.example/'] },
};
let directory = '';
let path = '';
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'link-keys-'));
  path = join(directory, 'keys.json');
  writeFileSync(path, JSON.stringify(file));
});
afterAll(() => rmSync(directory, { recursive: true }));

async function run(...given: string[]): Promise<string[]> {
  let printed = '';
  const write = vi.spyOn(process.stdout, 'write').mockImplementation(text => {
    printed += text;
    return true;
  });
  try {
    await linkCommand()
      .exitOverride()
      .parseAsync(['--keys', path, ...given], { from: 'user' });
  } finally {
    write.mockRestore();
  }
  return printed.trimEnd().split('\n');
}

function taken(link: string) {
  const { pathname, searchParams } = new URL(link);
  const query = Object.fromEntries(searchParams);
  const verdict = checkLink(
    atOnce(readLinkKeys(Buffer.from(JSON.stringify(file)), 'f')),
    pathname.slice(3),
    query,
    Date.now(),
  );
  return { ...verdict, key: query['k'] };
}

it('makes a link for the destination, with the first key that fits the ad and the time', async () => {
  const [link = ''] = await run('ad-1', '--to', 'https://shop.example/?a=1&b=2', '--ingest-url', 'https://c.example/');
  expect(link).toMatch(/^https:\/\/c\.example\/c\/ad-1\?e=/);
  expect(taken(link)).toMatchObject({ ok: true, key: 'all', destination: 'https://shop.example/?a=1&b=2' });
  const [own = ''] = await run('acme-1', '--event-id', 'mine');
  expect(taken(own)).toMatchObject({ ok: true, key: 'acme', eventId: 'mine', destination: 'https://acme.example/' });
});

it('makes many, each of them another click', async () => {
  const links = await run('acme-1', '--count', '50', '--json');
  const ids = links.map(line => JSON.parse(line).event_id);
  expect(new Set(ids).size).toBe(50);
  expect(JSON.parse(links[0] ?? '')).toMatchObject({ ad_id: 'acme-1', destination: 'https://acme.example/' });
});

it.each([
  [['ad-1'], 'd is not given, and the key file has no destination of ad ad-1'],
  [['ad-1', '--to', 'ftp://x/'], 'must be an absolute http or https URL'],
  [['acme-1', '--to', 'https://evil.example/'], 'must be one that the key file has for the ad'],
  [['ad-1', '--key', 'acme', '--to', 'https://shop.example/'], 'must begin with acme-'],
  [['ad-1', '--key', 'past', '--to', 'https://shop.example/'], 'key past is not in force'],
  [['ad-1', '--key', 'none', '--to', 'https://shop.example/'], '--key is "none", but must be the id of a key'],
  [['acme-1', '--count', '2', '--event-id', 'e'], '--count is 2, but must be 1 with --event-id'],
  [['acme-1', '--keys', '/nowhere'], '--keys /nowhere: cannot be read (ENOENT'],
] as const)('%j is refused with words that say why', async (given, message) => {
  await expect(run(...given)).rejects.toThrow(message);
});
