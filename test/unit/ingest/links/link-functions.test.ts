/** The functions of the docs make the links that ingest takes: as they stand in README, run against the test vectors. */
import { execFileSync, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { linkOf, secretOf } from '../../../../ingest/links/link-text.ts';
import vectors from '../../../../ingest/links/test-vectors.json' with { type: 'json' };

const readme = readFileSync(join(import.meta.dirname, '../../../../ingest/links/README.md'), 'utf8');
const base = 'https://clicks.example';

function blockOf(language: string): string {
  const [, block] = new RegExp(`\`\`\`${language}\n([\\s\\S]*?)\n\`\`\``).exec(readme) ?? [];
  if (block === undefined) throw new Error(`README has no block of ${language}`);
  return block;
}

/** As a server reads it. */
function read(link: string) {
  const { origin, pathname, searchParams } = new URL(link);
  const { d = '', ...query } = Object.fromEntries(searchParams);
  return { origin, adId: decodeURIComponent(pathname.slice('/c/'.length)), query: { ...query, d } };
}

const expected = vectors.map(vector => ({
  origin: base,
  adId: vector.ad_id,
  query: {
    e: vector.event_id,
    t: `${vector.made_at}`,
    x: `${vector.expires_at}`,
    d: vector.destination,
    k: vector.key_id,
    s: vector.signature,
  },
}));

const given = JSON.stringify(vectors);
const python = spawnSync('python3', ['--version']).status === 0;

describe('a link', () => {
  it('is what the test vectors say', () => {
    const links = vectors.map(vector =>
      linkOf(secretOf(vector.secret), {
        adId: vector.ad_id,
        eventId: vector.event_id,
        madeAt: `${vector.made_at}`,
        expiresAt: `${vector.expires_at}`,
        keyId: vector.key_id,
        destination: vector.destination,
      }),
    );
    expect(links.map(link => read(base + link))).toEqual(expected);
  });

  it('is the same, made by the TypeScript function of the docs', () => {
    const program = `${blockOf('ts')}
const vectors: Readonly<Record<'key_id' | 'secret' | 'ad_id' | 'event_id' | 'made_at' | 'expires_at' | 'destination', never>>[] =
  JSON.parse(process.env.VECTORS ?? '');
const links = vectors.map(v => clickLink('${base}', { id: v.key_id, secret: v.secret },
  [v.ad_id, v.event_id], [v.made_at, v.expires_at], v.destination));
process.stdout.write(JSON.stringify(links));`;
    const links: string[] = JSON.parse(
      execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
        env: { ...process.env, VECTORS: given },
        encoding: 'utf8',
      }),
    );
    expect(links.map(read)).toEqual(expected);
    expect(blockOf('ts').split('\n').length).toBeLessThanOrEqual(20);
  });

  it(`is the same, made by the Python function of the docs${python ? '' : ' (NOT RUN: there is no python3 here)'}`, () => {
    expect(blockOf('python').split('\n').length).toBeLessThanOrEqual(20);
    if (!python) return;
    const program = `${blockOf('python')}
import json, sys
sys.stdout.write(json.dumps([click_link('${base}', v['key_id'], v['secret'], v['ad_id'], v['event_id'],
    v['made_at'], v['expires_at'], v['destination']) for v in json.load(sys.stdin)]))`;
    const links: string[] = JSON.parse(execFileSync('python3', ['-c', program], { input: given, encoding: 'utf8' }));
    expect(links.map(read)).toEqual(expected);
  });
});
