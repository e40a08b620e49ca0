/** Sign-in with an identity provider, a real one on loopback: what it takes, whom it lets in, and what ends it. */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseSetCookie } from 'cookie';
import type { LightMyRequestResponse } from 'fastify';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ConfigError } from '../../../../infra/errors.ts';
import type { Http } from '../../../../infra/http.ts';
import { rotatedKey } from '../../../../infra/keys/new-key.ts';
import { createPersonSessionCheck, mintPersonSession } from '../../../../infra/keys/person-session.ts';
import { registry } from '../../../../infra/metrics.ts';
import { keysInMemory } from '../../../support/api-keys.ts';
import { type AuditInMemory, auditInMemory } from '../../../support/audit-in-memory.ts';
import { queryApi } from '../../../support/documents.ts';
import {
  clientSecret,
  mailOf,
  signInAtProvider,
  startIdentityProvider,
  type TestIdentityProvider,
} from '../../../support/identity-provider.ts';

const publicUrl = 'http://127.0.0.1:18081';
const people = {
  ann: { groups: ['all', 'finance'] },
  bob: { groups: 'operators' },
  eve: { groups: ['visitors'] },
  none: {},
  [mailOf('mail')]: { groups: ['finance'] },
};
const opened: Http[] = [];
let provider: TestIdentityProvider;
beforeAll(async () => {
  provider = await startIdentityProvider(publicUrl, people);
});
afterAll(() => provider[Symbol.asyncDispose]());
afterEach(async () => {
  provider.away(false);
  for (const http of opened.splice(0)) await http.close();
});

const idOf = (text: string) => text.slice(9, 25);
const fromPage = { host: '127.0.0.1:18081', 'sec-fetch-site': 'same-origin' };
const fromProvider = { host: '127.0.0.1:18081', 'sec-fetch-site': 'cross-site' };

async function setUp(env: Record<string, string> = {}, audit: AuditInMemory = auditInMemory(), at = provider) {
  const keys = keysInMemory();
  const finance = keys.add({ scopes: ['read'], label: 'role: finance' });
  const operators = keys.add({ scopes: ['admin'], label: 'role: operators' });
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: line => void lines.push(line) });
  const groupKeys = `finance=${idOf(finance)},operators=${idOf(operators)}`;
  const settings = { API_KEYS: 'required', ...at.settingsFor(groupKeys), ...env };
  const build = async () => {
    const http = await queryApi(settings, { keys, appendKeyChange: keys.append, log, audit: audit.trail });
    opened.push(http);
    return http;
  };
  const http = await build();
  const get = async (url: string, headers: Record<string, string> = {}, by = http) =>
    await by.inject({ method: 'GET', url, headers });
  const begin = async (headers: Record<string, string> = fromPage) => {
    const answer = await get('/v1/session/oidc', headers);
    return { answer, cookie: cookieIn(answer, 'adclicks_sign_in'), url: answer.headers.location ?? '' };
  };
  const end = async (search: string, cookie: string, by = http) =>
    await get(`/v1/session/oidc/callback${search}`, { ...fromProvider, cookie }, by);
  const signIn = async (name: string, by = http) => {
    const { cookie, url } = await begin();
    return await end((await signInAtProvider(url, name)).search, cookie, by);
  };
  const revoke = async (text: string) =>
    await keys.append({ kind: 'revoked', id: idOf(text), at: Date.now(), by: 'somebody' });
  return { keys, finance, operators, lines, audit, build, get, begin, end, signIn, revoke };
}

const cookiesOf = (answer: LightMyRequestResponse) =>
  [answer.headers['set-cookie'] ?? []].flat().map(text => parseSetCookie(text));
/** As the browser sends it back. */
function cookieIn(answer: LightMyRequestResponse, name: string): string {
  const found = cookiesOf(answer).find(cookie => cookie.name === name && cookie.value !== '');
  return found === undefined ? '' : `${name}=${found.value}`;
}
const sessionIn = (answer: LightMyRequestResponse) => cookieIn(answer, 'adclicks_session');
/** Where somebody is led who is not signed in. */
const faultOf = (answer: LightMyRequestResponse) => {
  expect(sessionIn(answer)).toBe('');
  expect(answer.statusCode).toBe(303);
  const [, fault] = /^\/\?sign-in=([a-z]+)$/.exec(String(answer.headers.location)) ?? [];
  return fault;
};

describe('a person whom the identity provider knows', () => {
  it('is signed in as the key of the group, in every query API, and leaves neither name nor mail address', async () => {
    const { finance, signIn, get, build, lines, audit } = await setUp({ QUERY_API_SESSION_HOURS: '3' });
    const answer = await signIn('ann');
    expect({ status: answer.statusCode, to: answer.headers.location }).toEqual({ status: 303, to: '/' });
    const cookie = cookiesOf(answer).find(({ name }) => name === 'adclicks_session');
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'strict', path: '/', maxAge: 3 * 3_600 });
    expect(answer.headers['cache-control']).toBe('no-store');
    const session = sessionIn(answer);
    for (const by of [undefined, await build()]) {
      const said = (await get('/v1/session', { cookie: session }, by)).json();
      expect(said).toMatchObject({ identity_provider: true, may: ['read'], key: { id: idOf(finance) } });
      expect(Date.parse(said.until) - Date.now()).toBeGreaterThan(2.9 * 3_600_000);
      expect((await get('/v1/replays', { ...fromPage, cookie: session }, by)).statusCode).not.toBe(401);
      expect((await get('/v1/keys', { ...fromPage, cookie: session }, by)).statusCode).toBe(403);
    }
    await audit.trail[Symbol.asyncDispose]();
    for (const text of [...lines, audit.text()]) {
      expect(text).not.toContain(mailOf('ann'));
      expect(text).not.toContain(clientSecret);
      expect(text).not.toContain(session.split('=')[1]);
    }
    expect(lines.filter(line => line.includes('ann'))).toEqual([]);
  });

  it('is in the audit log beside the key: when signing in, and with all that is done or refused', async () => {
    const { operators, finance, signIn, get, audit } = await setUp();
    const bob = { ...fromPage, cookie: sessionIn(await signIn('bob')) };
    const ann = { ...fromPage, cookie: sessionIn(await signIn('ann')) };
    expect((await get('/v1/keys', bob)).statusCode).toBe(200);
    expect((await get('/v1/keys', ann)).statusCode).toBe(403);
    const asBob = { by: idOf(operators), subject: 'bob' };
    const asAnn = { by: idOf(finance), subject: 'ann' };
    expect(audit.written.filter(({ step }) => step === 0)).toMatchObject([
      { ...asBob, kind: 'sign-in', action: 'GET /v1/session/oidc/callback' },
      { ...asAnn, kind: 'sign-in', parameters: { code: '***', state: '***' } },
      { ...asBob, kind: 'read', action: 'GET /v1/keys' },
      { ...asAnn, kind: 'refused', action: 'GET /v1/keys' },
    ]);
  });

  it('and whose subject is a mail address is named by its hash', async () => {
    const { signIn, audit } = await setUp();
    await signIn(mailOf('mail'));
    expect(audit.written[0]?.subject).toMatch(/^sha256:[\w-]{22}$/);
    expect(audit.text()).not.toContain('@');
  });

  it('is found by what userinfo says, if the ID token does not say it', async () => {
    await using other = await startIdentityProvider(publicUrl, people, 'userinfo');
    const { signIn, get, operators } = await setUp({}, auditInMemory(), other);
    const cookie = sessionIn(await signIn('bob'));
    expect((await get('/v1/session', { cookie })).json()).toMatchObject({ key: { id: idOf(operators) } });
  });

  it.each(['eve', 'none', 'nobody'])(
    'is not signed in without a group that has a key, and is told so: %s',
    async name => {
      const { signIn, audit } = await setUp();
      expect(faultOf(await signIn(name))).toBe('unmapped');
      expect(audit.written).toEqual([]);
    },
  );

  it('is not signed in while the key of the group is not in force, and another group may still be', async () => {
    const { signIn, revoke, finance, get, keys } = await setUp();
    await revoke(finance);
    expect(faultOf(await signIn('ann'))).toBe('ended');
    const [spare, elsewhere] = [keys.add({ scopes: ['read'] }), keys.add({ scopes: ['read'], region: 'eu' })];
    const groups = `finance=${idOf(finance)},finance=0123456789abcdef,finance=${idOf(elsewhere)},all=${idOf(spare)}`;
    const http = await queryApi({ API_KEYS: 'required', ...provider.settingsFor(groups) }, { keys });
    opened.push(http);
    const begun = await get('/v1/session/oidc', fromPage, http);
    const back = await signInAtProvider(String(begun.headers.location), 'ann');
    const headers = { ...fromProvider, cookie: cookieIn(begun, 'adclicks_sign_in') };
    const answer = await get(`/v1/session/oidc/callback${back.search}`, headers, http);
    const said = (await get('/v1/session', { cookie: sessionIn(answer) }, http)).json();
    expect(said.key.id).toBe(idOf(spare));
  });

  it('is not signed in if that cannot be recorded', async () => {
    const audit = auditInMemory();
    const { signIn } = await setUp({}, audit);
    audit.isAway = true;
    const answer = await signIn('ann');
    expect({ status: answer.statusCode, cookies: cookiesOf(answer) }).toEqual({ status: 503, cookies: [] });
  });
});

describe('a session of a person', () => {
  it('ends with its key and with the secret of its key, at every query API', async () => {
    const { signIn, revoke, finance, operators, get, keys, build } = await setUp();
    const [bob, ann] = [sessionIn(await signIn('bob')), sessionIn(await signIn('ann'))];
    const [other, status] = [
      await build(),
      async (cookie: string, by?: Http) => (await get('/v1/keys', { ...fromPage, cookie }, by)).statusCode,
    ] as const;
    expect([await status(bob, other), await status(ann, other)]).toEqual([200, 403]);
    await revoke(finance);
    expect([await status(bob, other), await status(ann, other)]).toEqual([200, 401]);
    const key = keys.book.get(idOf(operators))!;
    await keys.append(rotatedKey(key, 0, { by: 'somebody' }, Date.now() - 1).change);
    expect([await status(bob), await status(bob, other)]).toEqual([401, 401]);
    expect(await status(sessionIn(await signIn('bob')))).toBe(200);
  });

  const keys = keysInMemory();
  const key = keys.book.get(idOf(keys.add({ scopes: ['read'] })))!;
  const another = keys.book.get(idOf(keys.add({ scopes: ['admin'] })))!;
  const { privateKey } = generateKeyPairSync('ed25519');
  const check = createPersonSessionCheck(privateKey, id => keys.book.get(id), keys.checkSession);
  const session = { keyId: key.id, until: 2_000, subject: 'ann' };
  const text = mintPersonSession(privateKey, key.secrets[0]!, session);

  it('ends with its time, to the millisecond', () => {
    expect([0, 1_999, 2_000].map(now => check(text, now).kind)).toEqual(['right', 'right', 'over']);
  });

  it('cannot be made, prolonged, or taken for that of another person or key', () => {
    const stranger = mintPersonSession(generateKeyPairSync('ed25519').privateKey, key.secrets[0]!, session);
    const [id, until, subject, signature] = text.split('.') as [string, string, string, string];
    const ofBob = Buffer.from('bob').toString('base64url');
    const forged = [
      stranger,
      [another.id, until, subject, signature].join('.'),
      [id, 'zzzzzz', subject, signature].join('.'),
      [id, until, ofBob, signature].join('.'),
      [id, until, signature].join('.'),
      mintPersonSession(privateKey, another.secrets[0]!, session),
    ];
    for (const each of forged) expect(check(each, 0).kind).toBe('unknown');
  });

  it('names nobody where nobody looks at sessions', async () => {
    const { get, audit } = await setUp({ API_KEYS: 'off' });
    const forged = mintPersonSession(privateKey, key.secrets[0]!, session);
    await get('/v1/quarantine', { ...fromPage, cookie: `adclicks_session=${forged}` });
    expect(audit.written[0]).toMatchObject({ by: 'without a key', subject: '' });
  });
});

describe('a sign-in', () => {
  it('is kept by the browser that has begun it, where no script and no other site gets at it', async () => {
    const { begin } = await setUp();
    const { answer, url } = await begin();
    const [cookie] = cookiesOf(answer);
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'lax', maxAge: 600 });
    const asked = new URL(url).searchParams;
    expect(Object.fromEntries(asked)).toMatchObject({
      ...{ response_type: 'code', scope: 'openid', code_challenge_method: 'S256', client_id: 'dashboard' },
      redirect_uri: `${publicUrl}/v1/session/oidc/callback`,
    });
    const [state, nonce, verifier] = String(cookie?.value).split('.');
    expect([asked.get('state'), asked.get('nonce')]).toEqual([state, nonce]);
    expect(url).not.toContain(verifier);
  });

  it('over TLS is kept under a name that no other host can set', async () => {
    const { begin } = await setUp({ QUERY_API_TRUST_PROXY: '127.0.0.1' });
    const { answer } = await begin({ ...fromPage, 'x-forwarded-proto': 'https' });
    expect(cookiesOf(answer)[0]).toMatchObject({ name: '__Host-adclicks_sign_in', secure: true, path: '/' });
  });

  it.each([
    ['without what the browser kept', (_: string[]) => ''],
    ['with the state of another', ([, nonce, verifier]: string[]) => `${'x'.repeat(43)}.${nonce}.${verifier}`],
    ['with the nonce of another', ([state, , verifier]: string[]) => `${state}.${'x'.repeat(43)}.${verifier}`],
    ['with the verifier of another', ([state, nonce]: string[]) => `${state}.${nonce}.${'x'.repeat(43)}`],
  ])('is not ended %s', async (_, altered) => {
    const { begin, end } = await setUp();
    const { cookie, url } = await begin();
    const { search } = await signInAtProvider(url, 'ann');
    const value = altered((cookie.split('=')[1] ?? '').split('.'));
    expect(faultOf(await end(search, `adclicks_sign_in=${value}`))).toBe('refused');
  });

  it('is not ended by a browser that has begun another one', async () => {
    const { begin, end } = await setUp();
    const [victim, attacker] = [await begin(), await begin()];
    const { search } = await signInAtProvider(attacker.url, 'bob');
    expect(faultOf(await end(search, victim.cookie))).toBe('refused');
  });

  it('is ended once: the code is of no use afterwards, and the browser has forgotten it', async () => {
    const { begin, end } = await setUp();
    const { cookie, url } = await begin();
    const { search } = await signInAtProvider(url, 'ann');
    const first = await end(search, cookie);
    expect(sessionIn(first)).not.toBe('');
    expect(cookiesOf(first).find(({ name }) => name === 'adclicks_sign_in')).toMatchObject({ value: '', maxAge: 0 });
    expect(faultOf(await end(search, cookie))).toBe('refused');
  });

  it('that the provider does not grant says so, and an error that nobody asked for is none', async () => {
    const { begin, end, lines } = await setUp();
    const { cookie, url } = await begin();
    const state = new URL(url).searchParams.get('state') ?? '';
    const answer = new URLSearchParams({
      error: 'access_denied',
      error_description: mailOf('ann'),
      iss: provider.issuer,
    });
    expect(faultOf(await end(`?${answer}&state=${state}`, cookie))).toBe('denied');
    expect(faultOf(await end(`?${answer}&state=other`, cookie))).toBe('refused');
    expect(lines.join('')).toContain('access_denied');
    expect(lines.join('')).not.toContain('ann');
  });

  it('waits for a provider that is away, and so does none of what needs none', async () => {
    const { begin, get, signIn, end } = await setUp();
    provider.away(true);
    expect(faultOf((await begin()).answer)).toBe('away');
    expect((await get('/v1/session')).statusCode).toBe(200);
    provider.away(false);
    const { cookie, url } = await begin();
    const { search } = await signInAtProvider(url, 'ann');
    provider.away(true);
    expect(faultOf(await end(search, cookie))).toBe('away');
    provider.away(false);
    expect(sessionIn(await signIn('ann'))).not.toBe('');
  });

  it('is begun by pages of this service alone, and leads nowhere that a request names', async () => {
    const { begin, get, end } = await setUp();
    expect((await begin(fromProvider)).answer.statusCode).toBe(403);
    for (const name of ['next', 'return_to', 'redirect_uri']) {
      const begun = await get(`/v1/session/oidc?${name}=https://evil.example`, fromPage);
      const { search } = await signInAtProvider(String(begun.headers.location), 'ann');
      const cookie = cookieIn(begun, 'adclicks_sign_in');
      const answer = await end(`${search}&${name}=https://evil.example`, cookie);
      expect({ location: answer.headers.location, isIn: sessionIn(answer) !== '' }).toEqual({
        location: '/',
        isIn: true,
      });
    }
  });

  it.each(['/v1/session/oidc', '/v1/status'])(
    'is in the audit log, with whose session it was, where a page of another site asks for %s',
    async url => {
      const { signIn, get, audit, finance } = await setUp();
      const cookie = sessionIn(await signIn('ann'));
      const before = audit.written.length;
      expect((await get(url, { ...fromProvider, cookie })).json()).toMatchObject({ status: 403, code: 'cross_site' });
      const [entry, ...others] = audit.written.slice(before);
      expect(entry).toMatchObject({ kind: 'refused', action: `GET ${url}`, by: idOf(finance) });
      expect(entry?.subject).toMatch(/./);
      expect(others).toEqual([]);
    },
  );

  it('counts how it has ended', async () => {
    const { signIn } = await setUp();
    const count = async (outcome: string) => {
      const { values } = (await registry.getSingleMetric('adclicks_oidc_sign_ins_total')?.get()) ?? { values: [] };
      return values.find(({ labels }) => labels['outcome'] === outcome)?.value ?? Number.NaN;
    };
    const [signedIn, unmapped] = [await count('signed_in'), await count('unmapped')];
    await signIn('ann');
    await signIn('eve');
    expect([await count('signed_in'), await count('unmapped')]).toEqual([signedIn + 1, unmapped + 1]);
  });
});

describe('without an identity provider', () => {
  it('there is none, and its sessions are none', async () => {
    const { signIn, keys } = await setUp();
    const session = sessionIn(await signIn('ann'));
    const http = await queryApi({ API_KEYS: 'required' }, { keys });
    opened.push(http);
    for (const url of ['/v1/session/oidc', '/v1/session/oidc/callback?code=x']) {
      const answer = await http.inject({ method: 'GET', url, headers: fromPage });
      expect({ status: answer.statusCode, code: answer.json().code }).toEqual({
        status: 404,
        code: 'no_identity_provider',
      });
    }
    expect((await http.inject('/v1/session')).json()).toMatchObject({ identity_provider: false });
    const asked = { method: 'GET', url: '/v1/replays', headers: { ...fromPage, cookie: session } } as const;
    expect((await http.inject(asked)).statusCode).toBe(401);
  });

  it.each([
    [{ OIDC_CLIENT_ID: '' }, /^OIDC_CLIENT_ID is not given, but must be, because OIDC_ISSUER is given/],
    [{ OIDC_SESSION_KEY_FILE: '/nowhere' }, /^OIDC_SESSION_KEY_FILE=\/nowhere: cannot be read/],
    [{ OIDC_SESSION_KEY_FILE: import.meta.filename }, /: must have an Ed25519 private key \(PEM\)/],
    [{ OIDC_SESSION_KEY_FILE: '/dev/zero' }, /^OIDC_SESSION_KEY_FILE=\/dev\/zero: .*must be a file, and is a device/],
    [{ OIDC_CLIENT_SECRET_FILE: emptyFile() }, /^OIDC_CLIENT_SECRET_FILE=.*: is empty, but must have the secret/],
    [{ OIDC_ISSUER: 'http://idp.example' }, /^OIDC_ISSUER is "http:\/\/idp.example", but must be an https URL/],
    [{ OIDC_PUBLIC_URL: 'https://u:p@a.example' }, /^OIDC_PUBLIC_URL is .*must be an https URL without user/],
    [{ OIDC_GROUP_KEYS: 'finance' }, /^OIDC_GROUP_KEYS is "finance", but must be a group and the id of an API key/],
    [{ OIDC_SCOPES: 'profile' }, /^OIDC_SCOPES is "profile", but must contain openid/],
  ])('that is set whole, no process starts: %j', async (env, said) => {
    const failed = setUp(env);
    await expect(failed).rejects.toThrow(ConfigError);
    await expect(failed).rejects.toThrow(said);
  });
});

function emptyFile(): string {
  const path = join(mkdtempSync(join(tmpdir(), 'oidc-')), 'secret');
  writeFileSync(path, '\n');
  return path;
}
