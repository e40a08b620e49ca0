/** Over real sockets: how many connections there may be, what is said to those beyond, and what is no request. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig, ProcessConfig } from '../../../infra/config.ts';
import { createHttp, type Http, type HttpOptions, listen } from '../../../infra/http.ts';
import { createClients } from '../../../infra/http-clients.ts';
import { closeHttp } from '../../../infra/http-drain.ts';
import { trustedProxies } from '../../../infra/trusted-proxies.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { type RawConnection, rawConnection } from '../../support/raw-http.ts';
import { eventually } from '../../support/wait.ts';

const opened: RawConnection[] = [];
let http: Http | undefined;
afterEach(async () => {
  for (const connection of opened.splice(0)) connection[Symbol.dispose]();
  if (http) await closeHttp(http);
  http = undefined;
});

async function start(env: Record<string, string> = {}, options: Partial<HttpOptions> = {}): Promise<string> {
  http = await createHttp({
    openPages: ['/hello'],
    ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024 },
    ...{ config: loadConfig(ProcessConfig, env), servesPages: false, readiness: {}, ...options },
  });
  http.get('/hello', () => ({ hello: true }));
  return await listen(http, '127.0.0.1', 0);
}

function connection(url: string, from?: string): RawConnection {
  const made = rawConnection(url, from);
  opened.push(made);
  return made;
}

/** Keeps its connection. */
function hello(url: string, from?: string, headers = ''): RawConnection {
  const made = connection(url, from);
  made.send(`GET /hello HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`);
  return made;
}

describe('connections', () => {
  it('of one client beyond its limit are refused with a problem; of others they are not', async () => {
    const url = await start({ MAX_CONNECTIONS_PER_CLIENT: '2' });
    const first = hello(url, '127.0.0.2');
    expect([await first.status(), await hello(url, '127.0.0.2').status()]).toEqual([200, 200]);
    const third = hello(url, '127.0.0.2');
    expect(await third.problem()).toMatchObject({
      ...{ status: 429, title: 'Too Many Requests', code: 'client_connections' },
      detail: '2 connections from 127.0.0.2 are open (MAX_CONNECTIONS_PER_CLIENT)',
    });
    expect(third.received).toMatch(/^HTTP\/1.1 429 Too Many Requests\r\n.*retry-after: 1\r\n.*connection: close\r\n/s);
    await third.ended();
    expect(await hello(url, '127.0.0.3').status()).toBe(200);
    first[Symbol.dispose]();
    await eventually('there is room again', async () => (await hello(url, '127.0.0.2').status()) === 200);
  });

  it('through a trusted proxy are not counted as one client’s', async () => {
    const clients = createClients({ proxies: trustedProxies('TRUST', '127.0.0.2') });
    const url = await start({ MAX_CONNECTIONS_PER_CLIENT: '1' }, { clients });
    const statuses = [1, 2, 3].map(i => hello(url, '127.0.0.2', `x-forwarded-for: 192.0.2.${i}\r\n`).status());
    expect(await Promise.all(statuses)).toEqual([200, 200, 200]);
  });

  it('that nobody is using make room for others when there is little', async () => {
    const url = await start({ MAX_CONNECTIONS: '10' });
    const idle = Array.from({ length: 9 }, (_, i) => hello(url, `127.0.0.${i + 2}`));
    expect(await Promise.all(idle.map(each => each.status()))).toEqual(Array(9).fill(200));
    expect(await hello(url).status()).toBe(200);
    await Promise.all(idle.map(each => each.ended()));
  });

  it('beyond all that may be open are refused with a problem, which is metered', async () => {
    const url = await start({ MAX_CONNECTIONS: '10' });
    // Each within a request, so none is idle.
    const busy = Array.from({ length: 10 }, () => connection(url));
    for (const each of busy) each.send('GET /hello HTTP/1.1\r\n');
    await eventually('all are open', async () => {
      const more = hello(url);
      return (await more.status()) === 503 && (await more.problem())['code'] === 'too_many_connections';
    });
    const [free] = busy.splice(0, 1);
    free?.[Symbol.dispose]();
    const metrics = await eventually('there is room', async () => {
      const asked = connection(url);
      asked.send('GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n');
      await asked.ended();
      return asked.received.startsWith('HTTP/1.1 200') && asked.received;
    });
    expect(metrics).toMatch(/adclicks_refused_requests_total\{reason="too_many_connections"\} [1-9]/);
  });
});

describe('what is no request', () => {
  it.each([
    ['no HTTP', 'hello\r\n\r\n', 400, 'bad_request'],
    ['headers that are too large', `GET /hello HTTP/1.1\r\nx: ${'x'.repeat(20_000)}\r\n`, 431, 'header_too_large'],
  ])('is answered with a problem: %s', async (_what, text, status, code) => {
    const asked = connection(await start());
    asked.send(text);
    expect(await asked.problem()).toMatchObject({ status, code });
    await asked.ended();
  });

  it('is refused like every other where it names no host', async () => {
    const asked = connection(await start());
    asked.send('GET /hello HTTP/1.0\r\n\r\n');
    expect(await asked.status()).toBe(421);
  });

  it('but asks for the address that it came in at is answered, whatever HOST says', async () => {
    const asked = connection(await start());
    asked.send('GET /hello HTTP/1.1\r\nhost: 127.0.0.1:80\r\n\r\n');
    expect(await asked.status()).toBe(200);
  });
});

describe('HSTS', () => {
  it('is told only where the client’s connection is TLS, as a trusted proxy says', async () => {
    const clients = createClients({ proxies: trustedProxies('TRUST', '127.0.0.2') });
    const url = await start({}, { clients, servesPages: true });
    const toldHsts = async (from: string, headers = '') => {
      const asked = hello(url, from, headers);
      expect(await asked.status()).toBe(200);
      return /strict-transport-security/i.test(asked.received);
    };
    expect(await toldHsts('127.0.0.2', 'x-forwarded-proto: https\r\n')).toBe(true);
    expect(await toldHsts('127.0.0.2')).toBe(false);
    expect(await toldHsts('127.0.0.3', 'x-forwarded-proto: https\r\n')).toBe(false);
  });
});

describe('a port for operations', () => {
  it('has health, readiness, metrics and the document, and the other port has them no more', async () => {
    const operationsPort = await quietPort();
    const url = await start({}, { operationsPort, readiness: { broker: () => Promise.reject(new Error('away')) } });
    const statuses = async (base: string) =>
      await Promise.all(
        ['/healthz', '/readyz', '/metrics', '/openapi.json', '/hello'].map(async path => {
          const { status } = await fetch(`${base}${path}`);
          return status;
        }),
      );
    const operations = `http://127.0.0.1:${operationsPort}`;
    expect(await statuses(url)).toEqual([404, 404, 404, 404, 200]);
    expect(await statuses(operations)).toEqual([200, 503, 200, 200, 404]);
    const document = (await (await fetch(`${operations}/openapi.json`)).json()) as { paths: object };
    expect(Object.keys(document.paths)).toEqual(['/hello']);
    if (http) await closeHttp(http);
    await expect(fetch(`${operations}/healthz`)).rejects.toThrow();
  });
});
