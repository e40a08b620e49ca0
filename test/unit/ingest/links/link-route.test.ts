/** Click links over HTTP: what is kept, where they lead, and what becomes of those that are not right. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { Retryable } from '../../../../infra/errors.ts';
import type { Http } from '../../../../infra/http.ts';
import { registry } from '../../../../infra/metrics.ts';
import { atOnce } from '../../../../infra/slices.ts';
import { buildIngestApp, type IngestDeps } from '../../../../ingest/app.ts';
import type { Click } from '../../../../ingest/click.ts';
import { IngestConfig } from '../../../../ingest/config.ts';
import { readLinkKeys } from '../../../../ingest/links/link-keys.ts';
import { type LinkText, linkOf, secretOf } from '../../../../ingest/links/link-text.ts';
import { RecordReader } from '../../../../ingest/record-reader.ts';
import { maxRecords } from '../../../../ingest/refused-records.ts';
import { click, clicksOf, ndjson } from '../../../support/clicks.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
const secret = 'a'.repeat(43);
const shop = 'https://shop.example/shoes';
const keys = atOnce(readLinkKeys(Buffer.from(JSON.stringify({ keys: [{ id: 'k', secret }] })), 'keys.json'));
let http: Http | undefined;

afterEach(async () => {
  await http?.close();
});

const keysOfUs = atOnce(
  readLinkKeys(Buffer.from(JSON.stringify({ keys: [{ id: 'k', secret, region: 'us' }] })), 'keys.json'),
);

const link = (given: Partial<LinkText> = {}) =>
  linkOf(secretOf(secret), {
    ...{ adId: 'ad-42', eventId: 'e1', madeAt: `${now / 1_000 - 60}`, expiresAt: `${now / 1_000 + 60}` },
    ...{ keyId: 'k', destination: shop },
    ...given,
  });
const altered = (path = link()) => path.replace('shop.example', 'evil.example');

const never = Number.NEGATIVE_INFINITY;

interface Given extends Partial<IngestDeps> {
  readonly env?: Record<string, string>;
}

/** Over a log and a spool in memory. `refused` are lines of the log that are no clicks. */
async function setUp({ env = {}, ...deps }: Given = {}) {
  const state = {
    appended: [] as Click[],
    refused: [] as string[],
    spooled: [] as Click[],
    time: now,
    sentAtMs: never,
  };
  const clickLog: IngestDeps['clickLog'] = {
    append: async lines => {
      const text = lines.bytes.toString('utf8', 0, lines.end);
      if (text.startsWith('{"refused_link"')) state.refused.push(text);
      else state.appended.push(...clicksOf(lines));
    },
    refusal: () => undefined,
  };
  const spool: NonNullable<IngestDeps['spool']> = {
    append: async click => void state.spooled.push(click),
    refusal: () => undefined,
    get sentAtMs() {
      return state.sentAtMs;
    },
  };
  http = await buildIngestApp({
    config: loadConfig(IngestConfig, env),
    ...{ clickLog, spool, log: pino({ level: 'silent' }), linkKeys: () => keys },
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
    now: () => state.time,
    ...deps,
  });
  const app = http;
  const load = async (url: string, headers: Record<string, string> = {}, method: 'GET' | 'HEAD' | 'POST' = 'GET') => {
    const { statusCode: status, headers: answered, body } = await app.inject({ method, url, headers });
    return { status, location: answered.location, headers: answered, body };
  };
  return { ...{ load, app }, state };
}

const away = () => Promise.reject(new Retryable('Kafka is away'));

async function metric(name: string, labels: Record<string, string>): Promise<number> {
  const found = await registry.getSingleMetric(`adclicks_${name}`)?.get();
  const wanted = Object.entries(labels);
  return found?.values.find(value => wanted.every(([label, text]) => value.labels[label] === text))?.value ?? 0;
}

describe('a click link, while the clock of the process differs from that of the broker', () => {
  it.each([
    ['behind', link(), -10 * 60_000, 0],
    ['ahead', link(), 600_000, 0],
    ['right, and that of the broker behind', link(), 0, -10 * 60_000],
    ['right, and that of the broker ahead', link(), 0, 600_000],
  ])('counts if it is good by one of them: ours is %s', async (_, address, ownMs, brokerMs) => {
    const clickTime = { now: () => now + brokerMs, doubt: () => 'they differ' };
    const { load, state } = await setUp({ clickTime });
    state.time = now + ownMs;
    expect(await load(address)).toMatchObject({ status: 302, location: shop });
    expect(state.appended).toMatchObject([{ clickedAt: now - 60_000 }]);
  });
});

describe('a click link', () => {
  it('redirects to its destination once the click is in the log', async () => {
    const { load, state } = await setUp();
    expect(await load(link())).toMatchObject({
      status: 302,
      location: shop,
      headers: { 'cache-control': 'no-store', 'referrer-policy': 'strict-origin' },
      body: '',
    });
    expect(state.appended).toMatchObject([
      { adId: 'ad-42', eventId: 'e1', clickedAt: now - 60_000, receivedAt: now, country: 'ZZ' },
    ]);
  });

  it('is the same click each time that it is loaded, whenever that is', async () => {
    const { load, state } = await setUp();
    for (const later of [0, 1, 59_999]) {
      state.time = now + later;
      expect(await load(link())).toMatchObject({ status: 302 });
    }
    const identities = state.appended.map(({ adId, eventId, clickedAt }) => `${adId} ${eventId} ${clickedAt}`);
    expect(new Set(identities)).toEqual(new Set([`ad-42 e1 ${now - 60_000}`]));
    expect(new Set(state.appended.map(({ clickId }) => clickId)).size).toBe(3);
  });

  it.each([
    ['HEAD', {}, 'head'],
    ['GET', { 'sec-purpose': 'prefetch;prerender' }, 'prefetch'],
    ['GET', { purpose: 'prefetch' }, 'prefetch'],
    ['GET', { 'x-purpose': 'preview' }, 'prefetch'],
    ['GET', { 'x-moz': 'prefetch' }, 'prefetch'],
    ['GET', { purpose: 'any other' }, undefined],
  ] as const)('that is loaded with %s %j is answered, counted, and marked as %s', async (method, headers, purpose) => {
    const { load, state } = await setUp();
    expect(await load(link(), headers, method)).toMatchObject({ status: 302, location: shop });
    expect(state.appended.map(click => click.purpose)).toEqual([purpose]);
  });

  it.each([
    ['1', '198.51.100.1, 203.0.113.7', '203.0.113.7'],
    ['1', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6'],
    // The connection is of a proxy, and the proxy does not say whose request it is.
    ['1', undefined, undefined],
    ['2', '203.0.113.7', undefined],
    ['1', '203.0.113.7, unknown', undefined],
    // Nobody is trusted, and the connection comes from this machine.
    ['false', '203.0.113.7', undefined],
    ['192.0.2.0/24', '203.0.113.7', undefined],
  ])('has, behind proxies %s and with X-Forwarded-For %s, address %s', async (proxies, forwardedFor, ip) => {
    const { load, state } = await setUp({ env: { INGEST_TRUST_PROXY: proxies } });
    await load(link(), { ...(forwardedFor !== undefined && { 'x-forwarded-for': forwardedFor }) });
    expect(state.appended.map(click => click.ip)).toEqual([ip]);
  });

  it('has the user agent and the origin of the page, and never more of the page', async () => {
    const { load, state } = await setUp();
    const browser = { 'user-agent': 'Mozilla/5.0 (X11)', referer: 'https://page.example:8443/search?q=a+secret' };
    await load(link(), browser);
    await load(link(), { 'user-agent': `${'a'.repeat(600)}`, referer: 'about:blank' });
    expect(state.appended).toMatchObject([
      { userAgent: 'Mozilla/5.0 (X11)', referrer: 'https://page.example:8443' },
      { userAgent: 'a'.repeat(512) },
    ]);
    expect(JSON.stringify(state.appended)).not.toMatch(/secret|blank/);
  });

  it('takes an event id with any characters', async () => {
    const { load, state } = await setUp();
    await load(link({ eventId: '클릭 1+2=3 & 50% /?#' }));
    expect(state.appended).toMatchObject([{ eventId: '클릭 1+2=3 & 50% /?#' }]);
  });

  it('takes GET and HEAD only', async () => {
    const { load } = await setUp();
    expect(await load(link(), {}, 'POST')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD' } });
  });
});

describe('a link that is not right', () => {
  it.each([
    ['altered', altered()],
    ['expired', link({ expiresAt: `${now / 1_000}` })],
    ['of an unknown key', link({ keyId: 'other' })],
    ['for another ad', link().replace('ad-42', 'ad-43')],
    ['without a signature', link().replace(/&s=.*/, '')],
  ])(
    '(%s) leads to the landing page or to 404, and never to its destination, and is not counted',
    async (_what, url) => {
      for (const landing of ['https://landing.example/', '']) {
        const { load, state } = await setUp({ env: { INGEST_LINK_SAFE_LANDING: landing } });
        const answer = await load(url);
        if (landing === '') expect(answer).toMatchObject({ status: 404 });
        else expect(answer).toMatchObject({ status: 302, location: landing });
        expect(JSON.stringify(answer)).not.toMatch(/shop\.example|evil\.example/);
        expect(answer.headers['cache-control']).toBe('no-store');
        expect(state.appended).toEqual([]);
        expect(state.refused).toHaveLength(1);
        await http?.close();
      }
    },
  );

  it.each(['', 'https://landing.example/'])(
    'is answered alike whatever is wrong with it, also where its ad cannot be decoded (landing page: %j)',
    async landing => {
      const { load, app, state } = await setUp({ env: { INGEST_LINK_SAFE_LANDING: landing } });
      const seen = async (url: string, method: 'GET' | 'HEAD' = 'GET') => {
        const { status, headers, body } = await load(url, {}, method);
        // Each request has a trace of its own.
        const text = body.replace(/"trace_id":"\w+"/, '');
        return { status, text, headers: { ...headers, date: undefined, traceresponse: undefined } };
      };
      const usual = await seen(altered());
      const ofAd = (ad: string) => link().replace('ad-42', ad);
      const broken = ['acme%-x', 'acme%ff', '%', '%E0%A4', 'ad-42%', '%2e%zz', 'a%25%'].map(ofAd);
      for (const url of [...broken, ofAd('..%2f'), ofAd('%00'), ofAd('a%2fb'), '/c/acme%ff', '/c/%ff?e=%ff&e=2'])
        expect({ url, ...(await seen(url)) }).toEqual({ url, ...usual });
      expect(state.refused).toHaveLength(13);
      expect(JSON.parse(state.refused[1] ?? '')).toMatchObject({ refused_link: { reason: 'malformed' } });
      expect((await seen(broken[0]!, 'HEAD')).status).toBe(usual.status);
      expect((await load(broken[0]!, {}, 'POST')).headers).toMatchObject({ allow: 'GET, HEAD' });
      // What is no link is refused as before.
      for (const url of ['/v1/%ff', '/p/%ff.gif'])
        expect((await app.inject(url)).json()).toMatchObject({ status: 400, code: 'bad_url' });
    },
  );

  it('stands in the log as a line that is no click, with what was given and why, without the signature', async () => {
    const { load, state } = await setUp();
    await load(altered());
    const line = JSON.parse(state.refused[0] ?? '');
    expect(line).toEqual({
      refused_link: {
        reason: 'wrong_signature',
        detail: 's is not the signature of this link: a part of it was altered, or cut off',
        ...{ ad_id: 'ad-42', e: 'e1', t: `${now / 1_000 - 60}`, x: `${now / 1_000 + 60}`, k: 'k' },
        d: 'https://evil.example/shoes',
      },
      received_at: now,
    });
    const reader = new RecordReader(0);
    reader.open(0, now, Buffer.from(state.refused[0] ?? ''));
    expect(reader.next()).toBe(true);
    expect({ ok: reader.ok, problem: reader.problem }).toEqual({
      ok: false,
      problem: 'refused click link: wrong_signature',
    });
    expect(reader.next()).toBe(false);
  });

  it('stands in the log as one line, whatever was sent', async () => {
    const { load, state } = await setUp();
    await load(`/c/${encodeURIComponent('a"b\n{}')}?e=${'%0A%22'.repeat(400)}&t=%ff%00&x&d=\u2028&k=1&k=2`);
    expect(state.refused).toHaveLength(1);
    expect(state.refused[0]?.trimEnd().split('\n')).toHaveLength(1);
    expect(state.refused[0]?.length).toBeLessThan(4_000);
    expect(JSON.parse(state.refused[0] ?? '')).toMatchObject({ refused_link: { reason: 'malformed' } });
  });

  it('is recorded a limited number of times in a minute, per client and in total, and always counted', async () => {
    const { load, state } = await setUp({ env: { INGEST_TRUST_PROXY: '127.0.0.1' } });
    const limited = await metric('link_refusals_total', { reason: 'wrong_signature', outcome: 'limited' });
    const from = async (address: string, times: number) => {
      for (let i = 0; i < times; i++) await load(altered(), { 'x-forwarded-for': address });
    };
    await from('192.0.2.1', maxRecords.perClient + 5);
    expect(state.refused).toHaveLength(maxRecords.perClient);
    for (let i = 2; i < 20; i++) await from(`192.0.2.${i}`, maxRecords.perClient);
    expect(state.refused).toHaveLength(maxRecords.inTotal);
    const more = 5 + 18 * maxRecords.perClient - (maxRecords.inTotal - maxRecords.perClient);
    expect(await metric('link_refusals_total', { reason: 'wrong_signature', outcome: 'limited' })).toBe(limited + more);
    state.time = now + 60_000;
    await from('192.0.2.1', 1);
    expect(state.refused).toHaveLength(maxRecords.inTotal + 1);
  });

  it('is answered when Kafka does not take the record', async () => {
    const { load } = await setUp({ clickLog: { append: away, refusal: () => undefined } });
    expect(await load(altered())).toMatchObject({ status: 404 });
  });

  it('is not recorded where there are no link keys at all', async () => {
    const { load, state } = await setUp({ linkKeys: () => ({ keys: new Map(), destinations: new Map() }) });
    expect(await load(link())).toMatchObject({ status: 404 });
    expect(state.refused).toEqual([]);
  });
});

describe('a click link while Kafka is away', () => {
  it('redirects once the click is in the spool, and asks Kafka again only when it has taken clicks out of it', async () => {
    let asked = 0;
    const append = () => {
      asked++;
      return away();
    };
    const { load, state } = await setUp({ clickLog: { append, refusal: () => undefined } });
    for (let i = 0; i < 5; i++)
      expect(await load(link({ eventId: `e${i}` }))).toMatchObject({ status: 302, location: shop });
    expect(state.spooled.map(({ eventId }) => eventId)).toEqual(['e0', 'e1', 'e2', 'e3', 'e4']);
    expect(asked).toBe(1);
    state.sentAtMs = performance.now();
    await load(link({ eventId: 'e5' }));
    await load(link({ eventId: 'e6' }));
    expect(asked).toBe(2);
    expect(state.spooled).toHaveLength(7);
  });

  it('does not wait for a Kafka that does not answer', async () => {
    const append = () => new Promise<void>(() => undefined);
    const { load, state } = await setUp({ clickLog: { append, refusal: () => undefined } });
    expect(await load(link())).toMatchObject({ status: 302, location: shop });
    expect(state.spooled).toHaveLength(1);
  });

  it('redirects nobody before the spool has the click', async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const spool = { append: () => promise, refusal: () => undefined, sentAtMs: never };
    const { load } = await setUp({ clickLog: { append: away, refusal: () => undefined }, spool });
    let isAnswered = false;
    const answer = load(link()).then(given => {
      isAnswered = true;
      return given;
    });
    await new Promise(done => setTimeout(done, 50));
    expect(isAnswered).toBe(false);
    resolve();
    expect(await answer).toMatchObject({ status: 302 });
  });

  it.each([
    ['there is no spool', undefined],
    ['the spool is full', { append: away, refusal: () => new Retryable('the spool is full'), sentAtMs: never }],
    ['the disk of the spool fails', { append: away, refusal: () => undefined, sentAtMs: never }],
  ])('gets 503 and is loaded again by the browser if %s: no click is lost without a word', async (_what, spool) => {
    const before = await metric('link_clicks_total', { outcome: 'unavailable' });
    const { load } = await setUp({ clickLog: { append: away, refusal: () => undefined }, spool });
    expect(await load(link())).toMatchObject({
      status: 503,
      location: undefined,
      headers: { 'retry-after': '2', refresh: '2', 'cache-control': 'no-store' },
    });
    expect(await metric('link_clicks_total', { outcome: 'unavailable' })).toBe(before + 1);
  });

  it('is given to Kafka with all its time when the spool is full', async () => {
    const append = () => new Promise<void>(resolve => setTimeout(resolve, 200));
    const spool = { append: away, refusal: () => new Retryable('the spool is full'), sentAtMs: never };
    const { load } = await setUp({ clickLog: { append, refusal: () => undefined }, spool });
    expect(await load(link())).toMatchObject({ status: 302, location: shop });
  });
});

it('refuses a landing page that is no URL', async () => {
  const { checkRelations } = await import('../../../../ingest/config.ts');
  const config = loadConfig(IngestConfig, { INGEST_LINK_SAFE_LANDING: '/sorry' });
  expect(() => checkRelations(config)).toThrow('INGEST_LINK_SAFE_LANDING="/sorry": must be an absolute http or https');
});

it('is read from the log as the same click, marked or not', () => {
  const unmarked = click({ eventId: 'e', userId: 'u' });
  const reader = new RecordReader(0);
  reader.open(0, now, ndjson(unmarked, { ...unmarked, purpose: 'prefetch' }));
  const read = () => {
    expect({ next: reader.next(), ok: reader.ok }).toEqual({ next: true, ok: true });
    const { bytes, eventIdStart, eventIdEnd, adIdStart, adIdEnd, clickedAt, country } = reader;
    const text = (from: number, to: number) => Buffer.from(bytes.subarray(from, to)).toString();
    return { eventId: text(eventIdStart, eventIdEnd), adId: text(adIdStart, adIdEnd), clickedAt, country };
  };
  const first = read();
  expect(first).toMatchObject({ eventId: 'e', adId: unmarked.adId, clickedAt: unmarked.clickedAt });
  expect(read()).toEqual(first);
});

describe('a right link of another region', () => {
  const env = { REGION: 'eu', REGION_URLS: 'us=https://clicks.us.example' };

  it('counts where it belongs', async () => {
    const { load, state } = await setUp({ env: { REGION: 'us' }, linkKeys: () => keysOfUs });
    expect(await load(link())).toMatchObject({ status: 302, location: shop });
    expect(state.appended).toHaveLength(1);
  });

  it('counts nowhere else, leaves nothing here, and says where it belongs', async () => {
    const { load, state } = await setUp({ env, linkKeys: () => keysOfUs });
    const { status, body, location } = await load(link());
    expect({ status, location }).toEqual({ status: 403, location: undefined });
    const said = { code: 'wrong_region', region: 'us', url: 'https://clicks.us.example' };
    expect(JSON.parse(body)).toMatchObject(said);
    expect([state.appended, state.refused, state.spooled]).toEqual([[], [], []]);
  });

  it('leads to the landing page where there is one, for a person is behind it', async () => {
    const landing = 'https://shop.example/home';
    const { load, state } = await setUp({
      env: { ...env, INGEST_LINK_SAFE_LANDING: landing },
      linkKeys: () => keysOfUs,
    });
    expect(await load(link())).toMatchObject({ status: 302, location: landing });
    expect([state.appended, state.refused, state.spooled]).toEqual([[], [], []]);
  });

  it('is not told from any other link without its signature', async () => {
    const { load, state } = await setUp({ env, linkKeys: () => keysOfUs });
    expect((await load(altered())).status).toBe(404);
    expect(state.refused).toHaveLength(1);
  });
});
