/**
 * The reverse proxy of infra/proxy/nginx.conf: the real nginx with that file, in front of a real ingest and a real query
 * API. Only ports, names and places of files are others. `npm test` runs it where nginx is at hand, and says so where not.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request as plainRequest } from 'node:http';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker, type TestBroker } from '../support/broker.ts';
import { certificates } from '../support/certificates.ts';
import { createTables, startTestClickHouse, type TestClickHouse } from '../support/clickhouse.ts';
import { quietPort } from '../support/quiet-port.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const file = join(import.meta.dirname, '../../infra/proxy/nginx.conf');
const host = 'clicks.example.com';
const ratePerMinute = 20;

const made = certificates();
const authority = made.make({ name: 'the authority', isAuthority: true });
const own = made.make({ name: host, by: authority, names: [host] });
const ca = readFileSync(authority.certFile, 'utf8');
const folder = mkdtempSync(join(tmpdir(), 'adclicks-nginx-'));
let broker: TestBroker;
let clickHouse: TestClickHouse;
let ingest: Service;
let queryApi: Service;
let nginx: ChildProcess;
let said = '';
let port: number;
let healthPort: number;

/** Each of these is in the file, and is something else here. */
function changed(text: string, changes: Readonly<Record<string, string>>): string {
  return Object.entries(changes).reduce((now, [from, to]) => {
    expect(now, from).toContain(from);
    return now.replaceAll(from, to);
  }, text);
}

beforeAll(async () => {
  broker = await startTestBroker();
  clickHouse = await startTestClickHouse();
  const [ingestOps, queryOps] = [await quietPort(), await quietPort()];
  const env = {
    ...{ KAFKA_BROKERS: broker.brokers, ...clickHouse.env, ALLOWED_HOSTS: host },
    ...{ INGEST_TRUST_PROXY: '127.0.0.1', QUERY_API_TRUST_PROXY: '127.0.0.1' },
    ...{ INGEST_OPS_PORT: `${ingestOps}`, QUERY_API_OPS_PORT: `${queryOps}` },
    INGEST_RATE_LIMIT_PER_MINUTE: `${ratePerMinute}`,
  };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'test', createLog('test', 'error'));
  await ensureTopics(kafka, names(''), 4);
  await createTables(env);
  ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
  queryApi = await startService('query-api/main.ts', 'QUERY_API_PORT', env);
  for (const ops of [ingestOps, queryOps])
    await eventually('it is ready', async () => {
      return (await fetch(`http://127.0.0.1:${ops}/readyz`).catch(() => undefined))?.status === 200;
    });
  [port, healthPort] = [await quietPort(), await quietPort()];
  mkdirSync(join(folder, 'temp'));
  const config = changed(readFileSync(file, 'utf8'), {
    '/etc/adclicks/tls/cert.pem': own.certFile,
    '/etc/adclicks/tls/key.pem': own.keyFile,
    'listen 443': `listen 127.0.0.1:${port}`,
    '127.0.0.1:8079': `127.0.0.1:${healthPort}`,
    '127.0.0.1:8080': new URL(ingest.url).host,
    '127.0.0.1:8081': new URL(queryApi.url).host,
    '127.0.0.1:9080': `127.0.0.1:${ingestOps}`,
    '127.0.0.1:9081': `127.0.0.1:${queryOps}`,
    '/var/log/nginx': folder,
    '/run/nginx.pid': `${folder}/pid`,
    // Debian's places of files that are never written, which need the rights of root all the same.
    'server_tokens off;': ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
      .map(kind => `${kind}_temp_path ${folder}/temp/${kind};`)
      .join('\n'),
  });
  writeFileSync(join(folder, 'nginx.conf'), config);
  const args = ['-c', join(folder, 'nginx.conf'), '-e', join(folder, 'error.log'), '-p', folder, '-g', 'daemon off;'];
  nginx = spawn('nginx', args, { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [nginx.stdout, nginx.stderr]) stream?.on('data', chunk => (said += String(chunk)));
  await eventually('nginx answers', async () => {
    expect(nginx.exitCode, said).toBeNull();
    return (await ask('GET', '/docs/').catch(() => undefined))?.status === 200;
  });
});
afterAll(async () => {
  if (nginx?.exitCode === null) {
    const ended = new Promise(resolve => nginx.once('exit', resolve));
    nginx.kill('SIGTERM');
    await ended;
  }
  for (const each of [ingest, queryApi, clickHouse, broker]) await each?.[Symbol.asyncDispose]();
  for (const each of [made.folder, folder]) rmSync(each, { recursive: true });
});

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly headers: NodeJS.Dict<string | string[]>;
}

interface More {
  readonly headers?: Record<string, string>;
  readonly body?: string;
  /** The address of the client. */
  readonly from?: string;
}

async function ask(
  method: string,
  path: string,
  { headers = {}, body, from = '127.0.0.9' }: More = {},
): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>();
  const to = { host: '127.0.0.1', port, servername: host, ca, agent: false, localAddress: from } as const;
  const asking = request({ ...to, method, path, headers: { host, ...headers } }, response => {
    let text = '';
    response.on('data', chunk => (text += String(chunk)));
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text, headers: response.headers }));
  });
  asking.on('error', reject).end(body);
  return await promise;
}

const post = (from: string, headers: Record<string, string> = {}) =>
  ask('POST', '/v1/clicks', {
    from,
    headers: { 'content-type': 'application/json', ...headers },
    body: '{"ad_id":"a"}',
  });

/** Sends bytes as they are, and resolves to all that comes back until the connection ends. */
async function raw(bytes: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const socket: TLSSocket = connect({ host: '127.0.0.1', port, servername: host, ca }, () => socket.write(bytes));
  let received = '';
  socket.on('data', chunk => (received += String(chunk))).on('error', reject);
  socket.on('close', () => resolve(received)).setTimeout(20_000, () => socket.destroy());
  return await promise;
}

describe('the reverse proxy', () => {
  it('passes on what is for everybody, over TLS, and tells browsers once to come back so', async () => {
    const { status, headers } = await post('127.0.0.2');
    expect(status).toBe(202);
    expect(headers['strict-transport-security']).toBe('max-age=31536000');
    const status_ = await ask('GET', '/v1/status');
    expect(status_.status).toBe(200);
    expect(status_.headers['strict-transport-security']).toBe('max-age=31536000');
    for (const path of ['/', '/dashboard/main.js', '/docs/']) expect((await ask('GET', path)).status).toBe(200);
    expect((await ask('GET', '/c/ad-1')).text).toContain('"code"');
  });

  it.each([
    ...[
      '/healthz',
      '/readyz',
      '/metrics',
      '/openapi.json',
      '/other',
      '/v1/../metrics',
      '//metrics',
      '/v1/%2e%2e/metrics',
    ],
  ])('does not pass on %s', async path => {
    const { status, text } = await ask('GET', path);
    expect({ path, status }).toEqual({ path, status: 404 });
    expect(text).not.toMatch(/adclicks_|"status"/);
  });

  it('has no certificate for another name', async () => {
    const { promise, resolve } = Promise.withResolvers<unknown>();
    connect({ host: '127.0.0.1', port, servername: 'evil.example', ca }, () => resolve('let in')).on('error', resolve);
    expect(await promise).toBeInstanceOf(Error);
  });

  it('lets no client say where it comes from: a made-up X-Forwarded-For changes nothing', async () => {
    const headersOf = (i: number) => ({
      'x-forwarded-for': `198.51.100.${i}`,
      forwarded: `for=198.51.100.${i}`,
      'x-real-ip': `198.51.100.${i}`,
    });
    const statuses: number[] = [];
    for (let i = 0; i < 2 * ratePerMinute; i++) statuses.push((await post('127.0.0.3', headersOf(i))).status);
    expect(statuses.filter(status => status === 202).length).toBeLessThan(1.5 * ratePerMinute);
    expect(statuses).toContain(429);
    // Another client is not meant by it, whatever it says.
    expect((await post('127.0.0.4', { 'x-forwarded-for': '127.0.0.3' })).status).toBe(202);
  });

  it('refuses headers that are too large, and bodies', async () => {
    const large = await ask('GET', '/v1/status', { headers: { 'x-large': 'a'.repeat(8_000) } });
    expect([400, 431, 494]).toContain(large.status);
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, i) => [`x-${i}`, 'a'.repeat(1_000)]));
    expect([400, 431, 494]).toContain((await ask('GET', '/v1/status', { headers: many })).status);
    const headers = { 'content-type': 'application/json' };
    const body = JSON.stringify({ label: 'a'.repeat(70_000) });
    expect((await ask('POST', '/v1/keys', { headers, body })).status).toBe(413);
  });

  it.each([
    ['two lengths', 'content-length: 5\r\ncontent-length: 6\r\n\r\nhello!'],
    [
      'a length and chunks',
      'content-length: 4\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\n\r\n',
    ],
    ['another encoding', 'transfer-encoding: xchunked\r\n\r\n0\r\n\r\n'],
    ['an encoding that is folded', 'transfer-encoding:\r\n chunked\r\n\r\n0\r\n\r\n'],
  ])('passes on no request with %s', async (_, rest) => {
    const received = await raw(
      `POST /v1/clicks HTTP/1.1\r\nhost: ${host}\r\ncontent-type: application/json\r\n${rest}`,
    );
    expect(received).toMatch(/^HTTP\/1\.1 (400|411|501) /);
    expect(received.match(/HTTP\/1\.1 /g)).toHaveLength(1);
  });

  it('passes on each event of the live feed before there is a buffer full of them', async () => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const to = { host: '127.0.0.1', port, servername: host, ca, agent: false } as const;
    const asking = request({ ...to, path: '/v1/live', headers: { host } }, response => {
      let text = '';
      response.on('data', chunk => {
        text += String(chunk);
        if (!text.includes('\ndata:')) return;
        resolve(text);
        asking.destroy();
      });
    });
    asking.on('error', reject).end();
    const received = await promise;
    expect(received.match(/\ndata:/g)).toHaveLength(1);
    // The smallest buffer of nginx.
    expect(received.length).toBeLessThan(4_096);
  });

  it('says to who balances load whether the services are ready, and logs no query', async () => {
    const ready = async (name: string) => {
      const { promise, resolve, reject } = Promise.withResolvers<number | undefined>();
      plainRequest({ host: '127.0.0.1', port: healthPort, path: `/${name}` }, response => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
      return await promise;
    };
    expect([await ready('ingest'), await ready('query-api'), await ready('metrics')]).toEqual([200, 200, 404]);
    await ask('GET', '/v1/ads/popular_ads?user_id=user-4711');
    // It writes its log when the answer has been sent.
    const log = await eventually('it is logged', () => {
      const written = readFileSync(join(folder, 'access.log'), 'utf8');
      return written.includes('"GET /v1/ads/popular_ads" ') && written;
    });
    expect(log).not.toContain('user-4711');
  });

  it('goes on when one ingest is away and back, and sends no post twice', async () => {
    const { url } = ingest;
    await ingest.kill();
    expect((await post('127.0.0.5')).status).toBe(502);
    const env = {
      ...{ KAFKA_BROKERS: broker.brokers, ALLOWED_HOSTS: host, INGEST_TRUST_PROXY: '127.0.0.1' },
      INGEST_PORT: new URL(url).port,
    };
    ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
    await eventually('it is there again', async () => (await post('127.0.0.5')).status === 202);
  });
});
