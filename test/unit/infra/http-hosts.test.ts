/** For whom requests are: of every route of both services, as they are registered. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Http } from '../../../infra/http.ts';
import { ingest, ingestDocument, queryApi, queryApiDocument } from '../../support/documents.ts';

let http: Http | undefined;
afterEach(async () => {
  await http?.close();
});

const services = { ingest: [ingest, ingestDocument], 'query API': [queryApi, queryApiDocument] } as const;
const hostless = ['/healthz', '/readyz', '/metrics'];

describe.each(['ingest', 'query API'] as const)('every route of %s', name => {
  const [build, documented] = services[name];

  it('is closed to a page that has its own name resolved to loopback', async () => {
    const { routes } = await documented();
    http = await build();
    const asked = routes.flatMap(({ url, method }) => [method].flat().map(each => ({ url, method: each })));
    expect(asked.length).toBeGreaterThan(10);
    for (const { url, method } of asked) {
      const answer = await http.inject({
        method: method as 'GET',
        url: url.replaceAll(/:\w+|\*/g, 'x'),
        headers: { host: 'rebound.example:8081' },
      });
      expect([method, url, answer.statusCode === 421]).toEqual([method, url, !hostless.includes(url)]);
    }
    expect((await http.inject({ url: '/no/such/route', headers: { host: 'rebound.example' } })).statusCode).toBe(421);
  });
});

describe('a host', () => {
  const answer = async (host: string, env: Record<string, string> = {}, url = '/openapi.json') => {
    http = await ingest(env);
    return await http.inject({ url, headers: { host } });
  };
  const status = async (...args: Parameters<typeof answer>) => (await answer(...args)).statusCode;

  it('that is not known is named in the answer, with the setting', async () => {
    const { headers, statusCode, ...rest } = await answer('Rebound.example:8081');
    expect([statusCode, headers['content-type']]).toEqual([421, expect.stringContaining('application/problem+json')]);
    expect(rest.json()).toMatchObject({
      ...{ title: 'Misdirected Request', status: 421, code: 'unknown_host', field: 'host' },
      value: 'Rebound.example:8081',
      detail: expect.stringContaining('ALLOWED_HOSTS'),
    });
  });

  it.each(['localhost', 'LOCALHOST:8080', 'localhost.', '127.0.0.1', '127.0.0.1:1', '[::1]', '[::1]:9999'])(
    '%s is loopback’s',
    async host => {
      expect(await status(host)).toBe(200);
    },
  );

  it.each([
    ...[
      'evil.localhost.example',
      'localhost.example',
      'localhost:8080.example',
      'localhost@evil.example',
      '127.0.0.1.x',
    ],
    ...['a b', '10.0.0.1', '[2001:db8::1]', 'http://localhost', 'localhost:123456', '127.0.0.2:80'],
  ])('%s is not', async host => {
    expect(await status(host)).toBe(421);
  });

  it.each([
    ['clicks.example', 'clicks.example', 200],
    ['clicks.example', 'CLICKS.example:443', 200],
    ['clicks.example', 'x.clicks.example', 421],
    ['a.example, .clicks.example', 'x.y.clicks.example', 200],
    ['.clicks.example', 'clicks.example', 421],
    ['.clicks.example', 'notclicks.example', 421],
    ['.clicks.example', '.clicks.example', 421],
    ['10.0.0.1,2001:db8::1', '10.0.0.1:80', 200],
    ['10.0.0.1,2001:db8::1', '[2001:db8::1]', 200],
    ['*', 'any.example', 200],
  ])('with ALLOWED_HOSTS=%s and %s gets %i', async (allowed, host, expected) => {
    expect(await status(host, { ALLOWED_HOSTS: allowed })).toBe(expected);
  });

  it('is what the server listens on', async () => {
    expect(await status('192.0.2.8:8080', { HOST: '192.0.2.8' })).toBe(200);
    expect(await status('192.0.2.8:8080')).toBe(421);
  });

  it.each(hostless)('may be any for %s, which orchestrators ask by address', async url => {
    expect(await status('10.2.3.4:8080', {}, `${url}?from=a-probe`)).not.toBe(421);
  });

  it('is no setting with a port or a scheme in it', async () => {
    await expect(ingest({ ALLOWED_HOSTS: 'a.example:8080' })).rejects.toThrow(
      /^ALLOWED_HOSTS="a.example:8080": must be/,
    );
    await expect(ingest({ ALLOWED_HOSTS: 'https://a.example' })).rejects.toThrow(/is not one of these/);
  });
});
