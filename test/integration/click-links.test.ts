/**
 * Click links through the whole pipeline, on a real broker and a real ClickHouse: loaded again and again, refused, and
 * while Kafka is away, with ingest killed at each step of its spool. What was answered with a redirect is counted once.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { linkOf, secretOf } from '../../ingest/links/link-text.ts';
import { spoolPoints } from '../faults/step-points.ts';
import { adclicks } from '../support/adclicks.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { readCommitted } from '../support/read-committed.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const secret = 'a'.repeat(43);
const shop = 'https://shop.example/shoes';
const preload = join(import.meta.dirname, '../faults/preload.ts');
const minuteMs = 60_000;

let pipeline: TestPipeline;
let scratch = '';
let keysFile = '';
/** A whole minute, epoch s: all links are of it. It stays open, so that what is late is counted at once. */
let madeAt = 0;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'click-links-'));
  keysFile = join(scratch, 'keys.json');
  writeFileSync(keysFile, JSON.stringify({ keys: [{ id: 'k', secret }] }));
  madeAt = Math.floor(Date.now() / minuteMs) * 60 - 120;
  const env = {
    ...{ ALLOWED_LATENESS_MS: '3600000', INGEST_LINK_KEYS_FILE: keysFile, INGEST_PRODUCE_TIMEOUT_MS: '2000' },
    INGEST_SPOOL_DIR: join(scratch, 'spool-of-pipeline'),
  };
  pipeline = await startTestPipeline(env, { broker: { ownProcess: true } });
});
afterAll(async () => {
  await pipeline?.[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true, force: true });
});

const linkTo = (adId: string, eventId: string) =>
  linkOf(secretOf(secret), {
    ...{ adId, eventId, keyId: 'k', destination: shop },
    ...{ madeAt: `${madeAt}`, expiresAt: `${madeAt + 86_400}` },
  });

/** Undefined where there was no answer. */
async function load(url: string): Promise<{ status: number; location: string | null } | undefined> {
  try {
    const response = await fetch(url, { redirect: 'manual', signal: AbortSignal.timeout(10_000) });
    await response.arrayBuffer();
    return { status: response.status, location: response.headers.get('location') };
  } catch {
    return undefined;
  }
}

interface Count {
  readonly count: number;
  readonly duplicates: number;
}
const countOf = (adId: string) => {
  const from = madeAt * 1_000;
  return pipeline.get<Count>(`/v1/ads/${adId}/aggregated_count?from=${from}&to=${from + minuteMs}`);
};
const redirect = { status: 302, location: shop };

describe('a click link', () => {
  it('is counted once, however often it is loaded', async () => {
    for (let round = 0; round < 5; round++)
      for (const event of ['e1', 'e2', 'e3'])
        expect(await load(pipeline.ingest.url + linkTo('reloaded', event))).toEqual(redirect);
    // More duplicates than loads where a broker answered too late: ingest sends out of its spool what may be there.
    await eventually('it is counted', async () => {
      const { count, duplicates } = await countOf('reloaded');
      return count === 3 && duplicates >= 12;
    });
  });

  it('that is altered is quarantined with the reason, and the sums hold', async () => {
    const altered = linkTo('refused', 'e1').replace('shop.example', 'evil.example');
    expect(await load(pipeline.ingest.url + altered)).toEqual({ status: 404, location: null });
    const lines = await eventually('it is in quarantine', async () => {
      const { stdout } = await adclicks({ ADCLICKS_QUERY_API_URL: pipeline.queryApi.url }, 'quarantine', 'export');
      return stdout.includes('wrong_signature') && stdout;
    });
    expect(lines).toContain('refused click link: wrong_signature');
    expect(lines).toContain('evil.example');
    const { conservation } = await pipeline.get<{ conservation: Record<string, unknown> }>('/v1/status');
    expect(conservation).toMatchObject({ balanced: true, quarantined: 1 });
    expect(await countOf('refused')).toMatchObject({ count: 0 });
  });

  it('is made by adclicks link', async () => {
    const env = { ADCLICKS_INGEST_URL: pipeline.ingest.url };
    const made = await adclicks(env, 'link', 'made', '--keys', keysFile, '--to', shop, '--count', '3', '--json');
    expect(made).toMatchObject({ code: 0, stderr: '' });
    const links = made.stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { link: string; event_id: string });
    for (const { link } of links) expect(await load(link)).toEqual(redirect);
  });
});

/** As another program reads them, with their copies. */
async function eventsOf(adId: string): Promise<string[]> {
  const lines = await readCommitted(pipeline.broker.brokers, 'clicks');
  const clicks = lines.filter(({ line }) => line !== '').map(({ line }) => JSON.parse(line));
  return clicks.filter(click => click.ad_id === adId).map(click => click.event_id);
}

describe('ingest that is killed while Kafka is away', () => {
  it.each(spoolPoints.map(({ name }, i) => [name, `killed-${i}`] as const))(
    'at "%s" loses no click that it has answered, and counts each once',
    async (step, adId) => {
      const directory = join(scratch, adId);
      const notice = join(scratch, `${adId}.hit`);
      writeFileSync(notice, '');
      const hasHit = () => readFileSync(notice, 'utf8') !== '';
      // The third time: there are clicks before it, in the same file.
      const nth = /being sent|not removed|removed/.test(step) ? '1' : '3';
      const crash = { NODE_OPTIONS: `--import ${preload}`, CRASH_AT: step, CRASH_NTH: nth, CRASH_LOG: notice };
      const env = { ...pipeline.env, INGEST_SPOOL_DIR: directory };
      const answered = new Set<string>();
      const asked = new Set<string>();
      const loadNew = async (ingest: Service) => {
        const event = `e${asked.size}`;
        asked.add(event);
        const answer = await load(ingest.url + linkTo(adId, event));
        if (answer?.status === 302) answered.add(event);
        return answer;
      };
      {
        await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', { ...env, ...crash });
        await ingest.ready();
        await pipeline.broker.kill();
        for (let i = 0; i < 20 && !hasHit(); i++) await loadNew(ingest);
        expect(answered.size).toBeGreaterThanOrEqual(2);
        await pipeline.broker.restart();
        await eventually('the step is reached', async () => hasHit());
      }
      expect(readdirSync(directory).some(name => name.endsWith('.spool'))).toBe(!step.endsWith('spool removed'));

      await using again = await startService('ingest/main.ts', 'INGEST_PORT', env);
      await again.ready();
      await eventually('the spool is empty', async () => !readdirSync(directory).some(name => name.endsWith('.spool')));
      expect(await loadNew(again)).toEqual(redirect);
      const inLog = new Set(await eventsOf(adId));
      expect([...answered].filter(event => !inLog.has(event))).toEqual([]);
      expect([...inLog].filter(event => !asked.has(event))).toEqual([]);
      await eventually('all in the log are counted once', async () => (await countOf(adId)).count === inLog.size);
      const { conservation } = await eventually('the sums are told', async () => {
        const status = await pipeline.get<{ conservation: { balanced: boolean } }>('/v1/status');
        return status.conservation.balanced && status;
      });
      expect(conservation).toMatchObject({ balanced: true, missing: 0 });
    },
  );
});
