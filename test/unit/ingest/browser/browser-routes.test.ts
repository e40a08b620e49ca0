/** What pages send, over HTTP: which clicks are kept, as which click, and what becomes of the others. */
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { Retryable } from '../../../../infra/errors.ts';
import type { Http } from '../../../../infra/http.ts';
import { buildIngestApp, type IngestDeps } from '../../../../ingest/app.ts';
import type { Click } from '../../../../ingest/click.ts';
import { IngestConfig } from '../../../../ingest/config.ts';
import { RecordReader } from '../../../../ingest/record-reader.ts';
import { maxRecords } from '../../../../ingest/refused-records.ts';
import { bearer, keysInMemory } from '../../../support/api-keys.ts';
import { clicksOf } from '../../../support/clicks.ts';

const now = Date.parse('2026-03-01T12:00:30Z');
const page = 'https://shop.example';
const text = 'text/plain;charset=UTF-8';
let http: Http | undefined;

afterEach(async () => {
  await http?.close();
});

interface Given extends Partial<IngestDeps> {
  readonly env?: Record<string, string>;
}

/** Over a log and a spool in memory. `refused` are lines of the log that are no clicks. */
async function setUp({ env = {}, ...deps }: Given = {}) {
  const keys = keysInMemory();
  const key = keys.add({ scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: [page] }, now);
  const state = { appended: [] as Click[], refused: [] as string[], spooled: [] as Click[], time: now };
  const clickLog: IngestDeps['clickLog'] = {
    append: async lines => {
      const written = lines.bytes.toString('utf8', 0, lines.end);
      if (written.startsWith('{"refused_browser"')) state.refused.push(written);
      else state.appended.push(...clicksOf(lines));
    },
    refusal: () => undefined,
  };
  const spool: NonNullable<IngestDeps['spool']> = {
    append: async click => void state.spooled.push(click),
    refusal: () => undefined,
    sentAtMs: Number.NEGATIVE_INFINITY,
  };
  http = await buildIngestApp({
    config: loadConfig(IngestConfig, env),
    ...{ clickLog, spool, keys, log: pino({ level: 'silent' }) },
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
    now: () => state.time,
    ...deps,
  });
  const app = http;
  const ask = async (method: 'GET' | 'HEAD' | 'POST' | 'OPTIONS', url: string, headers = {}, payload?: string) => {
    const response = await app.inject({ method, url, headers, ...(payload === undefined ? {} : { payload }) });
    const { statusCode: status, headers: answered, body } = response;
    return { status, headers: answered, body, bytes: response.rawPayload };
  };
  const beacon = (clicks: unknown, headers: Record<string, string> = {}) =>
    ask(
      'POST',
      `/b?k=${key}`,
      { origin: page, 'content-type': text, 'user-agent': 'a browser', ...headers },
      typeof clicks === 'string' ? clicks : JSON.stringify(clicks),
    );
  const pixel = (adId: string, query: string, headers: Record<string, string> = { referer: `${page}/` }) =>
    ask('GET', `/p/${adId}.gif?k=${key}${query}`, headers);
  return { ask, beacon, pixel, keys, key, state };
}

const one = { ad_id: 'ad-42', event_id: 'e1', clicked_at: now - 40 };
const away = () => Promise.reject(new Retryable('Kafka is away'));
const reasonsIn = (lines: readonly string[]) => lines.map(line => JSON.parse(line).refused_browser.reason as string);

describe('a beacon', () => {
  it('is answered without a body once its click is in the log', async () => {
    const { beacon, state } = await setUp();
    const { status, headers, body } = await beacon(one);
    expect({ status, body }).toEqual({ status: 204, body: '' });
    expect(headers).toMatchObject({
      'access-control-allow-origin': page,
      vary: 'Origin',
      'cache-control': 'no-store',
    });
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
    expect(state.appended).toEqual([
      {
        clickId: expect.stringMatching(/^[0-9A-Z]{26}$/),
        ...{ eventId: 'e1', adId: 'ad-42', clickedAt: now - 40, receivedAt: now, country: 'ZZ' },
        ...{ userAgent: 'a browser', referrer: page },
      },
    ]);
  });

  it('may have some clicks, one in each line, or an array of JSON', async () => {
    const { beacon, state } = await setUp();
    const two = [one, { ...one, event_id: 'e2' }];
    expect((await beacon(two.map(click => `${JSON.stringify(click)}\r\n\n`).join(''))).status).toBe(204);
    expect((await beacon(two, { 'content-type': 'application/json' })).status).toBe(204);
    expect((await beacon(one, { 'content-type': 'application/json' })).status).toBe(204);
    expect(state.appended.map(({ eventId }) => eventId)).toEqual(['e1', 'e2', 'e1', 'e2', 'e1']);
  });

  it('says nothing about who has clicked, whatever is in it', async () => {
    const { beacon, state } = await setUp();
    await beacon({
      ...one,
      user_id: 'u1',
      ip: '192.0.2.1',
      user_agent: 'another',
      referrer: 'https://another.example',
      country: 'KR',
      purpose: 'head',
      click_id: 'mine',
      received_at: 1,
    });
    expect(state.appended).toEqual([
      {
        clickId: expect.stringMatching(/^[0-9A-Z]{26}$/),
        ...{ eventId: 'e1', adId: 'ad-42', clickedAt: now - 40, receivedAt: now, country: 'ZZ' },
        ...{ userAgent: 'a browser', referrer: page },
      },
    ]);
  });

  it('that comes again in another minute is the same click, if the clock of the visitor is right', async () => {
    const { beacon, state } = await setUp();
    await beacon(one);
    state.time += 50_000;
    await beacon(one);
    expect(state.appended.map(({ eventId, clickedAt }) => [eventId, clickedAt])).toEqual([
      ['e1', now - 40],
      ['e1', now - 40],
    ]);
  });

  it.each([
    [-60_000, -60_000],
    [60_000, 60_000],
    [-60_001, 0],
    [60_001, 0],
    [-365 * 86_400_000, 0],
    [365 * 86_400_000, 0],
  ])('with a clock that is %d ms off counts %d ms from when it arrived', async (off, counted) => {
    const { beacon, state } = await setUp();
    expect((await beacon({ ...one, clicked_at: now + off })).status).toBe(204);
    expect(state.appended.map(({ clickedAt }) => clickedAt - now)).toEqual([counted]);
  });

  it('without a time counts when it arrived', async () => {
    const { beacon, state } = await setUp();
    for (const clicked_at of [undefined, null, '']) await beacon({ ...one, clicked_at });
    expect(state.appended.map(({ clickedAt }) => clickedAt)).toEqual([now, now, now]);
  });

  it.each([
    ['an ad of others', { ...one, ad_id: 'other-1' }, 'forbidden_ad'],
    ['an ad that begins with the prefix in other letters', { ...one, ad_id: 'AD-1' }, 'forbidden_ad'],
    ['no event id', { ...one, event_id: undefined }, 'missing_field'],
    ['an empty event id', { ...one, event_id: '' }, 'missing_field'],
    ['no ad', { ...one, ad_id: undefined }, 'missing_field'],
    ['an ad that is none', { ...one, ad_id: 'ad-\n' }, 'invalid_field'],
    ['a number as the ad', { ...one, ad_id: 42 }, 'invalid_field'],
    ['a time that is none', { ...one, clicked_at: 'yesterday' }, 'invalid_field'],
    ['no object', [1], 'not_an_object'],
    ['no JSON', 'ad_id=ad-42', 'not_an_object'],
  ])('with %s is refused and quarantined', async (_what, clicks, reason) => {
    const { beacon, key, state } = await setUp();
    const { status, body } = await beacon(clicks);
    expect({ status, code: JSON.parse(body).code }).toEqual({ status: 400, code: reason });
    expect(state.appended).toEqual([]);
    expect(reasonsIn(state.refused)).toEqual([reason]);
    expect(JSON.parse(state.refused[0] ?? '')).toMatchObject({
      refused_browser: { reason, via: 'beacon', key: key.slice(13, 29), detail: JSON.parse(body).detail },
      received_at: now,
    });
  });

  it('keeps its right clicks and quarantines the others', async () => {
    const { beacon, state } = await setUp();
    const lines = [one, { ...one, ad_id: 'other-1' }, { ...one, event_id: 'e2' }].map(click => JSON.stringify(click));
    expect((await beacon(lines.join('\n'))).status).toBe(204);
    expect(state.appended.map(({ eventId }) => eventId)).toEqual(['e1', 'e2']);
    expect(reasonsIn(state.refused)).toEqual(['forbidden_ad']);
  });

  it.each([
    ['is empty', '', text, 400],
    ['has only blank lines', '\n\n', text, 400],
    ['has too many clicks', `${JSON.stringify(one)}\n`.repeat(21), text, 413],
    ['is too large', ' '.repeat(16_385), text, 413],
    ['is a form', 'ad_id=ad-42', 'application/x-www-form-urlencoded', 415],
  ])('is refused as a whole if it %s', async (_what, body, type, status) => {
    const { beacon, state } = await setUp();
    expect((await beacon(body, { 'content-type': type })).status).toBe(status);
    expect(state.appended).toEqual([]);
  });

  it('may be gzip, which inflates to no more than a beacon may have', async () => {
    const { key, state } = await setUp();
    const send = async (body: string) => {
      const headers = { origin: page, 'content-type': text, 'content-encoding': 'gzip' };
      const answer = await http?.inject({ method: 'POST', url: `/b?k=${key}`, headers, payload: gzipSync(body) });
      return answer?.statusCode;
    };
    expect(await send(JSON.stringify(one))).toBe(204);
    expect(await send(`${JSON.stringify(one)}${' '.repeat(16_384)}`)).toBe(413);
    expect(state.appended).toHaveLength(1);
  });

  it('weighs as many clicks as it has in the limit of its client', async () => {
    const { beacon } = await setUp({ env: { INGEST_RATE_LIMIT_PER_MINUTE: '20' } });
    const twenty = Array.from({ length: 20 }, (_, i) => JSON.stringify({ ...one, event_id: `e${i}` })).join('\n');
    expect((await beacon(twenty)).status).toBe(204);
    expect((await beacon(one)).status).toBe(429);
  });
});

describe('a beacon while Kafka is away', () => {
  it('is kept in the spool, and answered only then', async () => {
    const keeping = Promise.withResolvers<void>();
    const spooled: Click[] = [];
    const { beacon } = await setUp({
      clickLog: { append: away, refusal: () => undefined },
      spool: {
        append: async click => {
          await keeping.promise;
          spooled.push(click);
        },
        refusal: () => undefined,
        sentAtMs: Number.NEGATIVE_INFINITY,
      },
    });
    let isAnswered = false;
    const answer = beacon(one).then(({ status }) => {
      isAnswered = true;
      return status;
    });
    await new Promise(resolve => setTimeout(resolve, 150));
    expect(isAnswered).toBe(false);
    keeping.resolve();
    expect(await answer).toBe(204);
    expect(spooled).toMatchObject([{ eventId: 'e1', adId: 'ad-42' }]);
  });

  it('is not answered as kept where nothing keeps it', async () => {
    const { beacon, pixel } = await setUp({ clickLog: { append: away, refusal: () => undefined }, spool: undefined });
    for (const answer of [await beacon(one), await pixel('ad-1', '&e=e1')]) {
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '2' } });
    }
  });
});

describe('the page of a beacon', () => {
  it.each([
    ['another site', { origin: 'https://evil.example' }, 'wrong_origin'],
    ['a site whose name only begins so', { origin: `${page}.evil.example` }, 'wrong_origin'],
    ['another port', { origin: `${page}:8443` }, 'wrong_origin'],
    ['the same site without TLS', { origin: 'http://shop.example' }, 'wrong_origin'],
    ['one that hides its origin', { origin: 'null' }, 'wrong_origin'],
  ])('may not be of %s', async (_what, headers, reason) => {
    const { beacon, state } = await setUp();
    const answer = await beacon(one, headers);
    expect({ status: answer.status, code: JSON.parse(answer.body).code }).toEqual({ status: 403, code: reason });
    expect(answer.headers).not.toHaveProperty('access-control-allow-origin');
    expect(answer.headers).toMatchObject({ vary: 'Origin' });
    expect(state.appended).toEqual([]);
    expect(JSON.parse(state.refused[0] ?? '').refused_browser).toMatchObject({ reason, page: headers.origin });
  });

  it('must be said: a Referer does not say it', async () => {
    const { ask, key, state } = await setUp();
    const headers = { referer: `${page}/`, 'content-type': text };
    const { status, body } = await ask('POST', `/b?k=${key}`, headers, JSON.stringify(one));
    expect({ status, code: JSON.parse(body).code }).toEqual({ status: 403, code: 'no_origin' });
    expect(state.appended).toEqual([]);
  });
});

describe('a preflight', () => {
  const asks = { 'access-control-request-method': 'POST', 'access-control-request-headers': 'content-type' };

  it('allows a page of the key to send JSON, and nothing more', async () => {
    const { ask, key } = await setUp();
    const { status, headers, body } = await ask('OPTIONS', `/b?k=${key}`, { origin: page, ...asks });
    expect({ status, body }).toEqual({ status: 204, body: '' });
    expect(Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith('access-control-')))).toEqual({
      'access-control-allow-origin': page,
      'access-control-allow-methods': 'POST',
      'access-control-allow-headers': 'content-type',
      'access-control-max-age': '7200',
    });
    expect(headers).toMatchObject({ vary: 'Origin' });
  });

  it('allows nothing to other pages, and is not quarantined', async () => {
    const { ask, key, state } = await setUp();
    const { status, headers } = await ask('OPTIONS', `/b?k=${key}`, { origin: 'https://evil.example', ...asks });
    expect(status).toBe(403);
    expect(Object.keys(headers).filter(name => name.startsWith('access-control-'))).toEqual([]);
    expect(state.refused).toEqual([]);
  });

  it('is no way to other requests: they allow no page anything', async () => {
    const { ask, key } = await setUp();
    for (const path of ['/v1/clicks', '/metrics', '/c/ad-42']) {
      const { headers } = await ask('OPTIONS', `${path}?k=${key}`, { origin: page, ...asks });
      expect(Object.keys(headers).filter(name => name.startsWith('access-control-'))).toEqual([]);
    }
  });
});

describe('the key of a page', () => {
  it('is needed on loopback, too, and one that was revoked is none', async () => {
    const { ask, beacon, keys, key, state } = await setUp();
    const headers = { origin: page, 'content-type': text };
    expect((await ask('POST', '/b', headers, JSON.stringify(one))).status).toBe(401);
    expect((await ask('GET', '/p/ad-1.gif?e=e1', { referer: `${page}/` })).status).toBe(401);
    await keys.append({ kind: 'revoked', id: key.slice(13, 29), at: now, by: 'somebody' });
    expect(JSON.parse((await beacon(one)).body)).toMatchObject({
      status: 401,
      detail: expect.stringMatching(/revoked/),
    });
    expect([...state.appended, ...state.refused]).toEqual([]);
  });

  it('is no key that may do anything else: what stands in a page is known to everybody', async () => {
    const { ask, keys, state } = await setUp();
    const headers = { origin: page, 'content-type': text };
    for (const scopes of [['admin'], ['ingest'], ['ingest', 'ingest:public'], ['read']]) {
      const other = keys.add({ scopes, origins: [page], adIdPrefix: 'ad-' }, now);
      const { status, body } = await ask('POST', `/b?k=${other}`, headers, JSON.stringify(one));
      expect({ scopes, status }).toEqual({ scopes, status: 403 });
      expect(JSON.parse(body).detail).toMatch(/must not stand in a page/);
      expect(body).not.toContain(other);
    }
    expect(state.appended).toEqual([]);
  });

  it('is not taken for posted clicks', async () => {
    const { ask, key } = await setUp();
    const answer = await ask('POST', '/v1/clicks', { ...bearer(key), 'content-type': text }, JSON.stringify(one));
    expect(answer.status).toBe(403);
  });
});

describe('a pixel', () => {
  it('is a transparent picture of 43 bytes that nobody keeps, sent once its click is in the log', async () => {
    const { pixel, state } = await setUp();
    const { status, headers, bytes } = await pixel('ad-4.2', '&e=e1');
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'image/gif',
      'content-length': '43',
      'cache-control': 'no-store',
      'cross-origin-resource-policy': 'cross-origin',
    });
    expect(bytes.toString('latin1', 0, 6)).toBe('GIF89a');
    expect([bytes.readUInt16LE(6), bytes.readUInt16LE(8)]).toEqual([1, 1]);
    expect(state.appended).toMatchObject([{ adId: 'ad-4.2', eventId: 'e1', clickedAt: now, receivedAt: now }]);
  });

  it('with a time is the same click each time that it is loaded, and none when it is old', async () => {
    const { pixel, state } = await setUp();
    const t = `${Math.floor(now / 1_000)}`;
    for (const later of [0, 59_000, 600_000]) {
      state.time = Number(t) * 1_000 + later;
      expect((await pixel('ad-1', `&e=e1&t=${t}`)).status).toBe(200);
    }
    expect(new Set(state.appended.map(({ clickedAt }) => clickedAt))).toEqual(new Set([Number(t) * 1_000]));
    state.time++;
    const { status, body } = await pixel('ad-1', `&e=e1&t=${t}`);
    expect({ status, code: JSON.parse(body).code }).toEqual({ status: 400, code: 'too_old' });
    expect(state.appended).toHaveLength(3);
    expect(reasonsIn(state.refused)).toEqual(['too_old']);
  });

  it.each([
    ['', 'missing_field'],
    ['&e=', 'missing_field'],
    ['&e=e1&t=soon', 'invalid_field'],
    [`&e=e1&t=${now}`, 'invalid_field'],
    [`&e=e1&t=${now / 1_000 + 301}`, 'too_far_ahead'],
    ['&e=e1&e=e2', 'invalid_field'],
  ])('%s is refused: %s', async (query, reason) => {
    const { pixel, state } = await setUp();
    const { body } = await pixel('ad-1', query);
    expect(JSON.parse(body).code).toBe(reason);
    expect(state.appended).toEqual([]);
  });

  it.each([
    ['its Referer', { referer: `${page}/shoes?from=mail` }, 200],
    ['its Origin, which says more than a Referer', { origin: page, referer: 'https://evil.example/' }, 200],
    ['the Referer of another page', { referer: `https://evil.example/?${page}` }, 403],
    ['the Referer of a page whose name begins so', { referer: `${page}.evil.example/` }, 403],
    ['another Origin', { origin: 'https://evil.example', referer: `${page}/` }, 403],
    ['a Referer that is no address', { referer: 'shop.example' }, 403],
    ['nothing', {}, 403],
  ])('is of the page that %s says', async (_what, headers, status) => {
    const { pixel, state } = await setUp();
    expect((await pixel('ad-1', '&e=e1', headers as Record<string, string>)).status).toBe(status);
    expect(state.appended).toHaveLength(status === 200 ? 1 : 0);
  });

  it('that is loaded before somebody looks says so in its line', async () => {
    const { ask, key, pixel, state } = await setUp();
    const referer = `${page}/`;
    await pixel('ad-1', '&e=e1', { referer, 'sec-purpose': 'prefetch;prerender' });
    await ask('HEAD', `/p/ad-1.gif?k=${key}&e=e1`, { referer });
    expect(state.appended.map(({ purpose }) => purpose)).toEqual(['prefetch', 'head']);
  });

  it('has no page of a visitor in what is quarantined, but the origin', async () => {
    const { pixel, state } = await setUp();
    await pixel('other-1', '&e=e1', { referer: `${page}/account/jane` });
    await pixel('ad-1', '&e=e1', { referer: 'https://evil.example/account/jane' });
    expect(state.refused).toHaveLength(2);
    expect(state.refused.join('')).not.toContain('jane');
  });
});

describe('refused clicks of pages', () => {
  it('are lines that are no clicks, from which the aggregator tells the reason', async () => {
    const { beacon, state } = await setUp();
    await beacon(one, { origin: 'https://evil.example' });
    const reader = new RecordReader(0);
    reader.open(0, now, Buffer.from(state.refused[0] ?? ''));
    expect(reader.next()).toBe(true);
    expect({ ok: reader.ok, problem: reader.problem }).toEqual({
      ok: false,
      problem: 'refused browser click: wrong_origin',
    });
    expect(reader.next()).toBe(false);
  });

  it('fill the log only so far, for one client and in a minute', async () => {
    const { beacon, state } = await setUp();
    for (let i = 0; i < maxRecords.perClient + 5; i++) await beacon({ ...one, ad_id: 'other' });
    expect(state.refused).toHaveLength(maxRecords.perClient);
    state.time += 60_000;
    await beacon({ ...one, ad_id: 'other' });
    expect(state.refused).toHaveLength(maxRecords.perClient + 1);
  });
});

describe('the script', () => {
  it('is for all pages, and kept for an hour', async () => {
    const { ask } = await setUp({ env: { HOST: '0.0.0.0' } });
    const { status, headers, body } = await ask('GET', '/click.js');
    expect(status).toBe(200);
    expect(headers).toMatchObject({
      'content-type': 'text/javascript; charset=utf-8',
      'cache-control': 'public, max-age=3600',
      'access-control-allow-origin': '*',
      'cross-origin-resource-policy': 'cross-origin',
    });
    expect(body).toContain('sendBeacon');
  });
});
