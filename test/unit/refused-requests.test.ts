/** That the audit log has every request that got 403 although its key or session is valid, wherever the key stands. */
import { afterEach, describe, expect, it } from 'vitest';
import type { Http } from '../../infra/http.ts';
import { mintKeyText } from '../../infra/keys/key-text.ts';
import { mintSession } from '../../infra/keys/session-text.ts';
import { keysInMemory } from '../support/api-keys.ts';
import { auditInMemory } from '../support/audit-in-memory.ts';
import { ingest, queryApi } from '../support/documents.ts';

const keys = keysInMemory();
const collector = keys.add({ scopes: ['ingest'], label: 'the collector' });
const reader = keys.add({ scopes: ['read'], label: 'the reader' });
const idOf = (key: string) => key.slice(9, 25);
const sessionOf = (text: string, keyId = idOf(text)) => mintSession(text, { keyId, until: Date.now() + 60_000 });
let http: Http | undefined;
afterEach(() => http?.close());

describe('a key of a program in the address of a beacon or pixel', () => {
  it.each([
    ['POST', '/b', collector, {}],
    ['OPTIONS', '/b', collector, { 'access-control-request-method': 'POST' }],
    ['GET', '/p/ad-1.gif', reader, {}],
  ] as const)('is in the audit log, without its text: %s %s', async (method, url, key, more) => {
    const audit = auditInMemory();
    http = await ingest({ API_KEYS: 'required' }, { keys, audit: audit.trail });
    const headers = { origin: 'https://shop.example', ...more };
    const answer = await http.inject({ method, url: `${url}?k=${key}`, headers, remoteAddress: '198.51.100.7' });
    expect(answer.statusCode).toBe(403);
    await audit.trail[Symbol.asyncDispose]();
    const route = url.replace('ad-1', ':ad_id');
    expect(audit.written).toMatchObject([
      { kind: 'refused', action: `${method} ${route}`, by: idOf(key), step: 0 },
      { by: idOf(key), status: 403, step: 1 },
    ]);
    expect(audit.text()).not.toContain(key.slice(26));
    const unknown = await http.inject({ method, url: `${url}?k=${mintKeyText().text}`, headers });
    expect({ status: unknown.statusCode, records: audit.written.length }).toEqual({ status: 401, records: 2 });
  });
});

type Asked = readonly ['GET' | 'POST' | 'DELETE', string, { readonly api_key: string } | undefined];

describe('a session that a page of another site has had sent', () => {
  const otherSite = { host: 'localhost', 'sec-fetch-site': 'same-site' };
  const asked = [
    ['GET', '/v1/status', undefined],
    ['DELETE', '/v1/session', undefined],
    ['POST', '/v1/session', { api_key: reader }],
  ] as const satisfies readonly Asked[];
  const serve = async () => {
    const audit = auditInMemory();
    http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: keys.append, audit: audit.trail });
    const send = async ([method, url, payload]: Asked, session: string) =>
      await http!.inject({
        ...{ method, url, headers: { ...otherSite, cookie: `adclicks_session=${session}` } },
        ...(payload && { payload }),
      });
    return { audit, send };
  };

  it.each(asked)('is in the audit log: %s %s', async (...request) => {
    const { audit, send } = await serve();
    const answer = await send(request, sessionOf(reader));
    expect(answer.json()).toMatchObject({ status: 403, code: 'cross_site' });
    expect(answer.headers).not.toHaveProperty('set-cookie');
    await audit.trail[Symbol.asyncDispose]();
    const [method, url] = request;
    expect(audit.written).toMatchObject([
      { kind: 'refused', action: `${method} ${url}`, by: idOf(reader), name: 'the reader', step: 0 },
      { status: 403, step: 1 },
    ]);
    expect(audit.text()).not.toContain(reader.slice(26));
  });

  it('is nobody’s while it is wrong, counts as a guess, and is not looked at after too many', async () => {
    const { audit, send } = await serve();
    const wrong = sessionOf(mintKeyText().text, idOf(reader));
    for (let i = 0; i < 60; i++) expect((await send(asked[0], wrong)).json()).toMatchObject({ code: 'cross_site' });
    expect((await send(asked[0], sessionOf(reader))).json()).toMatchObject({ code: 'cross_site' });
    expect(audit.written).toEqual([]);
    const headers = { host: 'localhost', cookie: `adclicks_session=${sessionOf(reader)}` };
    expect((await http!.inject({ method: 'GET', url: '/v1/status', headers })).statusCode).toBe(429);
  });
});
