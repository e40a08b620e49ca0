/**
 * Every route of both services, asked with every kind of API key. The table says which scope each needs: a route that it
 * does not know, or knows and is not there, fails, and so does a parameter of which it does not know whether it asks for
 * one person's clicks. Routes for pages are asked with the key in the address, and all others with it in the header.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, ProcessConfig } from '../../infra/config.ts';
import { createHttp, type Http } from '../../infra/http.ts';
import { createKeyGate } from '../../infra/keys/key-gate.ts';
import { mintKeyText } from '../../infra/keys/key-text.ts';
import { type Scope, scopeNames } from '../../infra/keys/scopes.ts';
import { mintSession } from '../../infra/keys/session-text.ts';
import { bearer, type KeysInMemory, keysInMemory } from '../support/api-keys.ts';
import { ingest, queryApi } from '../support/documents.ts';
import { forTenants } from '../support/tenant-routes.ts';

type Expected = 'open' | readonly Scope[];
const read: Expected = ['read'];
const personal: Expected = ['read:personal'];
const operate: Expected = ['operate'];
const admin: Expected = ['admin'];
/** For pages: needs a public key, in every mode and from everybody, and takes none that is in the header. */
const page: Expected = ['ingest:public'];

const operations = {
  'GET /healthz': 'open',
  'GET /readyz': 'open',
  'GET /metrics': 'open',
  'GET /openapi.json': 'open',
} as const;

const table: Readonly<Record<'ingest' | 'query-api', Readonly<Record<string, Expected>>>> = {
  ingest: {
    ...operations,
    'POST /v1/clicks': ['ingest'],
    'GET /c/:ad_id': 'open',
    'GET /click.js': 'open',
    'POST /b': page,
    'OPTIONS /b': page,
    'GET /p/:ad_id.gif': page,
  },
  'query-api': {
    ...operations,
    'GET /': 'open',
    'GET /dashboard/*': 'open',
    'GET /dashboard/uplot/*': 'open',
    'GET /docs/': 'open',
    'GET /docs/json': 'open',
    'GET /docs/yaml': 'open',
    'GET /docs/static/*': 'open',
    'GET /docs/static/index.html': 'open',
    'GET /docs/static/swagger-initializer.js': 'open',
    'OPTIONS *': 'open',
    'GET /v1/ads': read,
    'GET /v1/ads/:ad_id/aggregated_count': read,
    'GET /v1/ads/:ad_id/restatements': read,
    'GET /v1/ads/:ad_id/series': read,
    'GET /v1/ads/countries': read,
    'GET /v1/ads/most_clicked': read,
    'GET /v1/ads/popular_ads': read,
    'GET /v1/ads/series': read,
    'GET /v1/audit': admin,
    'GET /v1/clicks/:event_id': personal,
    'GET /v1/exports/ad_minutes': read,
    'GET /v1/exports/clicks': personal,
    'GET /v1/filters': personal,
    'GET /v1/filters/:id': personal,
    'PUT /v1/filters/:id': operate,
    'DELETE /v1/filters/:id': ['operate', 'read:personal'],
    'GET /v1/keys': admin,
    'POST /v1/keys': admin,
    'POST /v1/keys/:id/rotate': admin,
    'PUT /v1/keys/:id/quotas': admin,
    'DELETE /v1/keys/:id': admin,
    'GET /v1/live': read,
    'GET /v1/partitions': read,
    'POST /v1/partitions': operate,
    'GET /v1/quarantine': personal,
    'GET /v1/quarantine/export': personal,
    'GET /v1/reconciliations': read,
    'POST /v1/reconciliations': operate,
    'GET /v1/reconciliations/:id': read,
    'GET /v1/replays': read,
    'POST /v1/replays': operate,
    'GET /v1/replays/:id': read,
    'DELETE /v1/replays/:id': operate,
    'GET /v1/rules': read,
    'POST /v1/rules': operate,
    'DELETE /v1/users/:user_id': ['operate', 'read:personal'],
    'GET /v1/users/:user_id/export': personal,
    'POST /v1/erasures': ['operate', 'read:personal'],
    'GET /v1/erasures/:id': operate,
    'GET /v1/session': 'open',
    'GET /v1/session/oidc': 'open',
    'GET /v1/session/oidc/callback': 'open',
    'POST /v1/session': 'open',
    'DELETE /v1/session': 'open',
    'GET /v1/status': read,
  },
};

const tenant = { id: 'acme', adIdPrefixes: ['acme-'] };

/** Of all routes that need a key. */
const parameters: Readonly<Record<string, 'personal' | 'not'>> = {
  ...{ user_id: 'personal', ip: 'personal', filter: 'personal' },
  ...Object.fromEntries(
    [
      ...[
        'action',
        'ad_id',
        'as_of',
        'at',
        'clicked_from',
        'clicked_to',
        'compare',
        'contains',
        'count',
        'country',
        'cursor',
      ],
      ...[
        'format',
        'from',
        'granularity',
        'key',
        'kind',
        'last_event_id',
        'limit',
        'order',
        'outcome',
        'prefix',
        'reason',
        'reasons',
        'strict',
        'subject',
      ],
      ...['clicks', 'timezone', 'to', 'uniques', 'window'],
      // Of pixels: event id, time.
      ...['e', 't'],
    ].map(name => [name, 'not'] as const),
  ),
};

const letIn = 299;
const inEu = { REGION: 'eu', REGION_URLS: 'us=https://clicks.us.example,eu=https://clicks.eu.example' };

interface Asked {
  readonly http: Http;
  readonly routes: readonly RouteOptions[];
}

/** Whatever is let in is answered before it does anything. */
async function build(service: keyof typeof table, env: Record<string, string>, keys: KeysInMemory): Promise<Asked> {
  const routes: RouteOptions[] = [];
  const onInstance = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook('onRoute', route => void routes.push(route));
    fastify.addHook('preParsing', async (_request, reply) => reply.code(letIn).send());
  };
  subscribe('fastify.initialization', onInstance);
  const given = { QUERY_API_CORS_ORIGIN: '*', QUERY_API_RATE_LIMIT_PER_MINUTE: '0', ...env };
  const deps = { keys, appendKeyChange: keys.append };
  const built = (service === 'ingest' ? ingest : queryApi)(given, deps);
  const http = await built.finally(() => unsubscribe('fastify.initialization', onInstance));
  await http.ready();
  return { http, routes };
}

const methodOf = ({ method }: RouteOptions) => [method].flat().find(each => each !== 'HEAD') ?? 'HEAD';
const nameOf = (route: RouteOptions) => `${methodOf(route)} ${route.url}`;
/** Of the methods that a path does not take. */
const isRefusal = ({ method }: RouteOptions) => Array.isArray(method) && method.includes('PATCH');
const pathOf = (url: string) => (url === '*' ? '/any' : url.replace(/:\w+/g, '0123456789abcdef').replace(/\*$/, 'x'));

const now = Date.now();
const keys = keysInMemory();
const all = { read: keys.add({ scopes: ['read'] }), admin: keys.add({ scopes: ['admin'] }) };
const publicKey = keys.add({ scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: ['https://shop.example'] });
const expired = keys.add({ scopes: [...scopeNames], expiresAt: now - 1 }, now - 2);
const revoked = keys.add({ scopes: [...scopeNames] });
void keys.append({ kind: 'revoked', id: revoked.slice(9, 25), at: now, by: 'somebody' });
const wrongSecret = mintKeyText(all.admin.slice(9, 25)).text;
const wrongs: Readonly<Record<string, string>> = {
  malformed: 'Bearer adclicks_what',
  'of another scheme': 'Basic YTpi',
  empty: '',
  'with a wrong checksum': `Bearer ${all.admin.slice(0, -1)}${all.admin.endsWith('A') ? 'B' : 'A'}`,
  'with a wrong secret': `Bearer ${wrongSecret}`,
  'with an unknown id': `Bearer ${mintKeyText().text}`,
  expired: `Bearer ${expired}`,
  revoked: `Bearer ${revoked}`,
};
const services = ['ingest', 'query-api'] as const;
const serving = new Map<string, Asked>();
const servers: Http[] = [];

async function server(service: keyof typeof table, env: Record<string, string>): Promise<Asked> {
  const name = `${service} ${JSON.stringify(env)}`;
  const built = serving.get(name) ?? (await build(service, env, keys));
  serving.set(name, built);
  servers.push(built.http);
  return built;
}

const alwaysNeedsKey = (expected: readonly Scope[]) => expected === page || expected.includes('admin');
let client = 0;
const isOfPages = (path: string) => /^\/(b$|p\/)/.test(path);
/** Each from another address, as a client that sends many wrong keys is answered otherwise. */
async function ask({ http }: Asked, method: string, path: string, authorization?: string) {
  const remoteAddress = `10.0.${client >> 8}.${client++ & 255}`;
  const given = authorization !== undefined;
  const inAddress = given && isOfPages(path) ? `?k=${encodeURIComponent(authorization.replace('Bearer ', ''))}` : '';
  const headers = given && !isOfPages(path) ? { authorization } : {};
  const response = await http.inject({ method: method as 'GET', url: path + inAddress, headers, remoteAddress });
  return { status: response.statusCode, headers: response.headers, body: response.body, path };
}

afterAll(async () => {
  for (const http of servers) await http.close();
});

/** A key with all scopes that exist, but for one and for admin. */
const without = new Map(
  scopeNames.map(scope => [scope, keys.add({ scopes: scopeNames.filter(each => each !== scope && each !== 'admin') })]),
);

describe.each(services)('the routes of %s, where keys are needed', service => {
  let asked: Asked;
  let routes: RouteOptions[];
  beforeAll(async () => {
    asked = await server(service, { API_KEYS: 'required' });
    // A HEAD that goes with a GET that is refused is refused, too.
    const isKnown = (route: RouteOptions) => methodOf(route) !== 'HEAD' || `GET ${route.url}` in table[service];
    routes = asked.routes.filter(route => !isRefusal(route) && isKnown(route));
  });

  it('are those of the table, each with the scope that it says', () => {
    const found = routes.filter(route => methodOf(route) !== 'HEAD').map(nameOf);
    expect(found.sort()).toEqual(Object.keys(table[service]).sort());
  });

  it('let nobody in without a key, or with one that is not in force, and say Bearer', async () => {
    const credentials = [undefined, ...Object.values(wrongs)];
    for (const route of routes) {
      const method = methodOf(route);
      const expected = table[service][`${method === 'HEAD' ? 'GET' : method} ${route.url}`];
      for (const credential of credentials) {
        const { status, headers, body, path } = await ask(asked, method, pathOf(route.url), credential);
        const what = `${method} ${path} ${credential ?? 'without a key'}`;
        if (expected === 'open') expect([401, 403], what).not.toContain(status);
        else {
          expect({ what, status }).toEqual({ what, status: 401 });
          expect(headers['www-authenticate'], what).toBe('Bearer');
          if (method !== 'HEAD') expect(JSON.parse(body)).toMatchObject({ status: 401, code: 'unauthorized' });
        }
      }
    }
  });

  it('let in who has the scopes that are needed, or admin, and name the one that lacks', async () => {
    for (const route of routes) {
      const method = methodOf(route);
      const expected = table[service][`${method === 'HEAD' ? 'GET' : method} ${route.url}`];
      if (expected === 'open' || expected === undefined) continue;
      const path = pathOf(route.url);
      const exact = bearer(expected === page ? publicKey : keys.add({ scopes: expected })).authorization;
      expect({ path, status: (await ask(asked, method, path, exact)).status }).toEqual({ path, status: letIn });
      const { status } = await ask(asked, method, path, bearer(all.admin).authorization);
      expect({ path, status }).toEqual({ path, status: expected === page ? 403 : letIn });
      for (const scope of expected) {
        const lesser = await ask(asked, method, path, bearer(without.get(scope) ?? '').authorization);
        expect({ path, status: lesser.status }).toEqual({ path, status: 403 });
        if (method !== 'HEAD') expect(JSON.parse(lesser.body)).toMatchObject({ code: 'forbidden', scope });
      }
    }
  });

  it('answer a key of a tenant as the table says, and name the tenant and the reason where they refuse', async () => {
    const scopes = ['ingest', 'read', 'read:personal'] as const;
    const ofTenant = bearer(keys.add({ scopes, tenant })).authorization;
    const readable = Object.entries(table[service]).filter(
      ([, expected]) =>
        expected !== 'open' && expected !== page && !expected.some(scope => scope === 'operate' || scope === 'admin'),
    );
    expect(readable.map(([name]) => name).filter(name => !(name in forTenants))).toEqual([]);
    for (const route of routes) {
      const method = methodOf(route);
      const name = `${method === 'HEAD' ? 'GET' : method} ${route.url}`;
      if (table[service][name] === 'open' || table[service][name] === undefined) continue;
      if (table[service][name] === page) continue;
      const { status, body } = await ask(asked, method, pathOf(route.url), ofTenant);
      const expected = forTenants[name];
      expect({ name, status }).toEqual({ name, status: expected === 'limited' ? letIn : 403 });
      if (method !== 'HEAD' && expected instanceof RegExp)
        expect(JSON.parse(body)).toMatchObject({
          code: 'not_for_tenants',
          detail: expect.stringMatching(new RegExp(`for the ads of tenant acme: .*${expected.source}`)),
        });
    }
  });

  it('refuse a stored filter to a key of a tenant, wherever one may be named', async () => {
    const ofTenant = bearer(keys.add({ scopes: ['read', 'read:personal'], tenant })).authorization;
    for (const route of routes) {
      const { querystring } = (route.schema ?? {}) as { querystring?: { properties?: Record<string, unknown> } };
      if (querystring?.properties?.['filter'] === undefined) continue;
      const path = `${pathOf(route.url)}?filter=x`;
      const { status } = await ask(asked, methodOf(route), path, ofTenant);
      expect({ path, status }).toEqual({ path, status: 403 });
    }
  });

  it('refuse a right key of another region before they look at anything else, and say where it is good', async () => {
    const here = await server(service, { API_KEYS: 'required', ...inEu });
    const addressOf = { us: 'https://clicks.us.example', ap: undefined };
    for (const route of routes) {
      const method = methodOf(route);
      const expected = table[service][`${method === 'HEAD' ? 'GET' : method} ${route.url}`];
      if (expected === 'open' || expected === undefined) continue;
      const wanted =
        expected === page
          ? { scopes: expected, adIdPrefix: 'ad-', origins: ['https://shop.example'] }
          : { scopes: expected };
      const own = keys.add({ ...wanted, region: 'eu' });
      const statuses = {
        own: (await ask(here, method, pathOf(route.url), bearer(own).authorization)).status,
        'own, where no region is': (await ask(asked, method, pathOf(route.url), bearer(own).authorization)).status,
      };
      expect({ method, url: route.url, ...statuses }).toEqual({
        ...{ method, url: route.url, own: letIn, 'own, where no region is': 403 },
      });
      for (const [region, url] of Object.entries(addressOf)) {
        const other = keys.add({ ...wanted, region });
        const { status, body } = await ask(here, method, pathOf(route.url), bearer(other).authorization);
        expect({ method, url: route.url, status }).toEqual({ method, url: route.url, status: 403 });
        if (method === 'HEAD') continue;
        const { code, detail, ...said } = JSON.parse(body);
        expect({ code, region: said.region, url: said.url }).toEqual({ code: 'wrong_region', region, url });
        expect(detail).toBe(
          `API key ${other.match(/[0-9A-Za-z]{16}(?=_)/)?.[0]} is for region ${region}, and this service is in region eu: send the request to ${url ?? `the service of region ${region}`}`,
        );
      }
    }
  });

  it('let in a public key only where pages send clicks, and there only in the address', async () => {
    for (const route of routes) {
      const method = methodOf(route);
      const expected = table[service][`${method === 'HEAD' ? 'GET' : method} ${route.url}`];
      if (expected === 'open' || expected === undefined) continue;
      const headers = bearer(publicKey);
      const path = pathOf(route.url);
      const remoteAddress = '10.1.0.1';
      const inHeader = await asked.http.inject({ method: method as 'GET', url: path, headers, remoteAddress });
      const status = inHeader.statusCode;
      expect({ method, path, status }).toEqual({ method, path, status: expected === page ? 401 : 403 });
      if (expected === page) continue;
      const inAddress = await asked.http.inject({ method: method as 'GET', url: `${path}?k=${publicKey}` });
      expect(inAddress.statusCode).toBe(401);
    }
  });

  it('need read:personal, too, where the clicks of one person are asked for', async () => {
    for (const route of routes) {
      const expected = table[service][nameOf(route)];
      if (expected === 'open' || expected === undefined) continue;
      const { querystring } = (route.schema ?? {}) as { querystring?: { properties?: Record<string, unknown> } };
      for (const name of Object.keys(querystring?.properties ?? {})) {
        expect(parameters, `parameter ${name} of ${nameOf(route)}`).toHaveProperty(name);
        if (parameters[name] !== 'personal') continue;
        const path = `${pathOf(route.url)}?${name}=x`;
        const method = methodOf(route);
        const lesser = await ask(asked, method, path, bearer(keys.add({ scopes: expected })).authorization);
        expect({ path, status: lesser.status }).toEqual({ path, status: 403 });
        if (method !== 'HEAD') expect(JSON.parse(lesser.body)).toMatchObject({ scope: 'read:personal' });
        const both = keys.add({ scopes: [...expected, 'read:personal'] });
        expect((await ask(asked, method, path, bearer(both).authorization)).status).toBe(letIn);
      }
    }
  });

  it('take the session of a browser as they take its key, and those of ingest take none', async () => {
    const until = now + 60_000;
    const cookieOf = (text: string) => ({
      cookie: `adclicks_session=${mintSession(text, { keyId: text.slice(9, 25), until })}`,
      'sec-fetch-site': 'same-origin',
    });
    const statusWith = async (route: RouteOptions, text: string) => {
      const remoteAddress = `10.1.${client >> 8}.${client++ & 255}`;
      const asking = {
        method: methodOf(route) as 'GET',
        url: pathOf(route.url),
        headers: cookieOf(text),
        remoteAddress,
      };
      return (await asked.http.inject(asking)).statusCode;
    };
    for (const route of routes) {
      const expected = table[service][`${methodOf(route) === 'HEAD' ? 'GET' : methodOf(route)} ${route.url}`];
      if (expected === 'open' || expected === undefined) continue;
      const statuses = {
        right: await statusWith(route, keys.add({ scopes: expected })),
        lesser: await statusWith(route, without.get(expected[0] ?? 'admin') ?? ''),
        revoked: await statusWith(route, revoked),
        expired: await statusWith(route, expired),
        unknown: await statusWith(route, mintKeyText().text),
        'wrong secret': await statusWith(route, wrongSecret),
        'of a region': await statusWith(route, keys.add({ scopes: expected, region: 'eu' })),
      };
      const [right, lesser] = service === 'ingest' ? [401, 401] : [letIn, 403];
      const refused = { 'of a region': lesser, revoked: 401, expired: 401, unknown: 401, 'wrong secret': 401 };
      expect({ name: nameOf(route), ...statuses }).toEqual({ name: nameOf(route), right, lesser, ...refused });
    }
  });

  it('answer 405 for other methods to everybody', async () => {
    for (const route of asked.routes.filter(isRefusal)) {
      const [method = ''] = [route.method].flat();
      const { status } = await ask(asked, method, pathOf(route.url));
      expect({ method, url: route.url, status }).toEqual({ method, url: route.url, status: 405 });
    }
  });
});

describe.each(services)('the routes of %s, on loopback', service => {
  it('need no key, but for keys themselves, and take none that is wrong', async () => {
    const asked = await server(service, { HOST: '127.0.0.1' });
    for (const [name, expected] of Object.entries(table[service])) {
      const [method = '', url = ''] = name.split(' ');
      if (expected === 'open') continue;
      const path = pathOf(url);
      const unasked = alwaysNeedsKey(expected) ? 401 : letIn;
      expect({ name, status: (await ask(asked, method, path)).status }).toEqual({ name, status: unasked });
      for (const wrong of Object.values(wrongs))
        expect({ name, wrong, status: (await ask(asked, method, path, wrong)).status }).toEqual({
          name,
          wrong,
          status: 401,
        });
      for (const scope of expected) {
        const lesser = bearer(without.get(scope) ?? '').authorization;
        expect({ name, status: (await ask(asked, method, path, lesser)).status }).toEqual({ name, status: 403 });
      }
    }
  });

  it('are not those of a process that listens beyond it, whoever asks from this machine', async () => {
    const env = { HOST: '0.0.0.0', QUERY_API_TRUST_PROXY: '127.0.0.1', INGEST_TRUST_PROXY: '127.0.0.1' };
    const { http } = await server(service, env);
    for (const [name, expected] of Object.entries(table[service])) {
      const [method = '', url = ''] = name.split(' ');
      if (expected === 'open') continue;
      for (const headers of [{}, { 'x-forwarded-for': '127.0.0.1' }]) {
        const asked = { method: method as 'GET', url: pathOf(url), headers, remoteAddress: '127.0.0.1' };
        expect({ name, status: (await http.inject(asked)).statusCode }).toEqual({ name, status: 401 });
      }
    }
  });
});

describe.each(services)('the routes of %s', service => {
  it('are open to all with API_KEYS=off, but for keys themselves', async () => {
    const asked = await server(service, { HOST: '0.0.0.0', API_KEYS: 'off' });
    for (const [name, expected] of Object.entries(table[service])) {
      const [method = '', url = ''] = name.split(' ');
      if (expected === 'open') continue;
      const status = alwaysNeedsKey(expected) ? 401 : letIn;
      for (const credential of [undefined, ...Object.values(wrongs)])
        expect({ name, status: (await ask(asked, method, pathOf(url), credential)).status }).toEqual({ name, status });
    }
  });

  it.each([
    [{ API_KEYS: 'required' }, 503],
    [{ HOST: '127.0.0.1' }, letIn],
  ])('let nobody in by a key before the keys are read: %j', async (env, unasked) => {
    const unread = { ...keys, refusal: () => 'the API keys are not read yet' };
    const asked = await build(service, env, unread);
    servers.push(asked.http);
    for (const [name, expected] of Object.entries(table[service])) {
      const [method = '', url = ''] = name.split(' ');
      if (expected === 'open') continue;
      const status = alwaysNeedsKey(expected) ? 503 : unasked;
      expect({ name, status: (await ask(asked, method, pathOf(url))).status }).toEqual({ name, status });
      const withKey = await ask(asked, method, pathOf(url), bearer(all.admin).authorization);
      expect({ name, status: withKey.status }).toEqual({ name, status: 503 });
      expect(JSON.parse(withKey.body)).toMatchObject({ code: 'not_ready' });
      expect(withKey.headers['retry-after']).toBe('1');
    }
  });
});

describe('a route that does not say which scope it needs', () => {
  const bare = async () =>
    await createHttp({
      ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024 },
      ...{ config: loadConfig(ProcessConfig, {}), servesPages: false, readiness: {} },
    });

  it('is not registered', async () => {
    const http = await bare();
    expect(() => http.get('/v1/forgotten', () => ({}))).toThrow(
      'GET /v1/forgotten: must say in its config which scope it needs, or that it is open',
    );
    await http.close();
  });

  it('is not registered if it does not say what it does with keys of tenants, unless they never have its scope', async () => {
    const http = await createHttp({
      ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024 },
      ...{ config: loadConfig(ProcessConfig, {}), servesPages: false, readiness: {} },
      keys: createKeyGate({ mode: 'required', keys }),
    });
    for (const scope of ['ingest', 'read', 'read:personal'] as const)
      expect(() => http.get(`/v1/${scope}`, { config: { scope } }, () => ({}))).toThrow(
        `GET /v1/${scope}: must say in its config what it does with keys of tenants`,
      );
    for (const scope of ['operate', 'admin'] as const) http.get(`/v1/${scope}`, { config: { scope } }, () => ({}));
    await http.close();
  });

  it('is not registered with one that a server without keys could not look at', async () => {
    const http = await bare();
    expect(() => http.get('/v1/x', { config: { scope: 'read' } }, () => ({}))).toThrow(/this server looks at none/);
    await http.close();
  });
});
