/** Quotas of API keys where clicks are posted: refused before the body, taken whole or not at all, and told in the answer. */
import { once } from 'node:events';
import { type ClientRequest, type IncomingMessage, request as openRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { listen } from '../../../infra/http.ts';
import type { OwnQuotas } from '../../../infra/quotas/quotas.ts';
import { buildIngestApp } from '../../../ingest/app.ts';
import { IngestConfig } from '../../../ingest/config.ts';
import { bearer, keysInMemory } from '../../support/api-keys.ts';

let http: Http | undefined;
const opened: ClientRequest[] = [];
afterEach(async () => {
  for (const request of opened.splice(0)) request.destroy();
  await http?.close();
});

async function setUp(quotas: OwnQuotas, env: Record<string, string> = {}) {
  const keys = keysInMemory();
  const [mine, another] = [keys.add({ scopes: ['ingest'], quotas }), keys.add({ scopes: ['ingest'] })];
  let appended = 0;
  let gate = Promise.resolve();
  const app = await buildIngestApp({
    config: loadConfig(IngestConfig, { API_KEYS: 'required', ...env }),
    clickLog: {
      append: lines => {
        appended += lines.count;
        return gate;
      },
      refusal: () => undefined,
    },
    keys,
    log: pino({ level: 'silent' }),
    kafkaReady: async () => undefined,
    rulesKnown: () => undefined,
  });
  http = app;
  const url = await listen(app, '127.0.0.1', 0);
  const { port } = app.server.address() as AddressInfo;
  const post = async (body: string, key = mine) => {
    const headers = { 'content-type': 'application/x-ndjson', ...bearer(key) };
    const response = await fetch(`${url}/v1/clicks`, { method: 'POST', headers, body });
    const answer = (await response.json()) as { accepted?: number; code?: string; detail?: string };
    return { status: response.status, headers: Object.fromEntries(response.headers), ...answer };
  };
  /** A request whose body does not come. */
  const begin = (headers: Record<string, string>) => {
    const options = { port, path: '/v1/clicks', method: 'POST', agent: false };
    const request = openRequest({
      ...options,
      headers: { 'content-type': 'application/json', ...bearer(mine), ...headers },
    });
    opened.push(request);
    request.on('error', () => undefined);
    request.flushHeaders();
    return request;
  };
  return {
    ...{ post, begin, another },
    appended: () => appended,
    hold(until: Promise<void>) {
      gate = until;
    },
  };
}

const clicks = (count: number) => '{"ad_id":"a"}\n'.repeat(count);
const small = { clicks_per_second: 1, burst_seconds: 100 };

describe('a key at its clicks per second', () => {
  it('gets 429 with when to try again and the fields of the draft, and another key does not notice', async () => {
    const { post, another } = await setUp(small);
    expect(await post(clicks(120))).toMatchObject({ status: 202, accepted: 120 });
    expect(await post(clicks(1))).toMatchObject({
      status: 429,
      code: 'key_rate_limited',
      headers: {
        'retry-after': '21',
        'ratelimit-policy': '"key-clicks";q=100;w=100;adclicks-unit="clicks"',
        ratelimit: '"key-clicks";r=0;t=21',
      },
    });
    expect(await post(clicks(1), another)).toMatchObject({ status: 202 });
  });

  it('is refused before its body has come', async () => {
    const { post, begin } = await setUp(small);
    await post(clicks(200));
    const [response] = (await once(begin({ 'content-length': '1000000' }), 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(429);
  });

  it('has every batch taken whole or refused whole, and what was refused is not in the log', async () => {
    const { post, appended } = await setUp({ clicks_per_second: 50, burst_seconds: 2 });
    let accepted = 0;
    const began = performance.now();
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => post(clicks(1 + (i % 20)))));
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 202) expect(answer.accepted).toBe(1 + (i % 20));
      else expect(answer).toMatchObject({ status: 429, code: 'key_rate_limited' });
      accepted += answer.accepted ?? 0;
    }
    expect(answers.filter(({ status }) => status === 429).length).toBeGreaterThan(5);
    expect(appended()).toBe(accepted);
    expect(accepted).toBeGreaterThanOrEqual(100);
    const seconds = (performance.now() - began) / 1_000;
    expect(accepted).toBeLessThanOrEqual(100 + 50 * seconds + 19);
  });

  it('is refused before anything is written when another batch was quicker after both were admitted', async () => {
    const { begin, appended } = await setUp(small);
    const bodies = [clicks(150), clicks(10)];
    const answers: (number | undefined)[] = [];
    // A server that asks for the body has looked at the head.
    const requests = bodies.map(body =>
      begin({
        'content-type': 'application/x-ndjson',
        'content-length': String(body.length),
        expect: '100-continue',
      }),
    );
    await Promise.all(requests.map(request => once(request, 'continue')));
    for (const [i, request] of requests.entries()) {
      const answered = once(request, 'response');
      request.end(bodies[i]);
      const [response] = (await answered) as [IncomingMessage];
      answers.push(response.statusCode);
    }
    expect([answers, appended()]).toEqual([[202, 429], 150]);
  });

  it('pays for clicks that are rejected, too', async () => {
    const { post } = await setUp(small);
    expect(await post(`${clicks(1)}${'{"ad_id":""}\n'.repeat(150)}`)).toMatchObject({ status: 202, accepted: 1 });
    expect((await post(clicks(1))).status).toBe(429);
  });

  it('is told what is left when that is little', async () => {
    const { post } = await setUp(small);
    expect((await post(clicks(10))).headers['ratelimit']).toBeUndefined();
    expect((await post(clicks(70))).headers['ratelimit']).toMatch(/^"key-clicks";r=2\d;t=1$/);
  });
});

describe('bytes in flight of a key', () => {
  it.each(['announced', 'not announced'])('are limited until their requests are answered: %s', async how => {
    const { post, begin, hold, appended } = await setUp({ bytes_in_flight: 1_000 });
    const { promise, resolve } = Promise.withResolvers<void>();
    hold(promise);
    const body = `{"ad_id":"a"}${' '.repeat(900)}`;
    const first = begin(how === 'announced' ? { 'content-length': String(body.length) } : {});
    const answered = once(first, 'response');
    first.end(body);
    while (appended() === 0) await new Promise(setImmediate);
    expect(await post(clicks(20))).toMatchObject({ status: 429, code: 'key_busy', headers: { 'retry-after': '1' } });
    resolve();
    await answered;
    hold(Promise.resolve());
    let again = await post(clicks(20));
    // The response is closed a moment after it has come.
    for (let i = 0; again.status === 429 && i < 100; i++) again = await post(clicks(20));
    expect(again.status).toBe(202);
  });

  it('are given back when the client goes away in the middle of a body', async () => {
    const { post, begin } = await setUp({ bytes_in_flight: 1_000 });
    const request = begin({ 'content-length': '100000' });
    let status = 202;
    while (status === 202) ({ status } = await post(clicks(1)));
    expect(status).toBe(429);
    request.destroy();
    while (status === 429) ({ status } = await post(clicks(1)));
    expect(status).toBe(202);
  });
});

describe('connections of a key', () => {
  it('are limited, and one that is too many is closed', async () => {
    const { begin } = await setUp({ connections: 2 });
    const [first, second] = [begin({ 'content-length': '9' }), begin({ 'content-length': '9' })];
    const refused: IncomingMessage[] = [];
    for (;;) {
      const third = begin({ 'content-length': '9' });
      const arrived = await Promise.race([
        once(third, 'response').then(([response]) => response as IncomingMessage),
        new Promise<undefined>(resolve => setTimeout(() => resolve(undefined), 200)),
      ]);
      if (arrived) refused.push(arrived);
      if (arrived) break;
    }
    expect(refused[0]).toMatchObject({ statusCode: 429, headers: { connection: 'close' } });
    expect(refused[0]?.headers['ratelimit-policy']).toBe('"key-connections";q=2;qu="concurrent-requests"');
    for (const request of [first, second]) request.destroy();
  });
});
