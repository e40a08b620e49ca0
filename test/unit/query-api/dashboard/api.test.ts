import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const path = join(import.meta.dirname, '../../../../query-api/dashboard/api.js');
interface Api {
  get(path: string): Promise<unknown>;
  getText(path: string): Promise<string>;
  onUnauthorized(listener: () => unknown): void;
}
const { get, getText, onUnauthorized }: Api = await import(path);

afterEach(() => {
  vi.unstubAllGlobals();
});

/** The query API answers so. */
function answering(status: number, body: object | string, headers: Record<string, string> = {}): void {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const given = { 'content-type': 'application/json; charset=utf-8', ...headers };
  vi.stubGlobal('fetch', () => Promise.resolve(new Response(text, { status, headers: given })));
}

beforeEach(() => {
  // The time of the server is told to the page, and there is none.
  vi.stubGlobal('dispatchEvent', () => true);
});

describe('what the dashboard says', () => {
  it('of a refusal is what the query API says', async () => {
    answering(503, { status: 503, code: 'unavailable', detail: 'the database cannot answer' });
    await expect(get('/v1/status')).rejects.toThrow('the database cannot answer');
  });

  it.each([
    ['a page of a proxy', 200, '<html>Sign in</html>', 'text/html', /in its place.*Reload the page/],
    ['half of an answer', 200, '{"count": 1', 'application/json', /arrived only in part/],
    ['an answer that is no object', 200, 'null', 'application/json', /arrived only in part/],
    ['a page of a proxy with an error', 503, '<html></html>', 'text/html', /status 503.*try again in a moment/],
    ['401 of a proxy', 401, '<html></html>', 'text/html', /status 401.*sign in again/],
    ['429 of a proxy', 429, '<html></html>', 'text/html', /status 429.*wait a minute/],
  ])('of %s is what to do', async (_what, status, body, type, words) => {
    answering(status, body, { 'content-type': type });
    await expect(get('/v1/ads')).rejects.toThrow(words);
  });

  it('of a redirect to another site is that something else has answered', async () => {
    const asked: RequestInit[] = [];
    vi.stubGlobal('fetch', (_url: string, init: RequestInit) => {
      asked.push(init);
      return Promise.resolve({ type: 'opaqueredirect', status: 0, ok: false, headers: new Headers() });
    });
    await expect(get('/v1/ads')).rejects.toThrow(/in its place/);
    expect(asked.map(init => init.redirect)).toEqual(['manual']);
  });

  it('of metrics that are a page of a proxy is no number', async () => {
    answering(200, '<html>Sign in</html>', { 'content-type': 'text/html' });
    await expect(getText('/metrics')).rejects.toThrow(/in its place/);
    answering(503, '', { 'content-type': 'text/plain' });
    await expect(getText('/metrics')).rejects.toThrow('status 503');
  });
});

describe('the time of the server', () => {
  it('is learned from any answer, also from a refusal', async () => {
    const { serverTime }: { serverTime(): number } = await import(join(path, '../clock.js'));
    for (const [status, ahead] of [
      [200, 26],
      [503, -30],
    ] as const) {
      const at = Date.now() + ahead * 3_600_000;
      answering(status, {}, { date: new Date(at).toUTCString() });
      await get('/v1/status').catch(() => undefined);
      expect(Math.abs(serverTime() - at)).toBeLessThan(60_000);
    }
  });
});

describe('an answer that asks to be left alone', () => {
  it.each([
    ['30', 30_000],
    ['0', undefined],
    ['soon', undefined],
  ])('for “%s” is a failure that says it', async (text, retryAfterMs) => {
    answering(429, {}, { 'retry-after': text });
    await expect(get('/v1/ads')).rejects.toMatchObject({ retryAfterMs });
  });
});

describe('an answer of 401', () => {
  it('is told to who follows the session, but for the answer to a wrong key', async () => {
    let told = 0;
    onUnauthorized(() => told++);
    answering(401, { status: 401, code: 'unauthorized', detail: 'API key x was revoked' });
    await expect(get('/v1/session')).rejects.toThrow('API key x was revoked');
    expect(told).toBe(0);
    await expect(get('/v1/status')).rejects.toThrow('API key x was revoked');
    expect(told).toBe(1);
    answering(403, { status: 403, code: 'forbidden', detail: 'needs scope admin' });
    await expect(get('/v1/keys')).rejects.toThrow('needs scope admin');
    expect(told).toBe(1);
  });
});
