/**
 * Clicks that pages send, from a real browser, with pages that are left or closed at once, of other sites, behind
 * policies, and with ad blockers. Ingest is real; its log is in memory.
 */
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { pino } from 'pino';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../infra/config.ts';
import { listen } from '../../infra/http.ts';
import { buildIngestApp } from '../../ingest/app.ts';
import type { Click } from '../../ingest/click.ts';
import { IngestConfig } from '../../ingest/config.ts';
import { keysInMemory } from '../support/api-keys.ts';
import { openBrowser } from '../support/browser.ts';
import { clicksOf } from '../support/clicks.ts';
import { eventually } from '../support/wait.ts';

const readme = readFileSync(join(import.meta.dirname, '../../ingest/browser/README.md'), 'utf8');
const examples = [...readme.matchAll(/```(html|js)\n([\s\S]*?)```/g)].map(([, , code = '']) => code);
const [example = '', beaconExample = '', pixelExample = ''] = examples;

interface Served {
  readonly html: string;
  readonly headers?: Readonly<Record<string, string>>;
}

const stack = new AsyncDisposableStack();
const pages = new Map<string, Served>();
const keys = keysInMemory();
let browser: Browser;
let page: Page;
/** Of the site that the key names, of another one, and of ingest. They are the same server, and different origins. */
let [site, otherSite, ingest] = ['', '', ''];
let key = '';
let appended: Click[] = [];
let refused: string[] = [];
let errors: string[] = [];

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  const server = createServer(({ url = '' }, answer) => {
    const { html, headers } = pages.get(url) ?? { html: '<!doctype html><title>shop</title>the shop' };
    answer.writeHead(200, { 'content-type': 'text/html; charset=utf-8', ...headers }).end(html);
  });
  await new Promise<void>(resolve => server.listen(0, 'localhost', resolve));
  stack.defer(() => new Promise<void>(resolve => server.close(() => resolve())));
  const { port } = server.address() as AddressInfo;
  [site, otherSite] = [`http://localhost:${port}`, `http://evil.localhost:${port}`];
  const http = await buildIngestApp({
    config: loadConfig(IngestConfig, {}),
    clickLog: {
      append: async lines => {
        const text = lines.bytes.toString('utf8', 0, lines.end);
        if (text.startsWith('{"refused_browser"')) refused.push(text);
        else appended.push(...clicksOf(lines));
      },
      refusal: () => undefined,
    },
    ...{ keys, log: pino({ level: 'silent' }) },
    kafkaReady: () => Promise.resolve(),
    rulesKnown: () => undefined,
  });
  stack.defer(() => http.close());
  ingest = await listen(http, '127.0.0.1', 0);
  key = keys.add({ scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: [site] });
});
afterAll(() => stack[Symbol.asyncDispose]());

beforeEach(async () => {
  [appended, refused, errors] = [[], [], []];
  page = await browser.newPage();
  page.on('pageerror', error => void errors.push(error.message));
});
afterEach(() => page.close());

/** An example of the documents as its reader writes it. */
const asWritten = (code: string) => code.replaceAll('https://clicks.example', ingest).replaceAll('adclicks_pub_…', key);
const script = () => `<script src="${ingest}/click.js" data-key="${key}"></script>`;
const link = '<a href="/shop" data-adclick="ad-42"><b>Shoes</b></a>';

async function open(html: string, headers: Record<string, string> = {}, at = site): Promise<void> {
  pages.set('/page', { html: `<!doctype html><title>page</title>${html}`, headers });
  await page.goto(`${at}/page`);
}

/** Another click, after which whatever was sent before has come. */
async function settled(): Promise<void> {
  const last = await browser.newPage();
  pages.set('/last', { html: `<!doctype html><title>last</title>${script()}` });
  await last.goto(`${site}/last`);
  await last.evaluate('adclick("ad-last")');
  await eventually('the last click', async () => appended.some(({ adId }) => adId === 'ad-last'));
  await last.close();
}

async function counted(): Promise<string[]> {
  await settled();
  return appended.map(({ adId }) => adId).filter(adId => adId !== 'ad-last');
}

const reasons = () => refused.map(line => JSON.parse(line).refused_browser.reason as string);

describe('a click on a marked link', () => {
  it('is counted once, as the example of the documents has it, and so is the function', async () => {
    pages.set('/page', { html: asWritten(example) });
    await page.goto(`${site}/page`);
    await page.getByRole('button', { name: 'Boots' }).click();
    await page.getByRole('link', { name: 'Shoes' }).click();
    await page.waitForURL('**/shop');
    await eventually('both have come', async () => appended.length === 2);
    expect((await counted()).sort()).toEqual(['ad-42', 'ad-43']);
    expect(new Set(appended.map(({ eventId }) => eventId)).size).toBe(3);
    expect(errors).toEqual([]);
  });

  it('is counted once where the page is closed at once', async () => {
    await open(script() + link);
    await page.evaluate('document.querySelector("a").addEventListener("click", event => event.preventDefault())');
    await page.click('b', { noWaitAfter: true });
    await page.close();
    await eventually('it has come', async () => appended.length === 1);
    expect(await counted()).toEqual(['ad-42']);
  });

  it('is counted once where the page leaves in the same moment, and the next one never answers', async () => {
    await open(`${script()}<a href="#" data-adclick="ad-42" onclick="location.href = 'http://192.0.2.1/'">Shoes</a>`);
    await page.click('a', { noWaitAfter: true });
    await eventually('it has come', async () => appended.length === 1);
    expect(await counted()).toEqual(['ad-42']);
  });

  it('is counted once where it opens another tab, by whatever button', async () => {
    await open(script() + link);
    await page.click('b', { modifiers: ['Control'] });
    await page.click('b', { button: 'middle' });
    await page.click('b', { button: 'right' });
    await eventually('both have come', async () => appended.length === 2);
    expect(await counted()).toEqual(['ad-42', 'ad-42']);
    expect(new Set(appended.map(({ eventId }) => eventId)).size).toBe(3);
  });

  it('has the time of the click', async () => {
    const before = Date.now();
    await open(script() + link);
    await page.click('b');
    await eventually('it has come', async () => appended.length === 1);
    expect(appended[0]?.clickedAt).toBeGreaterThanOrEqual(before);
    expect(appended[0]?.clickedAt).toBeLessThanOrEqual(Date.now());
  });

  it('leaves no cookie and nothing stored', async () => {
    await open(script() + link);
    await page.click('b');
    await eventually('it has come', async () => appended.length === 1);
    expect(await page.context().cookies()).toEqual([]);
    const { origins } = await page.context().storageState();
    expect(origins).toEqual([]);
  });
});

describe('a browser that refuses the beacon', () => {
  it.each([
    ['says no', 'navigator.sendBeacon = () => false'],
    ['throws', 'navigator.sendBeacon = () => { throw new Error("blocked"); }'],
    ['has none', 'Navigator.prototype.sendBeacon = undefined'],
  ])('and %s, sends it otherwise: it is counted once, also from a page that is left', async (_what, refusal) => {
    await page.addInitScript(refusal);
    await open(script() + link);
    await page.click('b');
    await page.waitForURL('**/shop');
    await eventually('it has come', async () => appended.length === 1);
    expect(await counted()).toEqual(['ad-42']);
    expect(errors).toEqual([]);
  });
});

describe('an ad blocker', () => {
  it.each(['**/click.js', '**/b?k=*'])('that blocks %s leaves the page as it is', async what => {
    await page.route(what, route => route.abort('blockedbyclient'));
    await open(script() + link);
    await page.click('b');
    await page.waitForURL('**/shop');
    expect(errors).toEqual([]);
    expect(await counted()).toEqual([]);
  });
});

describe('a page of another site', () => {
  it('is not counted, whatever it sends with the key', async () => {
    await open(script() + link, {}, otherSite);
    await page.click('b');
    await page.waitForURL('**/shop');
    await eventually('it is refused', async () => refused.length === 1);
    await page.evaluate(`navigator.sendBeacon('${ingest}/b?k=${key}', '{"ad_id":"ad-42","event_id":"e1"}')`);
    await eventually('it is refused', async () => refused.length === 2);
    await page.evaluate(
      `fetch('${ingest}/b?k=${key}', { method: 'POST', mode: 'no-cors', body: '{"ad_id":"ad-42"}' })`,
    );
    await eventually('it is refused', async () => refused.length === 3);
    await page.evaluate(`new Image().src = '${ingest}/p/ad-42.gif?k=${key}&e=e1'`);
    await eventually('it is refused', async () => refused.length === 4);
    expect(reasons()).toEqual(Array(4).fill('wrong_origin'));
    await page.setContent(`<img src="${ingest}/p/ad-42.gif?k=${key}&e=e1" referrerpolicy="no-referrer">`);
    await eventually('it is refused', async () => refused.length === 5);
    expect(reasons().at(-1)).toBe('no_origin');
    expect(await counted()).toEqual([]);
  });

  it('may not even ask to send JSON, and a page of the key may, and reads the answer', async () => {
    const click = { ad_id: 'ad-7', event_id: 'e1', clicked_at: Date.now() };
    const json = `fetch('${ingest}/b?k=${key}', {
      method: 'POST', headers: { 'content-type': 'application/json' }, body: '${JSON.stringify(click)}',
    }).then(answer => answer.status, error => error.name)`;
    await open('', {}, otherSite);
    expect(await page.evaluate(json)).toBe('TypeError');
    await open('');
    expect(await page.evaluate(json)).toBe(204);
    expect(await counted()).toEqual(['ad-7']);
  });
});

describe('a page with a strict policy', () => {
  const blocked = () => page.evaluate<string[]>('globalThis.blocked');
  const watch =
    'globalThis.blocked = []; addEventListener("securitypolicyviolation", event => blocked.push(event.violatedDirective))';

  it('is counted with the directives of the documents', async () => {
    await page.addInitScript(watch);
    const [, directives = ''] = /`(script-src [^`]*)`/.exec(readme) ?? [];
    const policy = `default-src 'none'; ${asWritten(directives)}; img-src ${ingest}`;
    const pixel = `<img src="${ingest}/p/ad-1.gif?k=${key}&e=e1" referrerpolicy="origin">`;
    await open(script() + link + pixel, { 'content-security-policy': policy });
    await eventually('the pixel has come', async () => appended.length === 1);
    expect(await blocked()).toEqual([]);
    await page.click('b');
    await page.waitForURL('**/shop');
    await eventually('it has come', async () => appended.length === 2);
    expect(await counted()).toEqual(['ad-1', 'ad-42']);
  });

  it('needs connect-src', async () => {
    await page.addInitScript(watch);
    await open(script() + link, { 'content-security-policy': `default-src 'none'; script-src ${ingest}` });
    await page.evaluate('document.querySelector("a").addEventListener("click", event => event.preventDefault())');
    await page.click('b');
    await eventually('it is blocked', async () => (await blocked()).includes('connect-src'));
    expect(errors).toEqual([]);
    expect(await counted()).toEqual([]);
  });

  it('may load it as an embedder of nothing that does not agree, and checked by its hash', async () => {
    const served = await (await fetch(`${ingest}/click.js`)).arrayBuffer();
    const hash = Buffer.from(await crypto.subtle.digest('SHA-384', served)).toString('base64');
    const checked = script().replace('<script', `<script crossorigin integrity="sha384-${hash}"`);
    const pixel = `<img src="${ingest}/p/ad-1.gif?k=${key}&e=e1" referrerpolicy="origin">`;
    await open(checked + link + pixel, { 'cross-origin-embedder-policy': 'require-corp' });
    await page.click('b');
    await eventually('both have come', async () => appended.length === 2);
    expect(await page.locator('img').count()).toBeLessThanOrEqual(1);
    expect((await counted()).sort()).toEqual(['ad-1', 'ad-42']);
  });

  it('may hide from where it comes, if its pixel says it by itself', async () => {
    const pixel = `<img src="${ingest}/p/ad-1.gif?k=${key}&e=e1" referrerpolicy="origin">`;
    await open(pixel + pixel.replace('ad-1', 'ad-2').replace('referrerpolicy', 'data-was'), {
      'referrer-policy': 'no-referrer',
    });
    await eventually('one is refused', async () => refused.length === 1);
    expect(reasons()).toEqual(['no_origin']);
    expect(await counted()).toEqual(['ad-1']);
  });
});

describe('a page without the script', () => {
  it('sends a beacon as the documents say', async () => {
    await open('');
    expect(await page.evaluate(`{ ${asWritten(beaconExample)} }`)).toBe(true);
    await eventually('it has come', async () => appended.length === 1);
    expect(await counted()).toEqual(['ad-42']);
  });

  it('counts a pixel of the documents once, however often the page is loaded', async () => {
    const t = `${Math.floor(Date.now() / 1_000)}`;
    await open(asWritten(pixelExample).replace(/t=\d+/, `t=${t}`));
    for (let loaded = 1; loaded < 4; loaded++) {
      await eventually(`load ${loaded}`, async () => appended.length === loaded);
      await page.reload();
    }
    const clicks = appended.filter(({ adId }) => adId === 'ad-42');
    expect(new Set(clicks.map(({ eventId, clickedAt }) => `${eventId} ${clickedAt}`))).toEqual(
      new Set([`0b6f2c9e ${Number(t) * 1_000}`]),
    );
    expect(await page.evaluate('document.querySelector("img").naturalWidth')).toBe(1);
  });
});
