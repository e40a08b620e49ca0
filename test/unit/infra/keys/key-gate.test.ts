import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../../../infra/config.ts';
import { isLoopback, keyModeOf, requireUsableKey, tellKeyMode } from '../../../../infra/keys/config.ts';
import { createKeyGate, type KeyGate } from '../../../../infra/keys/key-gate.ts';
import { mintKeyText } from '../../../../infra/keys/key-text.ts';
import { RegionConfig, regionOf } from '../../../../infra/keys/region.ts';
import { mintSession } from '../../../../infra/keys/session-text.ts';
import { WrongKeys } from '../../../../infra/keys/wrong-keys.ts';
import { Problem } from '../../../../infra/problem.ts';
import { bearer, keysInMemory } from '../../../support/api-keys.ts';

function setUp() {
  const keys = keysInMemory();
  let now = 1_800_000_000_000;
  const text = keys.add({ scopes: ['read'] }, now);
  const gate = createKeyGate({ mode: 'required', keys, now: () => now });
  const clientAt = (network: string) => ({ network, wrongKeys: new WrongKeys() });
  const ask = (authorization: string | undefined, client = clientAt('192.0.2.1')) => {
    try {
      gate.admit(authorization, ['read'], client, () => 'GET /v1/status');
      return undefined;
    } catch (error) {
      if (error instanceof Problem) return error;
      throw error;
    }
  };
  const pass = (ms: number) => {
    now += ms;
  };
  return { keys, text, ask, clientAt, pass };
}

describe('who is not let in', () => {
  it('hears the same of a key that does not exist and of a wrong secret', () => {
    const { text, ask } = setUp();
    const unknown = ask(bearer(mintKeyText().text).authorization);
    const wrong = ask(bearer(mintKeyText(text.slice(9, 25)).text).authorization);
    expect(unknown?.message).toBe('the API key is not known here');
    expect({ ...wrong }).toEqual({ ...unknown });
    expect(wrong?.message).toBe(unknown?.message);
  });

  it('hears nothing of what it sent', () => {
    const { ask } = setUp();
    for (const sent of [mintKeyText().text, 'adclicks_secret', 'hunter2'])
      for (const header of [sent, `Bearer ${sent}`, `Basic ${sent}`]) {
        const problem = ask(header);
        expect(problem?.status).toBe(401);
        expect(JSON.stringify([problem?.message, problem?.extra])).not.toContain(sent);
      }
  });
});

describe('a key of a region', () => {
  const keys = keysInMemory();
  const gateIn = (name: string) => createKeyGate({ mode: 'required', keys, region: { name, urls: new Map() } });
  const client = { network: '192.0.2.1', wrongKeys: new WrongKeys() };
  const text = keys.add({ scopes: ['read'], region: 'eu' });
  const session = mintSession(text, { keyId: text.slice(9, 25), until: Date.now() + 60_000 });
  const asked = () => 'GET /v1/ads';
  const ways = {
    header: (gate: KeyGate) => gate.admit(bearer(text).authorization, ['read'], client, asked),
    session: (gate: KeyGate) => gate.admitSession(session, ['read'], client, asked),
    'sign-in': (gate: KeyGate) => gate.signIn(text, client),
  };

  it.each(Object.entries(ways))('is good in its region alone, by %s', (_, admit) => {
    expect(admit(gateIn('eu'))).toBe(keys.book.get(text.slice(9, 25)));
    for (const other of ['us', 'eu-west', 'e', '']) expect(() => admit(gateIn(other))).toThrow(/is for region eu, and/);
  });

  it('is in force in its region alone, so what has no end ends elsewhere', () => {
    for (const sent of [
      { authorization: bearer(text).authorization, session: undefined },
      { authorization: undefined, session },
    ]) {
      expect(gateIn('eu').inForce(sent)?.id).toBe(text.slice(9, 25));
      expect(gateIn('us').inForce(sent)).toBeUndefined();
      expect(gateIn('').inForce(sent)).toBeUndefined();
    }
  });

  it('is told from one that nobody has only with its secret', () => {
    const wrong = mintKeyText(text.slice(9, 25)).text;
    expect(() => gateIn('us').signIn(wrong, client)).toThrow('the API key is not known here');
  });

  it('does not make a region of what is none, nor of a setting that could not hold', () => {
    const given = (env: object) => () => regionOf({ REGION: '', REGION_URLS: '', API_KEYS: 'auto', ...env });
    expect(given({ REGION: 'eu', API_KEYS: 'off' })).toThrow(/^REGION=eu: cannot be used with API_KEYS=off/);
    for (const REGION_URLS of [
      'eu',
      'EU=https://a.example',
      'eu=ftp://a.example',
      'eu=https://u:p@a.example',
      '=https://a.example',
    ])
      expect(given({ REGION_URLS })).toThrow(/^REGION_URLS is /);
    expect([...given({ REGION_URLS: 'eu=https://a.example, us=http://b.example' })().urls.keys()]).toEqual([
      'eu',
      'us',
    ]);
    for (const REGION of ['EU', '-eu', 'eu-', 'e u', 'x'.repeat(33)])
      expect(() => loadConfig(RegionConfig, { REGION })).toThrow(/^REGION=/);
  });
});

describe('a public key', () => {
  const guess = () => mintKeyText(undefined, undefined, 'public').text;
  const wanted = { scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: ['https://shop.example'] };
  const admit = (text: string | undefined, keys = keysInMemory(), wrongKeys = new WrongKeys()) => {
    const gate = createKeyGate({ mode: 'off', keys, now: () => 0 });
    return gate.admitPublic(text, { network: '192.0.2.1', wrongKeys }, () => 'POST /b');
  };

  it('lets in by itself, in every mode, and nobody comes in without one', () => {
    const keys = keysInMemory();
    const text = keys.add(wanted, 0);
    expect(admit(text, keys).created.origins).toEqual(wanted.origins);
    for (const sent of [undefined, '', guess(), `${text}x`])
      expect(() => admit(sent, keys)).toThrow(expect.objectContaining({ status: 401 }));
  });

  it('that names no pages lets nobody in, whoever has written that record', () => {
    const keys = keysInMemory();
    const text = keys.add({ scopes: ['ingest:public'], adIdPrefix: 'ad-' }, 0);
    expect(() => admit(text, keys)).toThrow(expect.objectContaining({ status: 403 }));
  });

  it('is not looked at for an address that tries many, unless it was right from there', () => {
    const keys = keysInMemory();
    const [text, other] = [keys.add(wanted, 0), keys.add(wanted, 0)];
    const wrongKeys = new WrongKeys();
    admit(text, keys, wrongKeys);
    for (let i = 0; i < 60; i++) expect(() => admit(guess(), keys, wrongKeys)).toThrow();
    expect(() => admit(other, keys, wrongKeys)).toThrow(expect.objectContaining({ status: 429 }));
    expect(admit(text, keys, wrongKeys).id).toBe(text.slice(13, 29));
  });
});

describe('a client that tries keys', () => {
  const guess = () => bearer(mintKeyText().text).authorization;

  it('has to wait for the next minute after some of them, and then even a right one is not looked at', () => {
    const { ask, clientAt, text, pass } = setUp();
    const guesser = clientAt('192.0.2.7');
    for (let i = 0; i < 60; i++) expect(ask(guess(), guesser)?.status).toBe(401);
    expect(ask(guess(), guesser)).toMatchObject({ status: 429, code: 'wrong_keys', retryAfterS: 60 });
    expect(ask(bearer(text).authorization, guesser)?.status).toBe(429);
    expect(ask(bearer(text).authorization)).toBeUndefined();
    pass(60_000);
    expect(ask(bearer(text).authorization, guesser)).toBeUndefined();
  });

  it('does not lock out who had the right key at the same address before', () => {
    const { ask, clientAt, text } = setUp();
    const shared = clientAt('192.0.2.7');
    expect(ask(bearer(text).authorization, shared)).toBeUndefined();
    for (let i = 0; i < 200; i++) ask(guess(), shared);
    expect(ask(bearer(text).authorization, shared)).toBeUndefined();
    expect(ask(guess(), shared)?.status).toBe(429);
  });

  it('is not one whose key has ended', async () => {
    const { ask, clientAt, text, keys } = setUp();
    const fleet = clientAt('192.0.2.7');
    await keys.append({ kind: 'revoked', id: text.slice(9, 25), at: 0, by: 'x' });
    for (let i = 0; i < 200; i++) expect(ask(bearer(text).authorization, fleet)?.message).toMatch(/was revoked$/);
  });
});

describe('when keys are needed', () => {
  it.each([
    ['auto', '127.0.0.1', 'optional'],
    ['auto', '127.8.9.10', 'optional'],
    ['auto', 'localhost', 'optional'],
    ['auto', '::1', 'optional'],
    ['auto', '0.0.0.0', 'required'],
    ['auto', '::', 'required'],
    ['auto', '10.0.0.1', 'required'],
    ['auto', 'example.com', 'required'],
    ['auto', 'localhost.example.com', 'required'],
    ['auto', '127.0.0.1.example.com', 'required'],
    ['required', '127.0.0.1', 'required'],
    ['off', '0.0.0.0', 'off'],
  ] as const)('goes by the setting and by what is listened on: %s, %s', (API_KEYS, HOST, mode) => {
    expect(keyModeOf({ API_KEYS, HOST })).toBe(mode);
  });

  it('are said in the log not to be checked with API_KEYS=off', () => {
    const told: unknown[] = [];
    const log = pino({ level: 'warn' }, { write: line => void told.push(JSON.parse(line).msg) });
    for (const API_KEYS of ['auto', 'required', 'off'] as const) tellKeyMode({ API_KEYS, HOST: '0.0.0.0' }, log);
    expect(told).toEqual([expect.stringMatching(/^API_KEYS=off: API keys are not checked/)]);
  });

  it('takes an IPv4 address in IPv6 for what it is', () => {
    expect([isLoopback('::ffff:127.0.0.1'), isLoopback('::ffff:10.0.0.1')]).toEqual([true, false]);
  });
});

describe('a process beyond loopback', () => {
  const now = 1_800_000_000_000;
  const starts = (API_KEYS: 'auto' | 'required' | 'off', HOST: string, keys = keysInMemory()) =>
    requireUsableKey({ API_KEYS, HOST }, keys.book.list(), ['ingest'], now);

  it('does not start without a key that fits, and says how to make one', () => {
    expect(() => starts('auto', '0.0.0.0')).toThrow(
      'HOST=0.0.0.0: listens beyond loopback, where requests need API keys (API_KEYS=auto), and there is no usable key with scope ingest or admin: make the first one with `adclicks-server keys create --scope admin`',
    );
    expect(() => starts('required', '10.0.0.1')).toThrow(/HOST=10.0.0.1/);
  });

  it('does not take one that has ended, or is for something else', async () => {
    const keys = keysInMemory();
    keys.add({ scopes: ['read'] }, now);
    keys.add({ scopes: ['ingest'], expiresAt: now }, now - 1);
    const revoked = keys.add({ scopes: ['admin'] }, now);
    await keys.append({ kind: 'revoked', id: revoked.slice(9, 25), at: now, by: 'x' });
    expect(() => starts('auto', '0.0.0.0', keys)).toThrow(/no usable key/);
    keys.add({ scopes: ['admin'] }, now);
    expect(() => starts('auto', '0.0.0.0', keys)).not.toThrow();
  });

  it('starts with API_KEYS=off, and on loopback as before', () => {
    expect(() => starts('off', '0.0.0.0')).not.toThrow();
    expect(() => starts('auto', '127.0.0.1')).not.toThrow();
    expect(() => starts('required', '127.0.0.1')).not.toThrow();
  });
});
