/** Over real sockets: clients that are slow on purpose, beside such that send in earnest. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../infra/config.ts';
import { type Http, listen } from '../../infra/http.ts';
import { closeHttp } from '../../infra/http-drain.ts';
import { registry } from '../../infra/metrics.ts';
import { buildIngestApp } from '../../ingest/app.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { postHead, type RawConnection, rawConnection } from '../support/raw-http.ts';
import { eventually } from '../support/wait.ts';

const mib = 1 << 20;
const opened: RawConnection[] = [];
let http: Http | undefined;
afterEach(async () => {
  for (const connection of opened.splice(0)) connection[Symbol.dispose]();
  if (http) await closeHttp(http);
  http = undefined;
});

async function start(env: Record<string, string> = {}): Promise<string> {
  http = await buildIngestApp({
    config: loadConfig(IngestConfig, env),
    clickLog: { append: () => Promise.resolve(), refusal: () => undefined },
    log: pino({ level: 'silent' }),
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
  });
  return await listen(http, '127.0.0.1', 0);
}

const click = '{"ad_id":"a"}\n';

/** A body of so many bytes, of which the last is not sent. */
function holding(url: string, bytes: number, from: string): RawConnection {
  const connection = rawConnection(url, from);
  opened.push(connection);
  connection.send(postHead(bytes));
  connection.send(Buffer.alloc(bytes - 1, click));
  return connection;
}

/** The status of a body of so many bytes that is sent whole. */
async function post(url: string, from: string, bytes: number = click.length): Promise<number | undefined> {
  using connection = rawConnection(url, from);
  connection.send(postHead(bytes));
  connection.send(Buffer.from(click.padEnd(bytes)));
  return await connection.status();
}

async function refused(reason: string): Promise<number> {
  const metric = await registry.getSingleMetric('adclicks_refused_requests_total')?.get();
  return metric?.values.find(({ labels }) => labels['reason'] === reason)?.value ?? Number.NaN;
}

describe('connections whose bodies lack their last byte', () => {
  it('cannot have others refused: seventeen of one client, of 4 MB each', async () => {
    const url = await start();
    const before = await refused('body_evicted');
    const slow = Array.from({ length: 17 }, () => holding(url, 4 * mib, '127.0.0.2'));
    const others = [];
    await eventually('more than one client may have is held', async () => {
      others.push(await post(url, '127.0.0.3'), await post(url, '127.0.0.3', 4 * mib));
      return (await refused('body_evicted')) - before >= 13;
    });
    for (let i = 0; i < 20; i++) others.push(await post(url, '127.0.0.3'), await post(url, '127.0.0.4', mib));
    expect(new Set(others)).toEqual(new Set([202]));
    const evicted = await slow[0]?.problem();
    expect(evicted).toMatchObject({ status: 408, title: 'Request Timeout', code: 'body_evicted' });
    expect(slow[0]?.received).toMatch(/\r\nretry-after: 1\r\n/);
    // The client itself goes on too, at the cost of what it is slow with.
    expect(await post(url, '127.0.0.2', 4 * mib)).toBe(202);
  });

  it('cannot have others refused: of many clients, who fill all there is together', async () => {
    const url = await start({ INGEST_MAX_BUFFER_BYTES: `${4 * mib}`, INGEST_CLIENT_BUFFER_BYTES: `${mib}` });
    const before = await refused('body_evicted');
    const addresses = Array.from({ length: 12 }, (_, i) => `127.0.1.${i + 1}`);
    for (const from of addresses) for (let i = 0; i < 2; i++) holding(url, 200_000, from);
    await eventually('all there is is held', async () => (await refused('body_evicted')) > before);
    // What stands still for a second makes room even for who then holds more than anybody else.
    await eventually('they are known to be slow', async () => (await post(url, '127.0.0.3', 500_000)) === 202);
    for (let i = 0; i < 20; i++) expect(await post(url, '127.0.0.3', 500_000)).toBe(202);
  });

  it('are ended when they bring nothing for five seconds, and leave nothing behind', async () => {
    const url = await start({ INGEST_CLIENT_BUFFER_BYTES: `${mib}` });
    const slow = [600_000, 1_000].map(bytes => holding(url, bytes, '127.0.0.2'));
    // A byte now and then does not help.
    const trickling = rawConnection(url, '127.0.0.2');
    opened.push(trickling);
    trickling.send(postHead(100_000));
    const timer = setInterval(() => trickling.send(' '), 500);
    const late = holding(url, 100_000, '127.0.0.2');
    const problems = await Promise.all([...slow, trickling].map(each => each.problem()));
    clearInterval(timer);
    expect(problems.map(({ status, code }) => [status, code])).toEqual(Array(3).fill([408, 'body_too_slow']));
    expect(problems[0]?.['detail']).toContain('INGEST_MIN_BODY_BYTES_PER_SECOND');
    await Promise.all(slow.map(each => each.ended()));
    expect([await late.status(), (await late.problem())['code']]).toEqual([408, 'body_too_slow']);
    // All of its share is free again.
    for (let i = 0; i < 5; i++) expect(await post(url, '127.0.0.2', 1_000_000)).toBe(202);
  });
});

describe('the rate limit', () => {
  it('weighs clicks: a post of many counts as many, rejected ones too; and nobody else pays', async () => {
    const url = await start({ INGEST_RATE_LIMIT_PER_MINUTE: '1000' });
    const send = async (from: string, body: string) => {
      const connection = rawConnection(url, from);
      opened.push(connection);
      connection.send(postHead(body.length) + body);
      return { status: await connection.status(), connection };
    };
    expect((await send('127.0.0.2', '{"ad_id":"a"}\n{}\n'.repeat(600))).status).toBe(202);
    const { status, connection } = await send('127.0.0.2', click);
    expect([status, (await connection.problem())['code']]).toEqual([429, 'rate_limited']);
    expect(Number(/retry-after: (\d+)/.exec(connection.received)?.[1])).toBeGreaterThanOrEqual(11);
    expect((await send('127.0.0.3', click)).status).toBe(202);
    // Little ones, as many as there may be clicks.
    const statuses = [];
    for (let i = 0; i < 999; i++) statuses.push(await post(url, '127.0.0.3'));
    expect(new Set(statuses)).toEqual(new Set([202]));
  });

  it('counts a body by its size where it holds few clicks, or none', async () => {
    const url = await start({ INGEST_RATE_LIMIT_PER_MINUTE: '1000' });
    expect(await post(url, '127.0.0.2', 2 * mib)).toBe(202);
    expect(await post(url, '127.0.0.2')).toBe(429);
  });

  it('never counts health and metrics, nor refuses them', async () => {
    const url = await start({ INGEST_RATE_LIMIT_PER_MINUTE: '3' });
    const ask = async (path: string) => (await fetch(`${url}${path}`)).status;
    for (let i = 0; i < 10; i++) expect(await ask('/healthz')).toBe(200);
    expect([await post(url, '127.0.0.1'), await ask('/no/such'), await ask('/no/such')]).toEqual([202, 404, 404]);
    expect([await post(url, '127.0.0.1'), await ask('/no/such')]).toEqual([429, 429]);
    expect(await Promise.all(['/healthz', '/readyz', '/metrics', '/openapi.json'].map(ask))).toEqual(
      Array(4).fill(200),
    );
  });

  it('is no way round it to write X-Forwarded-For, unless that comes from a trusted proxy', async () => {
    const send = async (url: string, forwardedFor: string) => {
      const headers = { 'content-type': 'application/json', 'x-forwarded-for': forwardedFor };
      return (await fetch(`${url}/v1/clicks`, { method: 'POST', headers, body: '{"ad_id":"a"}' })).status;
    };
    const untrusting = await start({ INGEST_RATE_LIMIT_PER_MINUTE: '1' });
    expect([await send(untrusting, '192.0.2.1'), await send(untrusting, '192.0.2.2')]).toEqual([202, 429]);
    if (http) await closeHttp(http);
    const trusting = await start({ INGEST_RATE_LIMIT_PER_MINUTE: '1', INGEST_TRUST_PROXY: '1' });
    expect([await send(trusting, '192.0.2.1'), await send(trusting, '192.0.2.2')]).toEqual([202, 202]);
    expect(await send(trusting, '192.0.2.77, 192.0.2.2')).toBe(429);
  });
});
