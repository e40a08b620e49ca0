import { Readable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { Retryable } from '../../../infra/errors.ts';
import type { Http } from '../../../infra/http.ts';
import { registry } from '../../../infra/metrics.ts';
import { buildIngestApp, type IngestDeps } from '../../../ingest/app.ts';
import type { Click } from '../../../ingest/click.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { clicksOf } from '../../support/clicks.ts';

const now = Date.parse('2026-03-01T12:00:00Z');
let http: Http | undefined;

/** The app over a log in memory. */
async function setUp(env: Record<string, string> = {}, deps: Partial<IngestDeps> = {}) {
  const appended: Click[] = [];
  const clickLog: IngestDeps['clickLog'] = {
    append: lines => {
      appended.push(...clicksOf(lines));
      return Promise.resolve();
    },
    refusal: () => undefined,
  };
  const config = loadConfig(IngestConfig, env);
  const app = await buildIngestApp({
    config,
    clickLog,
    log: pino({ level: 'silent' }),
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
    now: () => now,
    ...deps,
  });
  http = app;
  const post = async (body: string | Buffer, headers: Record<string, string> = {}) => {
    const response = await app.inject({
      method: 'POST',
      url: '/v1/clicks',
      headers: { 'content-type': 'application/json', ...headers },
      payload: body,
    });
    return { status: response.statusCode, headers: response.headers, body: response.json() };
  };
  return { app, post, appended };
}

const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';

const ndjson = { 'content-type': 'application/x-ndjson' };

afterEach(async () => {
  await http?.close();
});

describe('the log', () => {
  it('is told whose the clicks are: the client that a trusted proxy names, of IPv6 its network', async () => {
    const clients: unknown[] = [];
    const clickLog: IngestDeps['clickLog'] = {
      append: (_lines, _trace, client) => {
        clients.push(client);
        return Promise.resolve();
      },
      refusal: () => undefined,
    };
    const { post } = await setUp({ INGEST_TRUST_PROXY: '127.0.0.1' }, { clickLog });
    for (const address of ['203.0.113.7', '2001:db8:1:2:3::9', '2001:db8:1:2::1'])
      await post('{"ad_id":"a"}', { 'x-forwarded-for': address });
    await post('{"ad_id":"a"}');
    const network = '2001:db8:1:2::/64';
    expect(clients).toEqual(['203.0.113.7', network, network, '127.0.0.1']);
  });
});

describe('while the clock of the process differs from that of the broker', () => {
  const minute = 60_000;
  const brokerNow = now + 10 * minute;
  const clickTime = {
    now: () => brokerNow,
    doubt: () => 'the clock of this process is 600 s behind that of the broker',
  };
  const clickAt = (clicked_at?: number) =>
    JSON.stringify({ ad_id: 'a', ...(clicked_at && { event_id: 'e', clicked_at }) });

  it('a click is dated and judged by the time of the broker', async () => {
    const { post, appended } = await setUp({}, { clickTime });
    expect((await post(clickAt())).status).toBe(202);
    expect((await post(clickAt(brokerNow + 4 * minute))).status).toBe(202);
    expect(appended.map(({ clickedAt, receivedAt }) => [clickedAt, receivedAt])).toEqual([
      [brokerNow, brokerNow],
      [brokerNow + 4 * minute, brokerNow],
    ]);
  });

  it.each([6 * minute, -8 * 86_400_000])(
    'a time that is %d ms ahead is not refused for good, as it otherwise is',
    async ms => {
      const { post, appended } = await setUp({}, { clickTime });
      const { status, headers, body } = await post(`[${clickAt()},${clickAt(brokerNow + ms)}]`);
      expect([status, headers['retry-after'], body.code]).toEqual([503, '1', 'unavailable']);
      expect(body.detail).toContain('600 s behind');
      expect(appended).toEqual([]);
      const certain = await setUp({}, { clickTime: { now: () => brokerNow, doubt: () => undefined } });
      expect((await certain.post(clickAt(brokerNow + ms))).status).toBe(400);
    },
  );

  it('nor is one that is refused behind so many others that it is not listed', async () => {
    const { post, appended } = await setUp({}, { clickTime });
    const others = Array.from({ length: 100 }, () => '{}');
    expect((await post(`[${[...others, clickAt(brokerNow + 6 * minute)]}]`)).status).toBe(503);
    expect(appended).toEqual([]);
  });

  it('what breaks another rule is refused', async () => {
    const { post } = await setUp({}, { clickTime });
    expect((await post('{}')).status).toBe(400);
  });
});

describe('a trace', () => {
  /** The traces that reached the log, and what was logged. */
  async function traced(headers: Record<string, string>, append?: () => Promise<void>) {
    const traces: unknown[] = [];
    const lines: Record<string, unknown>[] = [];
    const clickLog: IngestDeps['clickLog'] = {
      append: (_, trace) => {
        traces.push(trace);
        return append?.() ?? Promise.resolve();
      },
      refusal: () => undefined,
    };
    const log = pino({ level: 'debug' }, { write: line => lines.push(JSON.parse(line)) });
    const { post } = await setUp({}, { clickLog, log });
    return { answer: await post('[{"ad_id":"a"},{}]', headers), traces, lines };
  }

  it('goes with the clicks, and stands in the log line of the request', async () => {
    const { answer, traces, lines } = await traced({ traceparent, tracestate: 'rojo=1' });
    expect(traces).toEqual([{ traceId: traceparent.slice(3, 35), traceparent, tracestate: 'rojo=1' }]);
    expect(lines).toMatchObject([{ trace_id: traceparent.slice(3, 35), accepted: 1, rejected: 1 }]);
    expect(JSON.stringify([answer.headers, answer.body])).not.toContain(traceparent.slice(3, 35));
  });

  it('that is not valid is replaced for the log, and nothing goes with the clicks', async () => {
    const { traces, lines } = await traced({ traceparent: 'mine' });
    expect(traces).toEqual([undefined]);
    expect(lines[0]?.['trace_id']).toMatch(/^[0-9a-f]{32}$/);
  });

  it('leads from an answer of 500 to the reason in the log', async () => {
    const broken = () => Promise.reject(new Error('of our own making'));
    const { answer, lines } = await traced({ traceparent }, broken);
    expect(answer).toMatchObject({ status: 500, body: { code: 'internal', trace_id: traceparent.slice(3, 35) } });
    expect(JSON.stringify(answer.body)).not.toContain('of our own making');
    expect(lines).toMatchObject([{ trace_id: traceparent.slice(3, 35), err: { message: 'of our own making' } }]);
  });
});

describe('POST /v1/clicks', () => {
  it('takes one click', async () => {
    const { post, appended } = await setUp();
    expect(await post('{"ad_id":"a"}')).toMatchObject({ status: 202, body: { accepted: 1, rejected: [] } });
    expect(appended).toMatchObject([
      { adId: 'a', receivedAt: now, clickedAt: now, clickId: expect.stringMatching(/^[0-9A-Z]{26}$/) },
    ]);
  });

  it('forbids browsers to guess the type of its answers', async () => {
    const { post } = await setUp();
    expect((await post('{"ad_id":"a"}')).headers['x-content-type-options']).toBe('nosniff');
    expect((await post('no json')).headers['x-content-type-options']).toBe('nosniff');
  });

  it('judges each click of an array alone', async () => {
    const { post, appended } = await setUp();
    const answer = await post(
      JSON.stringify([{ ad_id: 'a' }, { ad_id: '?' }, 7, { ad_id: 'b', event_id: 'e' }, { ad_id: 'c' }]),
    );
    expect(answer.status).toBe(202);
    expect(answer.body.accepted).toBe(2);
    expect(answer.body.rejected).toEqual([
      { index: 1, code: 'invalid_field', message: expect.stringContaining('ad_id is "?"') },
      { index: 2, code: 'not_an_object', message: expect.any(String) },
      { index: 3, code: 'missing_field', message: expect.stringContaining('clicked_at') },
    ]);
    expect(appended.map(click => click.adId)).toEqual(['a', 'c']);
  });

  it('takes NDJSON, skips blank lines and rejects lines that are not JSON', async () => {
    const { post, appended } = await setUp();
    const answer = await post('{"ad_id":"a"}\r\n\n  \n{oops\n{"ad_id":"b"}', ndjson);
    expect(answer).toMatchObject({
      status: 202,
      body: { accepted: 2, rejected: [{ index: 1, code: 'invalid_json' }] },
    });
    expect(appended.map(click => click.adId)).toEqual(['a', 'b']);
  });

  it('rejects a line that is not UTF-8 and takes the others', async () => {
    const { post, appended } = await setUp();
    const body = Buffer.concat([
      Buffer.from('{"ad_id":"a","user_id":"'),
      Buffer.from([0xff]),
      Buffer.from('"}\n{"ad_id":"b","user_id":"é"}\n'),
    ]);
    expect(await post(body, ndjson)).toMatchObject({
      status: 202,
      body: { accepted: 1, rejected: [{ index: 0, code: 'invalid_json' }] },
    });
    expect(appended).toMatchObject([{ adId: 'b', userId: 'é' }]);
  });

  it('takes text/plain as NDJSON, as sendBeacon posts it', async () => {
    const { post } = await setUp();
    expect(await post('{"ad_id":"a"}', { 'content-type': 'text/plain;charset=UTF-8' })).toMatchObject({ status: 202 });
  });

  it('inflates gzip', async () => {
    const { post } = await setUp();
    const body = gzipSync('[{"ad_id":"a"},{"ad_id":"b"}]');
    expect(await post(body, { 'content-encoding': 'gzip' })).toMatchObject({ status: 202, body: { accepted: 2 } });
  });

  it('stops inflating at the limit', async () => {
    const { post, appended } = await setUp();
    const bomb = gzipSync(Buffer.alloc(256 << 20, ' '));
    expect(bomb.length).toBeLessThan(300_000);
    const before = process.memoryUsage();
    expect(await post(bomb, { 'content-encoding': 'gzip' })).toMatchObject({
      status: 413,
      body: { code: 'body_too_large' },
    });
    const after = process.memoryUsage();
    expect(after.arrayBuffers - before.arrayBuffers).toBeLessThan(32 << 20);
    expect(appended).toEqual([]);
  });

  it('refuses a body above the limit', async () => {
    const { post } = await setUp({ INGEST_BODY_LIMIT_BYTES: '2000' });
    expect(await post(`{"ad_id":"a"${' '.repeat(2_000)}}`)).toMatchObject({
      status: 413,
      body: { code: 'body_too_large' },
    });
  });

  it('refuses a body above the limit that does not say how long it is', async () => {
    const { app } = await setUp({ INGEST_BODY_LIMIT_BYTES: '2000' });
    const response = await app.inject({
      method: 'POST',
      url: '/v1/clicks',
      headers: { 'content-type': 'application/json' },
      payload: Readable.from([Buffer.from('{"ad_id":"a"'), Buffer.alloc(2_000, ' '), Buffer.from('}')]),
    });
    expect([response.statusCode, response.json().code]).toEqual([413, 'body_too_large']);
  });

  it('refuses more clicks than one request may hold', async () => {
    const { post, appended } = await setUp({ INGEST_MAX_ITEMS: '2' });
    const click = '{"ad_id":"a"}';
    expect(await post(`[${click},${click},${click}]`)).toMatchObject({
      status: 413,
      body: { code: 'too_many_clicks' },
    });
    expect(await post(`${click}\n${click}\n\n${click}`, ndjson)).toMatchObject({ status: 413 });
    expect(appended).toEqual([]);
    expect(await post(`${click}\n\n${click}\n`, ndjson)).toMatchObject({ status: 202 });
  });

  it.each(['br', 'deflate', 'gzip, gzip'])('refuses content-encoding %s', async encoding => {
    const { post } = await setUp();
    expect(await post('{"ad_id":"a"}', { 'content-encoding': encoding })).toMatchObject({
      status: 415,
      body: { code: 'unsupported_encoding' },
    });
  });

  it('refuses other media types', async () => {
    const { post } = await setUp();
    expect(await post('<a/>', { 'content-type': 'application/xml' })).toMatchObject({
      status: 415,
      body: { status: 415 },
    });
  });

  it.each([
    ['no JSON', '{', 'invalid_json'],
    ['an empty body', '', 'invalid_json'],
    ['an empty array', '[]', 'no_valid_click'],
    ['only bad clicks', '[{"ad_id":""}]', 'no_valid_click'],
    ['null', 'null', 'no_valid_click'],
  ])('answers %s with a problem', async (_what, body, code) => {
    const { post, appended } = await setUp();
    const answer = await post(body);
    expect(answer).toMatchObject({
      status: 400,
      body: { type: 'about:blank', title: 'Bad Request', status: 400, code },
    });
    expect(answer.headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(appended).toEqual([]);
  });

  it('says which clicks are bad when all are', async () => {
    const { post } = await setUp();
    expect((await post('[{"ad_id":""},{}]')).body.rejected).toMatchObject([{ index: 0 }, { index: 1 }]);
  });

  it.each([
    ['all are bad', '1\n'.repeat(10_000), 400, undefined, 10_000],
    ['some are bad', '{"ad_id":"a"}\n1\n'.repeat(5_000), 202, 5_000, 5_000],
  ])('tells the first rejections, and counts all, where %s', async (_what, lines, status, accepted, total) => {
    const { post } = await setUp();
    const { body, ...answer } = await post(lines, ndjson);
    expect([answer.status, body.accepted, body.rejected_total]).toEqual([status, accepted, total]);
    expect(body.rejected).toHaveLength(100);
    expect(JSON.stringify(body).length).toBeLessThan(20_000);
    const metrics = await registry.getSingleMetric('adclicks_clicks_total')?.get();
    expect(metrics?.values.find(({ labels }) => labels['outcome'] === 'rejected')?.value).toBeGreaterThanOrEqual(total);
  });

  it.each([
    ['blank lines', '\n'.repeat(4_000_000), 'application/x-ndjson', 400],
    ['brackets', `${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}`, 'application/json', 400],
    ['many bad clicks', '{}\n'.repeat(10_000).padEnd(4_000_000), 'application/x-ndjson', 400],
    ['clicks that are not plain', '{"ad_id":"é"}\n'.repeat(10_000), 'application/x-ndjson', 400],
    ['many objects', `[${'{},'.repeat(1_000_000)}{}]`, 'application/json', 413],
    ['many objects in one click', `[{"ad_id":"a","x":[${'{},'.repeat(1_000_000)}{}]}]`, 'application/json', 400],
  ])('answers others while it judges a large body: %s', async (_what, body, type, status) => {
    const { post } = await setUp();
    let isAnswered = false;
    const hostile = post(body, { 'content-type': type }).then(answer => {
      isAnswered = true;
      return answer;
    });
    let good = 0;
    for (; !isAnswered; good++) expect((await post('{"ad_id":"good"}')).status).toBe(202);
    expect((await hostile).status).toBe(status);
    expect(good).toBeGreaterThanOrEqual(4);
  });

  it('refuses gzip that inflates far more than clicks do', async () => {
    const { post } = await setUp();
    for (const text of ['\n', '[', '{},']) {
      const bomb = gzipSync(text.repeat(4_000_000 / text.length));
      expect(bomb.length).toBeLessThan(10_000);
      expect(await post(bomb, { ...ndjson, 'content-encoding': 'gzip' })).toMatchObject({
        status: 413,
        body: { code: 'inflates_too_much', detail: expect.stringContaining('100 more for each byte received') },
      });
    }
  });

  it('answers broken gzip with 400', async () => {
    const { post } = await setUp();
    const cut = gzipSync('{"ad_id":"a"}').subarray(0, 20);
    expect(await post(cut, { 'content-encoding': 'gzip' })).toMatchObject({
      status: 400,
      body: { code: 'invalid_gzip' },
    });
  });

  it('leaves prototypes alone', async () => {
    const { post, appended } = await setUp();
    await post('{"ad_id":"a","__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
    expect(appended).toHaveLength(1);
    expect('polluted' in {}).toBe(false);
  });

  it('answers 503 with Retry-After when the log does not acknowledge', async () => {
    const clickLog = { append: () => Promise.reject(new Retryable('broker away')), refusal: () => undefined };
    const { post } = await setUp({}, { clickLog });
    const answer = await post('{"ad_id":"a"}');
    expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' }, body: { code: 'unavailable' } });
    expect(answer.body.detail).toContain('broker away');
  });

  it('answers 503 without judging the body while the log refuses', async () => {
    const clickLog = { append: () => Promise.reject(new Error('not asked')), refusal: () => new Retryable('full') };
    const { post } = await setUp({}, { clickLog });
    const counted = async () =>
      /^adclicks_clicks_total\{outcome="unavailable"\} (\d+)/m.exec(await registry.metrics())?.[1];
    const before = Number(await counted());
    expect(await post('{')).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    // An alert about refused clicks asks for it.
    expect(Number(await counted())).toBe(before + 1);
  });

  it('does not answer before the log has acknowledged', async () => {
    const acknowledged = Promise.withResolvers<void>();
    const { post } = await setUp({}, { clickLog: { append: () => acknowledged.promise, refusal: () => undefined } });
    let answered = false;
    const answer = post('{"ad_id":"a"}').then(result => {
      answered = true;
      return result;
    });
    await new Promise(resolve => setTimeout(resolve, 50));
    expect(answered).toBe(false);
    acknowledged.resolve();
    expect((await answer).status).toBe(202);
  });

  it('keeps room for others’ clicks while Kafka is slow and one client sends as much as goes', async () => {
    const mib = 1 << 20;
    const acknowledged = Promise.withResolvers<void>();
    const { app } = await setUp(
      { INGEST_MAX_BUFFER_BYTES: `${4 * mib}`, INGEST_CLIENT_BUFFER_BYTES: `${mib}` },
      { clickLog: { append: () => acknowledged.promise, refusal: () => undefined } },
    );
    const answers: Promise<{ from: string; status: number; code: string | undefined }>[] = [];
    /** About 450 kB of lines. */
    const send = (from: string) => {
      const post = async () => {
        const response = await app.inject({
          ...{ method: 'POST', url: '/v1/clicks', remoteAddress: from, headers: ndjson },
          payload: '{"ad_id":"a"}\n'.repeat(3_000),
        });
        return { from, status: response.statusCode, code: response.json().code as string | undefined };
      };
      answers.push(post());
    };
    for (let i = 0; i < 12; i++) send('192.0.2.1');
    for (let i = 0; i < 20; i++) await new Promise(resolve => setImmediate(resolve));
    send('192.0.2.2');
    await Promise.race([answers.at(-1), new Promise(resolve => setTimeout(resolve, 100))]);
    acknowledged.resolve();
    const all = await Promise.all(answers);
    const of = (from: string) => all.filter(answer => answer.from === from);
    expect(of('192.0.2.2')).toEqual([{ from: '192.0.2.2', status: 202, code: undefined }]);
    const refused = of('192.0.2.1').filter(({ status }) => status !== 202);
    // Half of the buffer it had, and more than its share.
    expect(refused.length).toBeGreaterThanOrEqual(12 - 5);
    expect(of('192.0.2.1').length - refused.length).toBeGreaterThanOrEqual(3);
    expect(refused[0]).toMatchObject({ status: 429, code: 'client_busy' });
  });

  it('limits requests per address', async () => {
    const { post } = await setUp({ INGEST_RATE_LIMIT_PER_MINUTE: '2' });
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push((await post('{"ad_id":"a"}')).status);
    expect(statuses).toEqual([202, 202, 429]);
  });
});

describe('readiness', () => {
  it('is off while clicks cannot be routed because it is not known which ads are split', async () => {
    const rulesKnown = () => {
      throw new Retryable('nothing known yet');
    };
    const { app } = await setUp({}, { rulesKnown });
    const response = await app.inject('/readyz');
    expect([response.statusCode, response.json().detail]).toEqual([503, 'hot_ads: nothing known yet']);
  });

  it('is off while Kafka does not answer', async () => {
    const { app } = await setUp({}, { kafkaReady: () => Promise.reject(new Error('no broker')) });
    const response = await app.inject('/readyz');
    expect([response.statusCode, response.json().detail]).toEqual([503, 'kafka: no broker']);
    expect((await app.inject('/healthz')).statusCode).toBe(200);
  });
});

describe('other methods', () => {
  it.each([
    ['GET', '/v1/clicks', 'POST'],
    ['DELETE', '/v1/clicks', 'POST'],
    ['POST', '/healthz', 'GET, HEAD'],
  ] as const)('gets 405 with Allow: %s %s', async (method, url, allow) => {
    const { app } = await setUp();
    const response = await app.inject({ method, url });
    expect([response.statusCode, response.headers['allow'], response.json().code]).toEqual([
      405,
      allow,
      'method_not_allowed',
    ]);
  });
});

describe('/openapi.json', () => {
  it('describes the three media types and every answer', async () => {
    const { app } = await setUp();
    const { openapi, paths } = (await app.inject('/openapi.json')).json();
    const { requestBody, responses } = paths['/v1/clicks'].post;
    expect(openapi).toBe('3.1.0');
    expect(Object.keys(requestBody.content)).toEqual(['application/json', 'application/x-ndjson', 'text/plain']);
    expect(JSON.stringify(requestBody)).toContain('clicked_at');
    expect(Object.keys(responses)).toEqual([
      ...['202', '400', '401', '403', '408', '413', '415', '421', '429', '500', '503'],
    ]);
  });
});
