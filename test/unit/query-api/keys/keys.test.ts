/** The routes of API keys, over a log in memory. */
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import { Retryable } from '../../../../infra/errors.ts';
import type { Http } from '../../../../infra/http.ts';
import type { KeyChange } from '../../../../infra/keys/key-record.ts';
import { parseKeyText } from '../../../../infra/keys/key-text.ts';
import { bearer, keysInMemory } from '../../../support/api-keys.ts';
import { queryApi } from '../../../support/documents.ts';

const acme = { id: 'acme', ad_id_prefixes: ['acme-'] };

let http: Http | undefined;
afterEach(async () => {
  await http?.close();
});

async function setUp() {
  const keys = keysInMemory();
  const admin = keys.add({ scopes: ['admin'], label: 'first key' });
  http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: keys.append });
  const api = http;
  const ask = async (method: 'GET' | 'POST' | 'DELETE', url: string, body?: object, key = admin) => {
    const payload = body === undefined ? {} : { payload: body };
    const answer = await api.inject({ method, url, headers: bearer(key), remoteAddress: '192.0.2.9', ...payload });
    return { status: answer.statusCode, headers: answer.headers, text: answer.body, body: answer.json() };
  };
  const statusWith = async (key: string) => (await ask('GET', '/v1/keys?limit=1', undefined, key)).status;
  return { keys, admin, ask, statusWith };
}

const forPages = {
  ...{ label: 'x', scopes: ['ingest:public'], ad_id_prefix: 'ad-' },
  origins: ['https://shop.example', 'https://*.news.example'],
};

describe('POST /v1/keys', () => {
  it('makes a public key, which looks like one, also when it is rotated, and shows for what pages it is', async () => {
    const { ask } = await setUp();
    const { status, body } = await ask('POST', '/v1/keys', forPages);
    expect(status).toBe(200);
    expect(body).toMatchObject(forPages);
    const form = new RegExp(`^adclicks_pub_${body.id}_[0-9A-Za-z]{49}$`);
    expect(body.api_key).toMatch(form);
    const rotated = await ask('POST', `/v1/keys/${body.id}/rotate`, {});
    expect(rotated.body.api_key).toMatch(form);
    expect((await ask('GET', '/v1/keys')).body.keys[0]).toMatchObject({ origins: forPages.origins });
  });

  it('makes a key of one region, also one that this process is not in, and shows the region', async () => {
    const { ask, statusWith } = await setUp();
    const { status, body } = await ask('POST', '/v1/keys', { label: 'x', scopes: ['admin'], region: 'eu' });
    expect({ status, region: body.region }).toEqual({ status: 200, region: 'eu' });
    expect(await statusWith(body.api_key)).toBe(403);
    const { keys } = (await ask('GET', '/v1/keys')).body;
    expect(keys.map(({ region }: { region: unknown }) => region)).toEqual(['eu', null]);
    const wrong = await ask('POST', '/v1/keys', { label: 'x', scopes: ['read'], region: 'EU' });
    expect(wrong).toMatchObject({ status: 400, body: { field: 'region', value: 'EU' } });
    expect(wrong.body.rule).toMatch(/^must be 1 to 32 of a-z 0-9 -/);
  });

  it('makes a key that is right at once, and shows it this once, to nobody but who asked', async () => {
    const { ask, statusWith, admin } = await setUp();
    const made = await ask('POST', '/v1/keys', { label: 'ops', scopes: ['admin'] });
    expect({ status: made.status, cache: made.headers['cache-control'] }).toEqual({ status: 200, cache: 'no-store' });
    const { api_key, ...shown } = made.body;
    expect(await statusWith(api_key)).toBe(200);
    expect(shown).toMatchObject({ label: 'ops', scopes: ['admin'], state: 'usable', ad_id_prefix: null });
    expect(shown.changes).toEqual([
      { change: 'created', at: expect.any(String), by: admin.slice(9, 25), from: '192.0.2.9' },
    ]);
    const { text } = await ask('GET', '/v1/keys');
    expect(text).toContain(shown.id);
    for (const key of [api_key, admin]) expect(text).not.toContain(key.slice(26));
    expect(text).not.toContain('sha256');
  });

  it.each([
    [{ label: '', scopes: ['read'] }, 'label', /^label is "", but must not be empty/],
    [{ label: 'a\u0007b', scopes: ['read'] }, 'label', /without control characters/],
    [{ label: 5, scopes: ['read'] }, 'label', /must be a text/],
    [{ label: 'x', scopes: 'read' }, 'scopes', /must be a list/],
    [{ label: 'x', scopes: [] }, 'scopes', /scopes is \[\], but must not be empty/],
    [
      { label: 'x', scopes: ['write'] },
      'scopes.0',
      /must be ingest, ingest:public, read, read:personal, operate or admin/,
    ],
    [{ label: 'x', scopes: ['read'], expires_at: '2020-01-01T00:00:00Z' }, 'expires_at', /must lie in the future/],
    [{ label: 'x', scopes: ['read'], expires_at: 'soon' }, 'expires_at', /must be a time/],
    [{ label: 'x', scopes: ['ingest'], ad_id_prefix: 'a b' }, 'ad_id_prefix', /must be 1 to 128 of A-Z/],
    [
      { label: 'x', scopes: ['ingest', 'read'], ad_id_prefix: 'shop-' },
      'ad_id_prefix',
      /^ad_id_prefix is "shop-", but may stand with scope ingest or ingest:public alone, and read is asked for, too: it limits only which ads are written: name a tenant to limit which are read, too$/,
    ],
    [{ label: 'x', scopes: ['admin'], ad_id_prefix: 'shop-' }, 'ad_id_prefix', /and admin is asked for/],
    [
      { label: 'x', scopes: ['read', 'operate'], tenant: acme },
      'tenant',
      /^tenant is "acme", but may stand with the scopes .* alone, and operate is asked for, too: .*the ads of all/,
    ],
    [{ label: 'x', scopes: ['admin'], tenant: acme }, 'tenant', /and admin is asked for, too: .*the ads of all/],
    [
      { label: 'x', scopes: ['read'], tenant: acme, ad_id_prefix: 'acme-' },
      'ad_id_prefix',
      /cannot be used together with tenant/,
    ],
    [{ label: 'x', scopes: ['read'], tenant: { id: 'acme', ad_id_prefixes: [] } }, 'tenant.ad_id_prefixes', /empty/],
    [{ label: 'x', scopes: ['read'], tenant: { id: 'acme' } }, 'tenant.ad_id_prefixes', /is not given, but must be/],
    [
      { label: 'x', scopes: ['read'], tenant: { id: 'acme', ad_id_prefixes: ["x'"] } },
      'tenant.ad_id_prefixes.0',
      /must be 1 to 128 of A-Z/,
    ],
    [{ label: 'x', scopes: ['read'], tenant: { id: '', ad_id_prefixes: ['x'] } }, 'tenant.id', /must/],
    [{ ...forPages, scopes: ['ingest:public', 'ingest'] }, 'scopes', /must be ingest:public alone/],
    [{ ...forPages, scopes: ['ingest'] }, 'origins', /may stand with scope ingest:public alone/],
    [{ ...forPages, origins: undefined }, 'origins', /must name 1 to 20 origins with scope ingest:public/],
    [{ ...forPages, origins: [] }, 'origins', /must not be empty/],
    [{ ...forPages, origins: Array(21).fill('https://a.example') }, 'origins', /at most 20/],
    [{ ...forPages, origins: ['https://shop.example', 'https://shop.example/'] }, 'origins', /without a path/],
    [{ ...forPages, origins: ['*'] }, 'origins', /must be origins as browsers write them/],
    [{ ...forPages, ad_id_prefix: undefined }, 'ad_id_prefix', /must be given with scope ingest:public/],
    [{ ...forPages, ad_id_prefix: 'a b' }, 'ad_id_prefix', /must be 1 to 128 of A-Z/],
  ])('refuses %j, and says why', async (body, field, detail) => {
    const { ask, keys } = await setUp();
    const answer = await ask('POST', '/v1/keys', body);
    expect(answer).toMatchObject({ status: 400, body: { field, detail: expect.stringMatching(detail) } });
    expect(keys.changes).toHaveLength(1);
  });
});

describe('a key of a tenant', () => {
  it('says whose ads it is for, in the answer and in the list', async () => {
    const { ask } = await setUp();
    const made = await ask('POST', '/v1/keys', { label: 'shop', scopes: ['ingest', 'read:personal'], tenant: acme });
    expect(made.body).toMatchObject({ tenant: acme, ad_id_prefix: null });
    expect((await ask('GET', '/v1/keys')).body.keys[0]).toMatchObject({ tenant: acme });
  });

  it.each(['ac', 'acme-', 'acme-shop-'])(
    'has no ads in common with another tenant that a key in force is for: %s',
    async prefix => {
      const { ask } = await setUp();
      const { id } = (await ask('POST', '/v1/keys', { label: 'a', scopes: ['read'], tenant: acme })).body;
      const other = { label: 'b', scopes: ['read'], tenant: { id: 'other', ad_id_prefixes: ['other-', prefix] } };
      const refused = await ask('POST', '/v1/keys', other);
      expect(refused).toMatchObject({
        status: 400,
        body: {
          field: 'tenant.ad_id_prefixes',
          detail: `tenant.ad_id_prefixes is "${prefix}", but must have no ads in common with acme-, which is for tenant acme`,
        },
      });
      const ofSame = await ask('POST', '/v1/keys', {
        label: 'c',
        scopes: ['read'],
        tenant: { ...acme, ad_id_prefixes: [prefix] },
      });
      expect(ofSame.status).toBe(200);
      for (const one of [id, ofSame.body.id]) await ask('DELETE', `/v1/keys/${one}`);
      expect((await ask('POST', '/v1/keys', other)).status).toBe(200);
    },
  );

  it('makes no other keys, and ends none', async () => {
    const { ask } = await setUp();
    const { api_key, id } = (await ask('POST', '/v1/keys', { label: 'a', scopes: ['read'], tenant: acme })).body;
    expect((await ask('POST', '/v1/keys', { label: 'b', scopes: ['read'] }, api_key)).status).toBe(403);
    expect((await ask('DELETE', `/v1/keys/${id}`, undefined, api_key)).status).toBe(403);
  });
});

describe('GET /v1/keys', () => {
  it('lists all keys in pages, the newest first, each once', async () => {
    const { keys, ask } = await setUp();
    for (let i = 0; i < 5; i++) keys.add({ scopes: ['read'], label: `k${i}` }, Date.now() + (i >> 1));
    const seen: string[] = [];
    let cursor = '';
    do {
      const { body } = await ask('GET', `/v1/keys?limit=2${cursor && `&cursor=${cursor}`}`);
      expect(body.keys.length).toBeLessThanOrEqual(2);
      seen.push(...body.keys.map(({ id }: { id: string }) => id));
      cursor = body.next_cursor ?? '';
    } while (cursor !== '');
    expect(seen).toEqual(keys.book.list().map(({ id }) => id));
    expect(new Set(seen).size).toBe(6);
  });
});

describe('POST /v1/keys/{id}/rotate', () => {
  it('gives another secret, and leaves the present one in force for as long as asked', async () => {
    const { ask, statusWith, admin } = await setUp();
    const id = admin.slice(9, 25);
    const { status, body } = await ask('POST', `/v1/keys/${id}/rotate`, { overlap_s: 60 });
    expect({ status, id: body.id }).toEqual({ status: 200, id });
    expect(body.changes.map(({ change }: { change: string }) => change)).toEqual(['created', 'rotated']);
    expect(Date.parse(body.previous_until) - Date.now()).toBeGreaterThan(50_000);
    expect([await statusWith(admin), await statusWith(body.api_key)]).toEqual([200, 200]);
    const again = await ask('POST', `/v1/keys/${id}/rotate`, { overlap_s: 60 });
    expect(again).toMatchObject({ status: 409, body: { code: 'overlap_runs' } });
    const leaked = await ask('POST', `/v1/keys/${id}/rotate`, { overlap_s: 0 });
    expect(leaked.body.previous_until).toBeNull();
    const statuses = [admin, body.api_key, leaked.body.api_key].map(statusWith);
    expect(await Promise.all(statuses)).toEqual([401, 401, 200]);
  });

  it('refuses one that has ended, and one that does not exist', async () => {
    const { ask, keys } = await setUp();
    const id = keys.add({ scopes: ['read'] }).slice(9, 25);
    await ask('DELETE', `/v1/keys/${id}`);
    expect(await ask('POST', `/v1/keys/${id}/rotate`, {})).toMatchObject({ status: 409, body: { code: 'key_ended' } });
    expect((await ask('POST', '/v1/keys/0123456789abcdef/rotate', {})).status).toBe(404);
  });
});

describe('DELETE /v1/keys/{id}', () => {
  it('ends a key at once, and says who did it; once more changes nothing', async () => {
    const { ask, keys, statusWith, admin } = await setUp();
    const other = keys.add({ scopes: ['admin'] });
    const id = other.slice(9, 25);
    const { status, body } = await ask('DELETE', `/v1/keys/${id}`);
    expect({ status, state: body.state }).toEqual({ status: 200, state: 'revoked' });
    expect(body.changes.at(-1)).toMatchObject({ change: 'revoked', by: admin.slice(9, 25), from: '192.0.2.9' });
    expect(await statusWith(other)).toBe(401);
    expect((await ask('DELETE', `/v1/keys/${id}`)).body).toEqual(body);
    expect(keys.changes.map(({ kind }) => kind)).toEqual(['created', 'created', 'revoked']);
  });
});

it('answers 503 where the log does not answer, and what was written is not read back', async () => {
  const keys = keysInMemory();
  const admin = keys.add({ scopes: ['admin'] });
  const logged: KeyChange[] = [];
  const append = async (change: KeyChange) => void logged.push(change);
  http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: append });
  const payload = { label: 'x', scopes: ['read'] };
  const answer = await http.inject({ method: 'POST', url: '/v1/keys', headers: bearer(admin), payload });
  expect({ status: answer.statusCode, written: logged.length }).toEqual({ status: 503, written: 1 });
});

it('that another process made a moment ago is read before anybody is told that there is none', async () => {
  const keys = keysInMemory();
  const admin = keys.add({ scopes: ['admin'] });
  let read = 0;
  const elsewhere: { text?: string } = {};
  const readToEnd = async () => {
    read++;
    elsewhere.text ??= keys.add({ scopes: ['read'] });
  };
  http = await queryApi({ API_KEYS: 'required' }, { keys: { ...keys, readToEnd }, appendKeyChange: keys.append });
  const revoke = async (id: string) =>
    await http!.inject({ method: 'DELETE', url: `/v1/keys/${id}`, headers: bearer(admin) });
  const none = await revoke('0123456789abcdef');
  expect([none.statusCode, none.json().code, read]).toEqual([404, 'not_found', 1]);
  const id = parseKeyText(elsewhere.text ?? '')?.keyId ?? '';
  expect([(await revoke(id)).statusCode, read]).toEqual([200, 1]);

  const away = async () => Promise.reject(new Retryable('the brokers are away'));
  await http.close();
  http = await queryApi({ API_KEYS: 'required' }, { keys: { ...keys, readToEnd: away }, appendKeyChange: keys.append });
  expect((await revoke('0123456789abcdef')).statusCode).toBe(503);
});

it('logs no key and no value of a parameter, whatever happens to a request', async () => {
  const person = 'person-4711';
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: line => void lines.push(line) });
  const keys = keysInMemory();
  const admin = keys.add({ scopes: ['admin'] });
  const fails = () => Promise.reject(new TypeError('a fault of ours'));
  http = await queryApi({ API_KEYS: 'required' }, { keys, appendKeyChange: fails, log });
  const asked = ['/v1/keys', '/v1/status', '/v1/nowhere', `/v1/keys?key=${admin}`, `/v1/clicks/${admin}`, '/%'];
  asked.push(`/v1/ads/popular_ads?user_id=${person}&count=7`, `/v1/clicks/${person}`, `/v1/keys?${person}=1`);
  for (const url of asked)
    for (const authorization of [`Bearer ${admin}`, admin, `Bearer ${admin}0`])
      for (const method of ['GET', 'POST'] as const)
        await http.inject({ method, url, headers: { authorization }, payload: { label: 'x', scopes: ['read'] } });
  expect(lines.join('')).toContain('request failed');
  expect(lines.join('')).not.toContain(admin.slice(26));
  expect(lines.filter(line => line.includes(person))).toEqual([]);
  expect(lines.join('')).toContain('"route":"/v1/ads/popular_ads","parameters":["user_id","count"');
});
