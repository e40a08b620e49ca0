/**
 * What of both services goes into the audit log, by all routes that exist: a route that changes something, or reads
 * something about persons, keys or the log, and is not in the list here, fails.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { FastifyInstance, RouteOptions } from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { loadConfig, ProcessConfig } from '../../infra/config.ts';
import { createHttp, type Http } from '../../infra/http.ts';
import { auditRequests } from '../../infra/http-audit.ts';
import { createClients } from '../../infra/http-clients.ts';
import { recommendedRules } from '../../ingest/validity/rules.ts';
import { bearer, keysInMemory } from '../support/api-keys.ts';
import { type AuditInMemory, auditInMemory } from '../support/audit-in-memory.ts';
import { ingest, queryApi } from '../support/documents.ts';

const someone = { user_ids: { in: ['user-4711'] }, ips: { out: ['203.0.113.9'] }, countries: { in: ['KR'] } };
const range = { from: '2026-01-01T00:00:00Z', to: '2026-01-01T01:00:00Z' };
const inRange = `from=${range.from}&to=${range.to}`;

interface AskedRoute {
  readonly kind: 'act' | 'read';
  readonly path: string;
  readonly body?: object;
  readonly parameters: Record<string, string>;
}

const id = '0123456789abcdef';
const job = '01K00000000000000000000000';
const routes: Readonly<Record<string, AskedRoute>> = {
  'GET /v1/audit': { kind: 'read', path: '/v1/audit?limit=3', parameters: { limit: '3' } },
  'GET /v1/clicks/:event_id': { kind: 'read', path: '/v1/clicks/event-4711', parameters: { event_id: '***' } },
  'GET /v1/exports/ad_minutes': {
    kind: 'read',
    path: `/v1/exports/ad_minutes?${inRange}&ad_id=ad-1&ad_id=ad-2`,
    parameters: { ...range, ad_id: 'ad-1,ad-2' },
  },
  'GET /v1/exports/clicks': { kind: 'read', path: `/v1/exports/clicks?${inRange}`, parameters: range },
  'GET /v1/filters': { kind: 'read', path: '/v1/filters', parameters: {} },
  'GET /v1/filters/:id': { kind: 'read', path: '/v1/filters/no-bots', parameters: { id: 'no-bots' } },
  'PUT /v1/filters/:id': {
    kind: 'act',
    path: '/v1/filters/no-bots',
    body: someone,
    parameters: { id: 'no-bots', user_ids: '***', ips: '***', countries: '***' },
  },
  'DELETE /v1/filters/:id': { kind: 'act', path: '/v1/filters/no-bots', parameters: { id: 'no-bots' } },
  'DELETE /v1/users/:user_id': { kind: 'act', path: '/v1/users/user-4711', parameters: { user_id: '***' } },
  'POST /v1/erasures': {
    kind: 'act',
    path: '/v1/erasures',
    body: { user_ids: ['user-4711'] },
    parameters: { user_ids: '***' },
  },
  'GET /v1/users/:user_id/export': {
    kind: 'read',
    path: '/v1/users/user-4711/export',
    parameters: { user_id: '***' },
  },
  'GET /v1/keys': { kind: 'read', path: '/v1/keys', parameters: {} },
  'POST /v1/keys': {
    kind: 'act',
    path: '/v1/keys',
    body: { label: 'shop', scopes: ['read', 'operate'] },
    parameters: { label: 'shop', scopes: 'read,operate' },
  },
  'POST /v1/keys/:id/rotate': {
    kind: 'act',
    path: `/v1/keys/${id}/rotate`,
    body: { overlap_s: 5 },
    parameters: { id, overlap_s: '5' },
  },
  'PUT /v1/keys/:id/quotas': {
    kind: 'act',
    path: `/v1/keys/${id}/quotas`,
    body: { clicks_per_second: 7 },
    parameters: { id, clicks_per_second: '7' },
  },
  'DELETE /v1/keys/:id': { kind: 'act', path: `/v1/keys/${id}`, parameters: { id } },
  'POST /v1/partitions': {
    kind: 'act',
    path: '/v1/partitions',
    body: { partitions: 8 },
    parameters: { partitions: '8' },
  },
  'GET /v1/quarantine': {
    kind: 'read',
    path: '/v1/quarantine?reason=future',
    parameters: { reason: 'future' },
  },
  'GET /v1/quarantine/export': { kind: 'read', path: '/v1/quarantine/export', parameters: {} },
  'POST /v1/reconciliations': { kind: 'act', path: '/v1/reconciliations', body: range, parameters: range },
  'POST /v1/replays': {
    kind: 'act',
    path: '/v1/replays',
    body: { ...range, apply: true },
    parameters: { ...range, apply: 'true' },
  },
  'POST /v1/rules': {
    kind: 'act',
    path: '/v1/rules',
    body: { rules: recommendedRules, from: '2026-01-01T00:00:00Z', note: 'robots' },
    parameters: { rules: '***', from: '2026-01-01T00:00:00Z', note: 'robots' },
  },
  'DELETE /v1/replays/:id': { kind: 'act', path: `/v1/replays/${job}`, parameters: { id: job } },
};

/** Reads that are about one person because of a parameter. */
const personal: Readonly<Record<string, Record<string, string>>> = {
  '/v1/ads/ad-1/aggregated_count?user_id=user-4711': { ad_id: 'ad-1', user_id: '***' },
  '/v1/ads/ad-1/aggregated_count?ip=203.0.113.9': { ad_id: 'ad-1', ip: '***' },
  '/v1/ads/popular_ads?filter=no-bots': { filter: 'no-bots' },
};

const keys = keysInMemory();
const all = keys.add({ scopes: ['admin'], label: 'the operator' });
const reader = keys.add({ scopes: ['read'], label: 'the reader' });
const idOf = (key: string) => key.slice(9, 25);
let http: Http | undefined;
afterEach(() => http?.close());

async function serve(audit: AuditInMemory, env: Record<string, string> = { API_KEYS: 'required' }) {
  const found: RouteOptions[] = [];
  const onInstance = (message: unknown) => {
    const { fastify } = message as { fastify: FastifyInstance };
    fastify.addHook('onRoute', route => void found.push(route));
  };
  subscribe('fastify.initialization', onInstance);
  const limits = { QUERY_API_RATE_LIMIT_PER_MINUTE: '0' };
  const deps = { keys, appendKeyChange: keys.append, audit: audit.trail };
  http = await queryApi({ ...limits, ...env }, deps).finally(() => unsubscribe('fastify.initialization', onInstance));
  const asking = async (method: string, url: string, body?: object, key: string | undefined = all) => {
    const headers = key === undefined ? {} : bearer(key);
    return await http!.inject({ method: method as 'GET', url, headers, ...(body && { payload: body }) });
  };
  return { found, asking };
}

const methodOf = (name: string) => name.split(' ')[0] ?? '';

describe('the audit log', () => {
  it('has all routes that change something, and all that read about persons, keys or the log itself', async () => {
    const { found } = await serve(auditInMemory());
    const needs = ({ config }: RouteOptions) => [config?.scope ?? []].flat();
    const audited = found.filter(route => {
      const method = [route.method].flat()[0] ?? '';
      if (needs(route).includes('open') || method === 'HEAD') return false;
      return method !== 'GET' || needs(route).some(scope => scope === 'admin' || scope === 'read:personal');
    });
    const names = audited.map(({ method, url }) => `${[method].flat()[0]} ${url}`);
    expect([...names, 'GET /v1/exports/ad_minutes'].sort()).toEqual(Object.keys(routes).sort());
  });

  it('has what was refused to a tenant, whose key is valid', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    const ofTenant = keys.add({
      ...{ scopes: ['read', 'read:personal'], label: 'acme' },
      tenant: { id: 'acme', adIdPrefixes: ['acme-'] },
    });
    expect((await asking('GET', '/v1/status', undefined, ofTenant)).statusCode).toBe(403);
    expect((await asking('GET', '/v1/ads?filter=x', undefined, ofTenant)).statusCode).toBe(403);
    await audit.trail[Symbol.asyncDispose]();
    const refused = { kind: 'refused', by: idOf(ofTenant), name: 'acme' };
    expect(audit.written.filter(({ step }) => step === 0)).toMatchObject([
      { ...refused, action: 'GET /v1/status' },
      { ...refused, action: 'GET /v1/ads' },
    ]);
  });

  it('has who has signed in, by which key, and from where, and never the key itself', async () => {
    const audit = auditInMemory();
    await serve(audit);
    const signIn = (api_key: string) =>
      http!.inject({
        ...{ method: 'POST', url: '/v1/session', payload: { api_key } },
        headers: { origin: 'http://localhost', host: 'localhost', 'sec-fetch-site': 'same-origin' },
      });
    expect((await signIn(`${all}0`)).statusCode).toBe(401);
    expect((await signIn(all)).statusCode).toBe(200);
    await audit.trail[Symbol.asyncDispose]();
    const entry = {
      kind: 'sign-in',
      action: 'POST /v1/session',
      by: idOf(all),
      name: 'the operator',
      address: '127.0.0.1',
    };
    expect(audit.written).toMatchObject([
      { ...entry, status: 0, step: 0, parameters: { api_key: '***' } },
      { ...entry, status: 200, step: 1 },
    ]);
    expect(audit.text()).not.toContain('adclicks_');
  });

  it.each(Object.entries(routes))('has %s, with who asks, from where, and what is not secret', async (name, route) => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    const { statusCode } = await asking(methodOf(name), route.path, route.body);
    expect(statusCode).not.toBe(400);
    await audit.trail[Symbol.asyncDispose]();
    const who = { by: idOf(all), name: 'the operator', address: '127.0.0.1' };
    const entry = { kind: route.kind, action: name, ...who, parameters: route.parameters };
    expect(audit.written).toMatchObject([
      { ...entry, status: 0, step: 0 },
      { ...entry, status: statusCode, step: 1, id: audit.written[0]?.id },
    ]);
    expect(audit.text()).not.toMatch(/-4711|203\.0\.113\.9|adclicks_/);
  });

  it.each(Object.entries(personal))(
    'has a read that is about a person by a parameter: %s',
    async (path, parameters) => {
      const audit = auditInMemory();
      const { asking } = await serve(audit);
      await asking('GET', path);
      expect(audit.written).toMatchObject([{ kind: 'read', parameters }]);
      await asking('GET', path.split('?')[0] ?? '');
      expect(audit.written).toHaveLength(1);
    },
  );

  it('has HEAD of what it has GET of', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    await asking('HEAD', '/v1/keys');
    expect(audit.written).toMatchObject([{ kind: 'read', action: 'HEAD /v1/keys' }]);
  });

  it('has neither counts, nor what is open, nor what breaks a rule', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    for (const path of ['/v1/ads/popular_ads', '/v1/status', '/healthz', '/dashboard/', '/v1/nothing'])
      await asking('GET', path);
    expect((await asking('POST', '/v1/keys', { label: '', scopes: [] })).statusCode).toBe(400);
    expect(audit.written).toEqual([]);
  });

  it('says that nobody is known who asks without a key on loopback', async () => {
    const audit = auditInMemory();
    await serve(audit, { HOST: '127.0.0.1' });
    await http!.inject({ method: 'GET', url: '/v1/quarantine' });
    expect(audit.written).toMatchObject([{ by: 'without a key', name: '', address: '127.0.0.1' }]);
  });

  it('has no API key that somebody has put where a name belongs', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    await asking('POST', '/v1/keys', { label: `of ${reader}`, scopes: ['read'] });
    expect(audit.written[0]?.parameters['label']).toBe(`of adclicks_${idOf(reader)}_***`);
    expect(audit.text()).not.toContain(reader.slice(26));
  });
});

describe('an act', () => {
  it('happens after its record is written, and is answered after it is known how it has ended', async () => {
    const audit = auditInMemory();
    const before = keys.changes.length;
    const order: string[] = [];
    const append = async (change: Parameters<typeof keys.append>[0]) => {
      order.push(`done, with ${audit.written.length} records`);
      await keys.append(change);
    };
    http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: append, audit: audit.trail });
    const request = { method: 'POST', url: '/v1/keys', headers: bearer(all) } as const;
    const { statusCode } = await http.inject({ ...request, payload: { label: 'x', scopes: ['read'] } });
    expect(statusCode).toBe(200);
    expect(order).toEqual(['done, with 1 records']);
    expect(audit.written.map(({ status }) => status)).toEqual([0, 200]);
    expect(keys.changes).toHaveLength(before + 1);
  });

  it.each(Object.entries(routes))(
    'or read that cannot be recorded does not happen: %s',
    async (name, { path, body }) => {
      const audit = auditInMemory();
      audit.isAway = true;
      const before = keys.changes.length;
      const { asking } = await serve(audit);
      const response = await asking(methodOf(name), path, body);
      expect(response.statusCode).toBe(503);
      expect(response.json()).toMatchObject({ code: 'unrecorded' });
      expect(response.headers['retry-after']).toBe('1');
      expect(keys.changes).toHaveLength(before);
      audit.isAway = false;
      await asking(methodOf(name), path, body);
      expect(audit.written[0]).toMatchObject({ action: name, step: 0 });
    },
  );

  it('that has happened is answered, also when it cannot be recorded how it has ended', async () => {
    const audit = auditInMemory();
    const append = async (change: Parameters<typeof keys.append>[0]) => {
      audit.isAway = true;
      await keys.append(change);
    };
    http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: append, audit: audit.trail });
    const request = { method: 'POST', url: '/v1/keys', headers: bearer(all) } as const;
    const { statusCode } = await http.inject({ ...request, payload: { label: 'x', scopes: ['read'] } });
    expect(statusCode).toBe(200);
    expect(audit.written.map(({ status }) => status)).toEqual([0]);
  });
});

describe('a sign-in', () => {
  const signIn = async (audit: AuditInMemory) => {
    const clients = createClients();
    http = await createHttp({
      ...{ title: 'test', description: '', log: pino({ level: 'silent' }), bodyLimitBytes: 1_024, clients },
      ...{ config: loadConfig(ProcessConfig, {}), servesPages: false, readiness: {} },
    });
    auditRequests(http, { trail: audit.trail, clients });
    http.post('/v1/session', { config: { scope: 'open', audit: 'sign-in' } }, (request, reply) => {
      const { api_key: text } = request.body as { api_key: string };
      request.apiKey = keys.book.get(idOf(text));
      if (request.apiKey) reply.header('set-cookie', 'session=secret');
      return reply.code(request.apiKey ? 200 : 401).send({});
    });
    return async (text: string) =>
      await http!.inject({ method: 'POST', url: '/v1/session', payload: { api_key: text } });
  };

  it('is recorded with the key that it was done with, and without the key itself', async () => {
    const audit = auditInMemory();
    const asking = await signIn(audit);
    expect((await asking(all)).headers['set-cookie']).toBe('session=secret');
    expect((await asking('adclicks_0000000000000000_x')).statusCode).toBe(401);
    const entry = { kind: 'sign-in', action: 'POST /v1/session', by: idOf(all), parameters: { api_key: '***' } };
    expect(audit.written).toMatchObject([entry]);
  });

  it('that cannot be recorded does not happen: there is no cookie', async () => {
    const audit = auditInMemory();
    audit.isAway = true;
    const response = await (await signIn(audit))(all);
    expect(response.statusCode).toBe(503);
    expect(response.json()).toMatchObject({ code: 'unrecorded' });
    expect(response.headers).not.toHaveProperty('set-cookie');
  });
});

describe('an attempt with a valid key that is not enough', () => {
  it.each(Object.keys(routes).filter(name => name !== 'GET /v1/exports/ad_minutes'))(
    'is recorded as refused: %s',
    async name => {
      const audit = auditInMemory();
      const { asking } = await serve(audit);
      const { path, body } = routes[name]!;
      expect((await asking(methodOf(name), path, body, reader)).statusCode).toBe(403);
      await audit.trail[Symbol.asyncDispose]();
      const entry = { kind: 'refused', action: name, by: idOf(reader), name: 'the reader' };
      expect(audit.written).toMatchObject([entry, { ...entry, status: 403 }]);
      expect(audit.text()).not.toMatch(/-4711|203\.0\.113\.9/);
    },
  );

  it('is recorded once a minute, and answered with 403 also when it cannot be recorded', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    for (let i = 0; i < 100; i++) expect((await asking('GET', '/v1/keys', undefined, reader)).statusCode).toBe(403);
    expect(audit.written).toHaveLength(1);
    audit.isAway = true;
    expect((await asking('GET', '/v1/filters', undefined, reader)).statusCode).toBe(403);
  });

  it('is not recorded without a valid key: anybody could fill the log', async () => {
    const audit = auditInMemory();
    const { asking } = await serve(audit);
    await http!.inject({ method: 'GET', url: '/v1/keys' });
    expect((await asking('GET', '/v1/keys', undefined, `${reader.slice(0, -1)}!`)).statusCode).toBe(401);
    expect(audit.written).toEqual([]);
  });

  it.each([ingest, queryApi])(
    'is recorded with whose key it was, and nothing else of the request, if the key is of another region: %o',
    async serveIt => {
      const audit = auditInMemory();
      const elsewhere = keys.add({ scopes: ['admin'], label: 'in us', region: 'us' });
      http = await serveIt({ API_KEYS: 'required', REGION: 'eu' }, { keys, audit: audit.trail });
      const isIngest = serveIt === ingest;
      const [method, url] = isIngest
        ? ['POST', '/v1/clicks']
        : ['GET', '/v1/ads/ad-7/aggregated_count?user_id=user-4711'];
      const asked = { method: method as 'GET', url, headers: bearer(elsewhere), remoteAddress: '192.0.2.77' };
      for (let i = 0; i < 40; i++) expect((await http.inject(asked)).json()).toMatchObject({ code: 'wrong_region' });
      await audit.trail[Symbol.asyncDispose]();
      const entry = { kind: 'refused', by: idOf(elsewhere), name: 'in us', address: '', parameters: {} };
      expect(audit.written).toMatchObject([entry, { ...entry, requests: 40, status: 403 }]);
      expect(audit.text()).not.toMatch(/ad-7|-4711|192\.0\.2/);
    },
  );

  it('is recorded by ingest, too', async () => {
    const audit = auditInMemory();
    http = await ingest({ API_KEYS: 'required' }, { keys, audit: audit.trail });
    const { statusCode } = await http.inject({ method: 'POST', url: '/v1/clicks', headers: bearer(reader) });
    expect(statusCode).toBe(403);
    expect(audit.written).toMatchObject([{ kind: 'refused', action: 'POST /v1/clicks', by: idOf(reader) }]);
  });
});
