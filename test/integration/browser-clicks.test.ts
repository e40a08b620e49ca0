/**
 * Clicks of pages through the whole pipeline, on a real broker and a real ClickHouse: sent again and again, refused, with a
 * key that is revoked, and while Kafka is away with ingest killed. What was answered with 204 is counted once.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseKeyText } from '../../infra/keys/key-text.ts';
import { adclicks } from '../support/adclicks.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const page = 'https://shop.example';
const minuteMs = 60_000;

let pipeline: TestPipeline;
let scratch = '';
let key = '';

/** As on the machine of the brokers. */
function madeAtTheBroker(...options: readonly string[]): string {
  const program = join(root, 'infra/server/adclicks-server.js');
  const ended = spawnSync(process.execPath, [program, 'keys', 'create', ...options], {
    env: { PATH: process.env['PATH'], KAFKA_BROKERS: pipeline.broker.brokers },
    encoding: 'utf8',
  });
  expect({ code: ended.status, said: ended.status === 0 || ended.stderr }).toEqual({ code: 0, said: true });
  return ended.stdout.trim();
}

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'browser-clicks-'));
  pipeline = await startTestPipeline({
    ...{ ALLOWED_LATENESS_MS: '3600000', INGEST_PRODUCE_TIMEOUT_MS: '2000', INGEST_SPOOL_DIR: join(scratch, 'spool') },
  });
  key = madeAtTheBroker('--scope', 'ingest:public', '--origin', page, '--ad-id-prefix', 'ad-');
  await eventually('the key is known', async () => (await beacon({ ad_id: 'ad-first', event_id: 'e' })) === 204);
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

/** Undefined where there was no answer. */
async function statusOf(path: string, init: RequestInit): Promise<number | undefined> {
  try {
    const response = await fetch(pipeline.ingest.url + path, { ...init, signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    return response.status;
  } catch {
    return undefined;
  }
}
const beacon = (click: object, origin = page) =>
  statusOf(`/b?k=${key}`, { method: 'POST', headers: { origin }, body: JSON.stringify(click) });
const pixel = (adId: string, query: string) =>
  statusOf(`/p/${adId}.gif?k=${key}${query}`, { headers: { referer: `${page}/` } });

/** In all minutes around now. */
async function countOf(adId: string): Promise<{ count: number; duplicates: number }> {
  const from = Math.floor(Date.now() / minuteMs) * minuteMs - 20 * minuteMs;
  return await pipeline.get(`/v1/ads/${adId}/aggregated_count?from=${from}&to=${from + 30 * minuteMs}`);
}

describe('a click of a page', () => {
  it('is counted once, however often its beacon is sent', async () => {
    const clicked_at = Date.now();
    for (let round = 0; round < 5; round++)
      for (const event_id of ['e1', 'e2', 'e3'])
        expect(await beacon({ ad_id: 'ad-beacon', event_id, clicked_at })).toBe(204);
    // More duplicates than beacons where a broker answered too late: ingest sends out of its spool what may be there.
    await eventually('it is counted', async () => {
      const { count, duplicates } = await countOf('ad-beacon');
      return count === 3 && duplicates >= 12;
    });
  });

  it('is counted once, however often its pixel is loaded', async () => {
    const t = Math.floor(Date.now() / 1_000);
    for (let load = 0; load < 5; load++) expect(await pixel('ad-pixel', `&e=e1&t=${t}`)).toBe(200);
    await eventually('it is counted', async () => {
      const { count, duplicates } = await countOf('ad-pixel');
      return count === 1 && duplicates >= 4;
    });
  });

  it('of another site is quarantined with the reason, and the sums hold', async () => {
    expect(await beacon({ ad_id: 'ad-refused', event_id: 'e1' }, 'https://evil.example')).toBe(403);
    expect(await beacon({ ad_id: 'other', event_id: 'e1' })).toBe(400);
    const lines = await eventually('both are in quarantine', async () => {
      const { stdout } = await adclicks({ ADCLICKS_QUERY_API_URL: pipeline.queryApi.url }, 'quarantine', 'export');
      return ['wrong_origin', 'forbidden_ad'].every(reason => stdout.includes(reason)) && stdout;
    });
    expect(lines).toContain('refused browser click: wrong_origin');
    const { conservation } = await pipeline.get<{ conservation: Record<string, unknown> }>('/v1/status');
    expect(conservation).toMatchObject({ balanced: true, quarantined: 2 });
    expect(await countOf('ad-refused')).toMatchObject({ count: 0 });
  });
});

describe('a key of a page', () => {
  it('reads nothing and posts nothing, and ends when it is revoked', async () => {
    const admin = madeAtTheBroker('--scope', 'admin');
    const headers = { authorization: `Bearer ${key}` };
    const asked = await eventually('the query API knows it', async () => {
      const { status } = await fetch(`${pipeline.queryApi.url}/v1/status`, { headers });
      return status !== 401 && status;
    });
    expect(asked).toBe(403);
    const body = JSON.stringify({ ad_id: 'ad-posted' });
    expect(await statusOf('/v1/clicks', { method: 'POST', headers, body })).toBe(403);

    const env = { ADCLICKS_QUERY_API_URL: pipeline.queryApi.url, ADCLICKS_API_KEY: admin };
    const options = ['--scope', 'ingest:public', '--origin', page, 'https://*.news.example', '--ad-id-prefix', 'ad-'];
    const made = await eventually('the admin is known', async () => {
      const ended = await adclicks(env, 'keys', 'create', '--label', 'a page', ...options);
      return ended.code === 0 && ended;
    });
    const other = made.stdout.trim();
    expect(other).toMatch(/^adclicks_pub_/);
    const listed = await adclicks(env, 'keys', 'list');
    expect(listed.stdout).toContain(`ad-… from ${page}, https://*.news.example`);
    const send = () =>
      statusOf(`/b?k=${other}`, {
        ...{ method: 'POST', headers: { origin: page } },
        body: JSON.stringify({ ad_id: 'ad-revoked', event_id: 'e1' }),
      });
    await eventually('it is known', async () => (await send()) === 204);
    const revoked = await adclicks(env, 'keys', 'revoke', parseKeyText(other)?.keyId ?? '');
    expect(revoked.stdout).toContain('is revoked');
    await eventually('it is refused', async () => (await send()) === 401);
  });
});

describe('ingest that is killed while Kafka is away', () => {
  it('loses no click that it has answered with 204, and each counts once', async () => {
    const answered: string[] = [];
    const sent: string[] = [];
    const send = async () => {
      const event_id = `e${sent.length}`;
      sent.push(event_id);
      if ((await beacon({ ad_id: 'ad-spooled', event_id, clicked_at: Date.now() })) === 204) answered.push(event_id);
    };
    await pipeline.broker.stop();
    for (let i = 0; i < 10; i++) await send();
    expect(answered).toEqual(sent);
    await pipeline.ingest.kill();
    await pipeline.broker.restart();
    const ingest = await pipeline.restart('ingest');
    await ingest.ready();
    const directory = join(scratch, 'spool');
    await eventually('the spool is empty', async () => !readdirSync(directory).some(name => name.endsWith('.spool')));
    await send();
    expect(answered).toEqual(sent);
    await eventually('each is counted once', async () => (await countOf('ad-spooled')).count === sent.length);
    await eventually('the sums hold', async () => {
      const { conservation } = await pipeline.get<{ conservation: { balanced: boolean } }>('/v1/status');
      return conservation.balanced;
    });
  });
});
