/** Sign-in by an API key: the rules of the session and of its cookie, over keys in memory. */

import { parseSetCookie } from 'cookie';
import type { LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { afterEach, describe, expect, it } from 'vitest';
import type { Http } from '../../../../infra/http.ts';
import { mintKeyText } from '../../../../infra/keys/key-text.ts';
import { rotatedKey } from '../../../../infra/keys/new-key.ts';
import { mintSession } from '../../../../infra/keys/session-text.ts';
import { bearer, keysInMemory } from '../../../support/api-keys.ts';
import { ingest, queryApi } from '../../../support/documents.ts';

const opened: Http[] = [];
afterEach(async () => {
  for (const http of opened.splice(0)) await http.close();
});

type Headers = Readonly<Record<string, string>>;

/** As a browser sends them from the dashboard over plain HTTP, and over TLS or on the same machine. */
const ownPage: Headers = { origin: 'http://localhost', host: 'localhost' };
const ownPageOverTls: Headers = { ...ownPage, 'sec-fetch-site': 'same-origin', 'x-forwarded-proto': 'https' };

async function setUp(env: Record<string, string> = {}) {
  const keys = keysInMemory();
  const now = Date.now();
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: line => void lines.push(line) });
  const build = async () => {
    const given = { API_KEYS: 'required', QUERY_API_TRUST_PROXY: '127.0.0.1', ...env };
    const http = await queryApi(given, { keys, appendKeyChange: keys.append, log });
    opened.push(http);
    return http;
  };
  const http = await build();
  const send = async (
    method: 'GET' | 'POST' | 'DELETE',
    url: string,
    headers: Headers = {},
    body?: object,
    by = http,
  ) => await by.inject({ method, url, headers, ...(body === undefined ? {} : { payload: body }) });
  const signIn = async (text: string, headers: Headers = ownPage) =>
    await send('POST', '/v1/session', headers, { api_key: text });
  const revoke = async (text: string) =>
    await keys.append({ kind: 'revoked', id: text.slice(9, 25), at: now, by: 'somebody' });
  const rotate = async (text: string, overlapMs: number) => {
    const key = keys.book.get(text.slice(9, 25));
    if (key === undefined) throw new Error('there is no such key');
    await keys.append(rotatedKey(key, overlapMs, { by: 'somebody' }, now).change);
  };
  return { keys, now, lines, build, send, signIn, revoke, rotate, http };
}

function cookieOf(answer: LightMyRequestResponse) {
  return parseSetCookie([answer.headers['set-cookie'] ?? ''].flat()[0] ?? '');
}

/** As the browser sends it back. */
function cookieHeader(answer: LightMyRequestResponse): { readonly cookie: string } {
  const { name, value } = cookieOf(answer);
  return { cookie: `other=1; ${name}=${value}` };
}

const sessionOf = (text: string, keyId = text.slice(9, 25)) => mintSession(text, { keyId, until: Date.now() + 60_000 });
const forgedSession = () => sessionOf(mintKeyText().text, '0123456789abcdef');

const isRemoved = (answer: LightMyRequestResponse) => {
  const { value, maxAge } = cookieOf(answer);
  return value === '' && maxAge === 0;
};

describe('a browser that signs in', () => {
  it('gets a cookie that scripts cannot read, that no other site can have sent, and that holds no key', async () => {
    const { keys, signIn } = await setUp({ QUERY_API_SESSION_HOURS: '3' });
    const text = keys.add({ scopes: ['read'], label: 'Ann' });
    const answer = await signIn(text);
    expect({ status: answer.statusCode, cache: answer.headers['cache-control'] }).toEqual({
      status: 200,
      cache: 'no-store',
    });
    expect(cookieOf(answer)).toMatchObject({ httpOnly: true, sameSite: 'strict', path: '/', maxAge: 3 * 3_600 });
    expect(cookieOf(answer)).not.toHaveProperty('domain');
    expect(answer.json()).toMatchObject({ key: { label: 'Ann', scopes: ['read'] }, may: ['read'] });
    const [change] = keys.changes;
    const secrets = [text.slice(26, 69), change?.kind === 'created' ? change.secret_sha256 : ''];
    for (const secret of secrets) expect(answer.body + answer.headers['set-cookie']).not.toContain(secret);
  });

  it('gets one over TLS that is sent over TLS alone, and that no other host can set', async () => {
    const { keys, signIn } = await setUp();
    const text = keys.add({ scopes: ['read'] });
    expect(cookieOf(await signIn(text, ownPageOverTls))).toMatchObject({
      name: '__Host-adclicks_session',
      secure: true,
      path: '/',
    });
    const inClear = cookieOf(await signIn(text));
    expect(inClear.name).not.toMatch(/^__/);
    expect(inClear).not.toHaveProperty('secure');
  });

  it('is let in by it as far as the key goes, in every process', async () => {
    const { keys, signIn, send, build } = await setUp();
    const [reader, admin] = [keys.add({ scopes: ['read'] }), keys.add({ scopes: ['admin'] })];
    const asReader = cookieHeader(await signIn(reader));
    const refused = await send('GET', '/v1/keys', asReader);
    expect({ status: refused.statusCode, scope: refused.json().scope }).toEqual({ status: 403, scope: 'admin' });
    const asAdmin = cookieHeader(await signIn(admin));
    expect((await send('GET', '/v1/keys', asAdmin)).statusCode).toBe(200);
    expect((await send('GET', '/v1/keys', asAdmin, undefined, await build())).statusCode).toBe(200);
    const made = await send('POST', '/v1/keys', { ...asAdmin, ...ownPage }, { label: 'x', scopes: ['read'] });
    expect(made.json().changes[0].by).toBe(admin.slice(9, 25));
  });

  it('is told who is signed in, and nobody before that and after', async () => {
    const { keys, signIn, send } = await setUp();
    const text = keys.add({ scopes: ['admin'], label: 'Ann' });
    const nobody = { keys: 'required', region: null, identity_provider: false, key: null, may: [], until: null };
    expect((await send('GET', '/v1/session')).json()).toEqual(nobody);
    const cookie = cookieHeader(await signIn(text));
    const { key, may, until } = (await send('GET', '/v1/session', cookie)).json();
    expect({ key, may: may.length }).toEqual({
      key: { id: text.slice(9, 25), label: 'Ann', scopes: ['admin'] },
      may: 5,
    });
    expect(Date.parse(until) - Date.now()).toBeGreaterThan(11 * 3_600_000);
    const out = await send('DELETE', '/v1/session', { ...cookie, ...ownPage });
    expect({ body: out.json(), removed: isRemoved(out) }).toEqual({ body: nobody, removed: true });
  });

  it('is told in which region it is, and signs in there only with a key of it', async () => {
    const { keys, signIn, send } = await setUp({ REGION: 'eu', REGION_URLS: 'us=https://clicks.us.example' });
    expect((await send('GET', '/v1/session')).json()).toMatchObject({ region: 'eu', key: null });
    const elsewhere = await signIn(keys.add({ scopes: ['read'], region: 'us' }));
    expect(elsewhere.headers['set-cookie']).toBeUndefined();
    const said = { status: 403, code: 'wrong_region', region: 'us', url: 'https://clicks.us.example' };
    expect(elsewhere.json()).toMatchObject(said);
    expect((await signIn(keys.add({ scopes: ['read'], region: 'eu' }))).statusCode).toBe(200);
  });

  it('is who has the key that a proxy adds to its requests', async () => {
    const { keys, send } = await setUp();
    const added = bearer(keys.add({ scopes: ['read'], label: 'from the proxy' }));
    const answer = await send('GET', '/v1/session', added);
    expect(answer.json()).toMatchObject({ key: { label: 'from the proxy' }, may: ['read'], until: null });
  });

  it('may do what everybody may where no key is needed, and with a key what the key may', async () => {
    const { keys, signIn, send } = await setUp({ API_KEYS: 'auto' });
    expect((await send('GET', '/v1/session')).json().may).toEqual(['ingest', 'read', 'read:personal', 'operate']);
    const cookie = cookieHeader(await signIn(keys.add({ scopes: ['read'] })));
    expect((await send('GET', '/v1/session', cookie)).json().may).toEqual(['read']);
    expect((await send('POST', '/v1/replays', { ...cookie, ...ownPage }, {})).statusCode).toBe(403);
  });

  it.each([
    [{ scopes: ['ingest', 'operate'] }, 403, 'forbidden', /does not have scope read, which the dashboard needs$/],
    [{ scopes: ['read'], expiresAt: Date.now() + 1 }, 401, 'unauthorized', /has expired/],
  ])('is refused with a key that is of no use there: %j', async (wanted, status, code, detail) => {
    const { keys, signIn } = await setUp();
    const text = keys.add(wanted, Date.now() - 1);
    await new Promise(resolve => setTimeout(resolve, 5));
    const answer = await signIn(text);
    expect(answer.json()).toMatchObject({ status, code, detail: expect.stringMatching(detail) });
    expect(answer.headers).not.toHaveProperty('set-cookie');
  });

  it('is told to rotate a key whose secret is of a release that knew no sessions', async () => {
    const { keys, signIn } = await setUp();
    const text = keys.add({ scopes: ['read'] });
    const [change] = keys.changes;
    if (change?.kind !== 'created') throw new Error('the key was not created');
    const { session_key, ...older } = change;
    const keysOfOlder = await setUp();
    await keysOfOlder.keys.append(older);
    expect(session_key).toBeDefined();
    expect((await keysOfOlder.signIn(text)).json()).toMatchObject({ status: 409, code: 'key_without_sessions' });
    expect((await signIn(text)).statusCode).toBe(200);
  });

  it('hears nothing of what it sent, and neither does the log', async () => {
    const { keys, send, signIn, lines } = await setUp();
    const text = keys.add({ scopes: ['read'] });
    const bodies = [{ key: text }, { api_key: [text] }, { api_key: text, more: text }, { api_key: { text } }, [text]];
    for (const body of bodies) {
      const answer = await send('POST', '/v1/session', ownPage, body);
      expect({ status: answer.statusCode, code: answer.json().code }).toEqual({
        status: 400,
        code: 'invalid_parameter',
      });
      // Long values are cut, so its beginning is looked for.
      expect(answer.body).not.toContain(text.slice(0, 12));
    }
    const wrong = mintKeyText().text;
    expect((await signIn(wrong)).body).not.toContain(wrong.slice(26));
    await signIn(text);
    expect(lines.join('\n')).not.toContain(text.slice(26, 69));
  });
});

describe('a session', () => {
  const statusOf = async ({ send }: Awaited<ReturnType<typeof setUp>>, cookie: Headers) =>
    await send('GET', '/v1/keys', cookie);

  it('ends with the revocation of its key, and its cookie is taken away', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'] });
    const cookie = cookieHeader(await all.signIn(text));
    expect((await statusOf(all, cookie)).statusCode).toBe(200);
    await all.revoke(text);
    const answer = await statusOf(all, cookie);
    expect(answer.json()).toMatchObject({ status: 401, detail: expect.stringMatching(/was revoked$/) });
    expect(answer.headers['www-authenticate']).toBe('Bearer');
    expect(isRemoved(answer)).toBe(true);
    const told = await all.send('GET', '/v1/session', cookie);
    expect({ key: told.json().key, removed: isRemoved(told) }).toEqual({ key: null, removed: true });
  });

  it('that listens to live events is cut off within a moment when its key is revoked, and others are not', async () => {
    const all = await setUp();
    const [first, second] = [all.keys.add({ scopes: ['read'] }), all.keys.add({ scopes: ['read'] })];
    const url = await all.http.listen({ host: '127.0.0.1', port: 0 });
    const listenWith = async (text: string) => {
      const stream = await fetch(`${url}/v1/live`, { headers: cookieHeader(await all.signIn(text)) });
      expect(stream.status).toBe(200);
      return {
        end: stream.text().then(
          () => 'ended',
          () => 'ended',
        ),
      };
    };
    const [cut, kept] = [await listenWith(first), await listenWith(second)];
    await all.revoke(first);
    expect(await Promise.race([cut.end, kept.end.then(() => 'the other has ended')])).toBe('ended');
    expect(await Promise.race([kept.end, Promise.resolve('listens')])).toBe('listens');
  });

  it('ends with the secret with which it was begun', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'] });
    const cookie = cookieHeader(await all.signIn(text));
    await all.rotate(text, 60_000);
    expect((await statusOf(all, cookie)).statusCode).toBe(200);
    await all.rotate(text, 0);
    expect((await statusOf(all, cookie)).statusCode).toBe(401);
  });

  it('ends when its time has run, whatever the browser does with the cookie', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'] });
    const sessionUntil = (until: number) => ({
      cookie: `adclicks_session=${mintSession(text, { keyId: text.slice(9, 25), until })}`,
    });
    expect((await statusOf(all, sessionUntil(Date.now() + 60_000))).statusCode).toBe(200);
    const answer = await statusOf(all, sessionUntil(Date.now() - 1));
    expect(answer.json()).toMatchObject({ status: 401, detail: expect.stringMatching(/is over: sign in again$/) });
  });

  it('ends with its key at the latest', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'], expiresAt: Date.now() + 90_000 });
    const { maxAge = 0 } = cookieOf(await all.signIn(text));
    expect(maxAge).toBeGreaterThan(60);
    expect(maxAge).toBeLessThanOrEqual(90);
  });

  it('cannot be made by who knows all that is stored of the key', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'] });
    const [change] = all.keys.changes;
    const stored = change?.kind === 'created' ? [change.secret_sha256, change.session_key ?? ''] : [];
    const [keyId, until] = [text.slice(9, 25), Date.now() + 60_000];
    for (const known of [...stored, mintKeyText(keyId).text]) {
      const forged = { cookie: `adclicks_session=${mintSession(known, { keyId, until })}` };
      expect((await statusOf(all, forged)).statusCode).toBe(401);
    }
    const own = mintSession(text, { keyId, until });
    const longer = own.replace(until.toString(36), (until + 1).toString(36));
    expect(longer).not.toBe(own);
    expect((await statusOf(all, { cookie: `adclicks_session=${longer}` })).statusCode).toBe(401);
  });

  it('is no API key', async () => {
    const all = await setUp();
    const { value = '' } = cookieOf(await all.signIn(all.keys.add({ scopes: ['admin'] })));
    expect((await statusOf(all, bearer(value))).statusCode).toBe(401);
  });

  it('of plain HTTP is none over TLS, where another host could have set it', async () => {
    const all = await setUp();
    const text = all.keys.add({ scopes: ['admin'] });
    const [inClear, overTls] = [await all.signIn(text), await all.signIn(text, ownPageOverTls)].map(cookieHeader);
    const tls = { 'x-forwarded-proto': 'https' };
    expect((await statusOf(all, { ...inClear, ...tls })).statusCode).toBe(401);
    expect((await statusOf(all, { ...overTls, ...tls })).statusCode).toBe(200);
  });

  it('is nothing to ingest', async () => {
    const keys = keysInMemory();
    const text = keys.add({ scopes: ['admin'] });
    const session = mintSession(text, { keyId: text.slice(9, 25), until: Date.now() + 60_000 });
    const http = await ingest({ API_KEYS: 'required' }, { keys });
    opened.push(http);
    const asked = { method: 'POST', url: '/v1/clicks', payload: { ad_id: 'ad-1' } } as const;
    for (const name of ['adclicks_session', '__Host-adclicks_session']) {
      const answer = await http.inject({ ...asked, headers: { ...ownPage, cookie: `${name}=${session}` } });
      expect(answer.statusCode).toBe(401);
    }
  });
});

describe('a request that a page has caused', () => {
  const own = { host: 'counts.example:8081' };
  const refused: readonly (readonly [string, Headers])[] = [
    ['of another site', { 'sec-fetch-site': 'cross-site' }],
    ['of another host of the domain', { 'sec-fetch-site': 'same-site' }],
    [
      'of another site, which says that it is of this one',
      { 'sec-fetch-site': 'cross-site', origin: 'http://counts.example:8081' },
    ],
    ['of another site, in a browser that says only the origin', { origin: 'https://evil.example' }],
    ['of another port', { origin: 'http://counts.example:8082' }],
    ['of a page without an origin, as in a sandbox', { origin: 'null' }],
  ];
  const ask = async (method: 'GET' | 'POST', headers: Headers) => {
    const { keys, signIn, send } = await setUp({ ALLOWED_HOSTS: 'counts.example' });
    const text = keys.add({ scopes: ['admin'] });
    const cookie = cookieHeader(await signIn(text));
    const body = method === 'POST' ? { label: 'x', scopes: ['read'] } : undefined;
    const answer = await send(method, '/v1/keys', { ...own, ...cookie, ...headers }, body);
    return { answer, made: keys.changes.length - 1, text };
  };

  it.each(refused)('%s has no session: nothing is changed, and nothing read', async (_, headers) => {
    for (const method of ['POST', 'GET'] as const) {
      const { answer, made } = await ask(method, headers);
      expect({ ...answer.json(), made }).toMatchObject({ status: 403, code: 'cross_site', made: 0 });
    }
  });

  it.each([{}, { 'sec-fetch-site': 'none' }])('unseen by anybody changes nothing, but may read: %j', async headers => {
    expect((await ask('POST', headers)).answer.json()).toMatchObject({ status: 403, code: 'cross_site' });
    expect((await ask('GET', headers)).answer.statusCode).toBe(200);
  });

  it.each([
    { 'sec-fetch-site': 'same-origin' },
    { origin: 'http://counts.example:8081' },
    { origin: 'http://COUNTS.example:8081' },
  ])('of this service itself has its session: %j', async headers => {
    for (const method of ['POST', 'GET'] as const) expect((await ask(method, headers)).answer.statusCode).toBe(200);
  });

  it('with an API key in it needs no proof: no other site has that', async () => {
    const { keys, signIn, send } = await setUp();
    const [text, reader] = [keys.add({ scopes: ['admin'] }), keys.add({ scopes: ['read'] })];
    const cookie = cookieHeader(await signIn(reader));
    const headers = { ...cookie, ...bearer(text), 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
    expect((await send('POST', '/v1/keys', headers, { label: 'x', scopes: ['read'] })).statusCode).toBe(200);
  });

  it.each(refused)('%s signs nobody in, and nobody out', async (_, headers) => {
    const { keys, send, signIn } = await setUp({ ALLOWED_HOSTS: 'counts.example' });
    const text = keys.add({ scopes: ['read'] });
    const cookie = cookieHeader(await signIn(text));
    const answers = [
      await signIn(text, { ...own, ...headers }),
      await send('DELETE', '/v1/session', { ...own, ...cookie, ...headers }),
    ];
    for (const answer of answers) {
      expect(answer.json()).toMatchObject({ status: 403, code: 'cross_site' });
      expect(answer.headers).not.toHaveProperty('set-cookie');
    }
  });
});

describe('an address from which too many keys come that nobody knows', () => {
  it('may not sign in any more, even with a right key, but who was signed in there goes on', async () => {
    const { keys, signIn, send } = await setUp();
    const [before, after] = [keys.add({ scopes: ['admin'] }), keys.add({ scopes: ['read'] })];
    const cookie = cookieHeader(await signIn(before));
    for (let i = 0; i < 60; i++) expect((await signIn(mintKeyText().text)).statusCode).toBe(401);
    const refused = await signIn(after);
    expect(refused.json()).toMatchObject({ status: 429, code: 'wrong_keys' });
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect((await send('GET', '/v1/keys', cookie)).statusCode).toBe(200);
  });

  it('may not try sessions, either', async () => {
    const { keys, send, signIn } = await setUp();
    const text = keys.add({ scopes: ['admin'] });
    const until = Date.now() + 60_000;
    for (let i = 0; i < 60; i++) {
      const forged = mintSession(mintKeyText().text, { keyId: '0123456789abcdef', until });
      await send('GET', '/v1/keys', { cookie: `adclicks_session=${forged}` });
    }
    expect((await signIn(text)).statusCode).toBe(429);
  });

  it.each([
    ['keys', () => bearer(mintKeyText().text)],
    ['what is no key', () => bearer('adclicks_x')],
    ['sessions', () => ({ cookie: `adclicks_session=${forgedSession()}` })],
  ])('may not try them by asking who is signed in, either: %s', async (_, wrong) => {
    const { keys, send, signIn } = await setUp();
    const [before, after] = [keys.add({ scopes: ['admin'] }), keys.add({ scopes: ['read'] })];
    const cookie = cookieHeader(await signIn(before));
    for (let i = 0; i < 60; i++)
      expect((await send('GET', '/v1/session', wrong())).json()).toMatchObject({ key: null });
    for (const sent of [wrong(), bearer(after), { cookie: `adclicks_session=${sessionOf(after)}` }]) {
      const refused = await send('GET', '/v1/session', sent);
      expect(refused.json()).toMatchObject({ status: 429, code: 'wrong_keys' });
      expect(refused.headers).not.toHaveProperty('set-cookie');
    }
    expect((await signIn(after)).statusCode).toBe(429);
    // Who was signed in there goes on, and who sends nothing is told as before what there is.
    expect((await send('GET', '/v1/session', cookie)).json()).toMatchObject({ key: { id: before.slice(9, 25) } });
    expect((await send('GET', '/v1/session')).json()).toMatchObject({ key: null, keys: 'required' });
  });

  it('has not guessed with what was right once: a session that is over, a key that has ended', async () => {
    const { keys, send, signIn, revoke } = await setUp();
    const [ended, other] = [keys.add({ scopes: ['read'] }), keys.add({ scopes: ['read'] })];
    await revoke(ended);
    const over = mintSession(other, { keyId: other.slice(9, 25), until: Date.now() - 1 });
    for (let i = 0; i < 80; i++)
      for (const sent of [bearer(ended), { cookie: `adclicks_session=${over}` }, {}])
        expect((await send('GET', '/v1/session', sent)).json()).toMatchObject({ key: null });
    expect((await signIn(other)).statusCode).toBe(200);
  });
});

describe('a page of another origin that may read answers', () => {
  const page = { origin: 'https://a.example' };

  it('can read why it was refused, and when it may come back', async () => {
    const { keys, send } = await setUp({ QUERY_API_CORS_ORIGIN: page.origin, QUERY_API_RATE_LIMIT_PER_MINUTE: '2' });
    const lesser = bearer(keys.add({ scopes: ['read'] }));
    const answers = [await send('GET', '/v1/status', page), await send('GET', '/v1/keys', { ...page, ...lesser })];
    let last = answers[0];
    for (let i = 0; i < 20 && last?.statusCode !== 429; i++) last = await send('GET', '/v1/status', page);
    if (last) answers.push(last);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([401, 403, 429]);
    for (const { headers } of answers) {
      expect(headers['access-control-allow-origin']).toBe(page.origin);
      expect(headers['access-control-expose-headers']).toMatch(/retry-after, www-authenticate/);
    }
    expect(answers[0]?.headers['www-authenticate']).toBe('Bearer');
  });

  it('may send a key, and no cookie', async () => {
    const { http } = await setUp({ QUERY_API_CORS_ORIGIN: page.origin });
    const asking = { 'access-control-request-method': 'GET', 'access-control-request-headers': 'authorization' };
    const { headers } = await http.inject({ method: 'OPTIONS', url: '/v1/status', headers: { ...page, ...asking } });
    expect(headers['access-control-allow-headers']).toBe('authorization');
    expect(headers).not.toHaveProperty('access-control-allow-credentials');
  });
});
