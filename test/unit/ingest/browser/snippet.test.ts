/** The script that pages load: that it is its source, how large it is, and what it does in pages of every kind. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import { describe, expect, it } from 'vitest';
import { parseAst } from 'vitest/node';
import { servedSnippet } from '../../../../ingest/browser/served-snippet.ts';

const source = readFileSync(join(import.meta.dirname, '../../../../ingest/browser/click.js'), 'utf8');

/** Without the places where things stand. */
const meaningOf = (code: string) =>
  JSON.stringify(parseAst(code), (name, value) => (name === 'start' || name === 'end' ? undefined : value));

interface Page {
  /** What `sendBeacon` returns, or undefined where there is none. */
  readonly beacon?: ((url: URL, body: string) => boolean) | undefined;
  /** Undefined where there is none. */
  readonly fetch?: ((url: URL, options: { body: string; keepalive: boolean }) => Promise<unknown>) | undefined;
  readonly crypto?: object;
  readonly script?: object | null;
  readonly more?: Record<string, unknown>;
}

/** Loads the script into a page, and returns what the page can do then. */
function load(given: Page = {}) {
  const { crypto = globalThis.crypto, more = {} } = given;
  const fetch = 'fetch' in given ? given.fetch : () => Promise.resolve();
  const script = 'script' in given ? given.script : { src: 'https://in.example/x/click.js', dataset: { key: 'K' } };
  const sent: { url: string; body: string; how: string }[] = [];
  const warned: unknown[] = [];
  const listeners = new Map<string, (event: object) => void>();
  const taken = (url: URL, body: string, how: string) => void sent.push({ url: url.href, body, how });
  const beacon = 'beacon' in given ? given.beacon : () => true;
  const window: Record<string, unknown> = { ...more };
  const context = {
    ...{ window, URL, crypto, console: { warn: (error: unknown) => void warned.push(error) } },
    document: { currentScript: script },
    navigator: beacon && {
      sendBeacon: (url: URL, body: string) => {
        taken(url, body, 'beacon');
        return beacon(url, body);
      },
    },
    fetch:
      fetch &&
      ((url: URL, options: { method: string; body: string; keepalive: boolean; credentials: string }) => {
        taken(url, options.body, `${options.method} keepalive=${options.keepalive} credentials=${options.credentials}`);
        return fetch(url, options);
      }),
    addEventListener: (name: string, listener: (event: object) => void) => void listeners.set(name, listener),
  };
  runInNewContext(servedSnippet(), context);
  const adclick = window['adclick'] as ((adId: unknown) => void) | undefined;
  const press = (target: object | null, button = 0, name = 'click') => listeners.get(name)?.({ target, button });
  return { adclick, press, sent, warned, listeners };
}

const inside = (adId: string) => ({
  closest: (selector: string) => (selector === '[data-adclick]' ? { dataset: { adclick: adId } } : null),
});
const clicksIn = (sent: readonly { body: string }[]) => sent.map(({ body }) => JSON.parse(body));

describe('the script of pages', () => {
  it('is its source without comments and indentation, and at most 1 KB', () => {
    const served = servedSnippet();
    expect(meaningOf(served)).toBe(meaningOf(source));
    expect(served).not.toMatch(/\/\/ |\/\*|\n\s/);
    expect(Buffer.byteLength(served)).toBeLessThanOrEqual(1_024);
    expect(meaningOf(served)).not.toBe(meaningOf(served.replace('button < 2', 'button < 3')));
  });

  it('sends a click on what is marked, and on what is inside of it, to where it came from', () => {
    const { press, sent } = load();
    press(inside('ad-42'));
    expect(sent).toEqual([{ url: 'https://in.example/x/b?k=K', body: expect.any(String), how: 'beacon' }]);
    expect(clicksIn(sent)).toEqual([
      {
        ad_id: 'ad-42',
        event_id: expect.stringMatching(/^[0-9a-f-]{36}$/),
        clicked_at: expect.closeTo(Date.now(), -5),
      },
    ]);
  });

  it('sends nothing about the page or who looks at it', () => {
    const { press, sent } = load();
    press(inside('ad-42'));
    expect(Object.keys(clicksIn(sent)[0])).toEqual(['ad_id', 'event_id', 'clicked_at']);
    expect(source.replace(/\/\*[\s\S]*?\*\//, '')).not.toMatch(/cookie|Storage|location|referrer|userAgent|indexedDB/);
  });

  it('sends each click once, with an event id of its own', () => {
    const { press, adclick, sent } = load();
    for (let i = 0; i < 50; i++) press(inside('ad-42'));
    for (let i = 0; i < 50; i++) adclick?.('ad-42');
    expect(new Set(clicksIn(sent).map(({ event_id }) => event_id)).size).toBe(100);
    expect(sent).toHaveLength(100);
  });

  it('counts the button that opens a link in another tab, and not the one that opens a menu', () => {
    const { press, sent } = load();
    press(inside('ad-1'), 1, 'auxclick');
    press(inside('ad-2'), 2, 'auxclick');
    expect(clicksIn(sent)).toMatchObject([{ ad_id: 'ad-1' }]);
  });

  it('counts nothing where nothing is marked', () => {
    const { press, sent } = load();
    press({ closest: () => null });
    // A document is no element.
    press({});
    expect(sent).toEqual([]);
  });

  it.each([
    ['refuses it', () => false],
    [
      'throws',
      () => {
        throw new TypeError('blocked');
      },
    ],
    ['is not there', undefined],
  ])('sends the same click with fetch where sendBeacon %s', async (_what, beacon) => {
    const { press, sent } = load({ beacon });
    press(inside('ad-42'));
    await setImmediate();
    const tries = beacon === undefined ? 1 : 2;
    expect(sent).toHaveLength(tries);
    expect(sent.at(-1)?.how).toBe('POST keepalive=true credentials=omit');
    expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
  });

  it('sends the same click without keepalive where fetch refuses that, too, and then gives up in silence', async () => {
    const { press, sent, warned } = load({
      beacon: () => false,
      fetch: () => Promise.reject(new TypeError('too much')),
    });
    press(inside('ad-42'));
    for (let i = 0; i < 5; i++) await setImmediate();
    expect(sent.map(({ how }) => how)).toEqual([
      'beacon',
      'POST keepalive=true credentials=omit',
      'POST keepalive=false credentials=omit',
    ]);
    expect(new Set(sent.map(({ body }) => body)).size).toBe(1);
    expect(warned).toEqual([]);
  });

  it('makes event ids in pages without TLS, where there is no randomUUID', () => {
    const crypto = { getRandomValues: (array: Uint32Array<ArrayBuffer>) => globalThis.crypto.getRandomValues(array) };
    const { adclick, sent } = load({ crypto });
    for (let i = 0; i < 50; i++) adclick?.('ad-42');
    const ids = clicksIn(sent).map(({ event_id }) => event_id as string);
    expect(new Set(ids).size).toBe(50);
    for (const id of ids) expect(id).toMatch(/^\d+(-\d+){3}$/);
  });

  it.each([
    ['without crypto', { crypto: {} }],
    ['in which fetch is not there', { beacon: () => false, fetch: undefined }],
    ['with an ad that cannot be a text', {}],
  ])('never throws into a page %s', (_what, page) => {
    const { adclick, press } = load(page);
    expect(() => adclick?.({ toString: () => Symbol('x') })).not.toThrow();
    expect(() => press(inside('ad-42'))).not.toThrow();
  });

  it('says in the console what is wrong where it cannot find its own tag, and leaves the page alone', () => {
    const { adclick, warned, listeners } = load({ script: null });
    expect(adclick).toBeUndefined();
    expect(listeners.size).toBe(0);
    expect(warned).toHaveLength(1);
  });

  it('counts once in a page that loads it twice, and also where an element is called adclick', () => {
    expect(load({ more: { adclick: () => undefined } }).listeners.size).toBe(0);
    expect(load({ more: { adclick: {} } }).listeners.size).toBe(2);
  });
});
