/** What click links need, as the settings say, on a real disk. */
import { mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Click } from '../../../ingest/click.ts';
import type { ClickLines } from '../../../ingest/click-lines.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { openLinks } from '../../../ingest/open-links.ts';
import { click, clicksOf } from '../../support/clicks.ts';
import { eventually } from '../../support/wait.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'links-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (env: Record<string, string>, append: (lines: ClickLines) => Promise<void>) =>
  openLinks({ config: loadConfig(IngestConfig, env), clickLog: { append }, log: pino({ level: 'silent' }) });
const away = () => Promise.reject(new Retryable('Kafka is away'));
const files = () => readdirSync(join(directory, 'spool')).filter(name => name.endsWith('.spool'));

it('are nothing without settings: no key, no spool', async () => {
  await using links = await open({}, away);
  expect(links.spool).toBeUndefined();
  expect(links.linkKeys().keys.size).toBe(0);
});

it('keep clicks in the directory, and the next process sends them', async () => {
  const env = { INGEST_SPOOL_DIR: join(directory, 'spool') };
  const kept = [click(), click({ eventId: '클릭' }), click({ purpose: 'head' })];
  {
    await using links = await open(env, away);
    for (const each of kept) await links.spool?.append(each);
    expect(files().length).toBeGreaterThan(0);
  }
  expect(files().length).toBeGreaterThan(0);
  const sent: Click[] = [];
  await using _links = await open(env, async lines => void sent.push(...clicksOf(lines)));
  await eventually('the spool is empty', () => files().length === 0);
  expect(sent).toEqual(kept);
});

it('do not share the directory with another process, and give it back', async () => {
  const env = { INGEST_SPOOL_DIR: join(directory, 'spool') };
  {
    await using _links = await open(env, away);
    await expect(open(env, away)).rejects.toThrow(/another instance \(pid \d+\) runs on INGEST_SPOOL_DIR=/);
  }
  await using again = await open(env, away);
  expect(again.spool).toBeDefined();
});

it('are exchanged as a whole, and the destinations of a large file are checked a few at a time', async () => {
  const path = join(directory, 'keys.json');
  const put = (id: string, ads: number) => {
    const destinations = Object.fromEntries(
      Array.from({ length: ads }, (_, i) => [`ad-${i}`, [`https://${id}.example/`]]),
    );
    writeFileSync(`${path}.new`, JSON.stringify({ keys: [{ id, secret: 'a'.repeat(43) }], destinations }));
    renameSync(`${path}.new`, path);
  };
  put('one', 1);
  await using links = await openLinks({
    ...{ config: loadConfig(IngestConfig, { INGEST_LINK_KEYS_FILE: path }), clickLog: { append: away } },
    ...{ log: pino({ level: 'silent' }), lookEveryMs: 5 },
  });
  const inForce = () => {
    const { keys, destinations } = links.linkKeys();
    return [...keys.keys(), destinations.size, destinations.get('ad-0')?.[0]].join(' ');
  };
  const check = vi.spyOn(URL, 'canParse');
  const seen = new Set<string>();
  let most = 0;
  put('two', 20_000);
  const patience = AbortSignal.timeout(60_000);
  while (!inForce().startsWith('two')) {
    patience.throwIfAborted();
    seen.add(inForce());
    most = Math.max(most, check.mock.calls.length);
    check.mockClear();
    await new Promise(resolve => setImmediate(resolve));
  }
  check.mockRestore();
  expect([...seen, inForce()]).toEqual(['one 1 https://one.example/', 'two 20000 https://two.example/']);
  expect(most).toBeGreaterThan(0);
  expect(most).toBeLessThanOrEqual(1_000);
});

it('end the start where a file or directory cannot be used, and leave nothing locked', async () => {
  writeFileSync(join(directory, 'file'), '');
  const notThere = { INGEST_LINK_KEYS_FILE: join(directory, 'none') };
  await expect(open(notThere, away)).rejects.toThrow('INGEST_LINK_KEYS_FILE=');
  const noDirectory = { INGEST_SPOOL_DIR: join(directory, 'file') };
  await expect(open(noDirectory, away)).rejects.toThrow('INGEST_SPOOL_DIR=');
});
