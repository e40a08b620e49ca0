/** The limits of one client of the query API, over real sockets: listeners, requests, and to which client they belong. */
import { afterEach, describe, expect, it } from 'vitest';
import { type Http, listen } from '../../../infra/http.ts';
import { closeHttp } from '../../../infra/http-drain.ts';
import { queryApi } from '../../support/documents.ts';
import { type RawConnection, rawConnection } from '../../support/raw-http.ts';
import { eventually } from '../../support/wait.ts';

const opened: RawConnection[] = [];
let http: Http | undefined;
afterEach(async () => {
  for (const connection of opened.splice(0)) connection[Symbol.dispose]();
  if (http) await closeHttp(http);
  http = undefined;
});

async function start(env: Record<string, string>): Promise<string> {
  http = await queryApi(env);
  return await listen(http, '127.0.0.1', 0);
}

function get(url: string, path: string, from: string, headers = ''): RawConnection {
  const connection = rawConnection(url, from);
  opened.push(connection);
  connection.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n${headers}\r\n`);
  return connection;
}

describe('listeners of one client', () => {
  it('are limited, others have their own limit, and one that goes makes room', async () => {
    const url = await start({ QUERY_API_LIVE_MAX_PER_CLIENT: '2', QUERY_API_LIVE_MAX_CLIENTS: '3' });
    const mine = [get(url, '/v1/live', '127.0.0.2'), get(url, '/v1/live', '127.0.0.2')];
    expect(await Promise.all(mine.map(each => each.status()))).toEqual([200, 200]);
    const third = get(url, '/v1/live', '127.0.0.2');
    expect(await third.problem()).toMatchObject({ status: 429, code: 'client_listeners' });
    expect(await get(url, '/v1/live', '127.0.0.3').status()).toBe(200);
    expect(await get(url, '/v1/live', '127.0.0.3').problem()).toMatchObject({ code: 'too_many_listeners' });
    mine[0]?.[Symbol.dispose]();
    await eventually('there is room', async () => (await get(url, '/v1/live', '127.0.0.2').status()) === 200);
  });

  it('make room for a client that has none, with an event that asks them to come back', async () => {
    const url = await start({ QUERY_API_LIVE_MAX_PER_CLIENT: '2', QUERY_API_LIVE_MAX_CLIENTS: '2' });
    const [oldest, other] = [get(url, '/v1/live', '127.0.0.2'), get(url, '/v1/live', '127.0.0.2')];
    expect(await Promise.all([oldest.status(), other.status()])).toEqual([200, 200]);
    expect(await get(url, '/v1/live', '127.0.0.3').status()).toBe(200);
    await eventually('it is told', () => oldest.received.includes('event: closing\ndata: {"reason":"room"}'));
    expect(other.received).not.toContain('closing');
    expect(await get(url, '/v1/live', '127.0.0.4').problem()).toMatchObject({ code: 'too_many_listeners' });
  });
});

describe('requests of one client', () => {
  it('are limited per minute, and no header changes the address of the client', async () => {
    const url = await start({ QUERY_API_RATE_LIMIT_PER_MINUTE: '2' });
    const ask = (from: string, i: number) => get(url, '/no/such', from, `x-forwarded-for: 192.0.2.${i}\r\n`).status();
    const statuses = [];
    for (let i = 0; i < 3; i++) statuses.push(await ask('127.0.0.2', i));
    expect([...statuses, await ask('127.0.0.3', 1)]).toEqual([404, 404, 429, 404]);
    expect(await get(url, '/metrics', '127.0.0.2').status()).toBe(200);
  });

  it('refuses a setting that trusts everybody', async () => {
    await expect(queryApi({ QUERY_API_TRUST_PROXY: 'true' })).rejects.toThrow(
      /^QUERY_API_TRUST_PROXY="true": would let/,
    );
  });
});
