/**
 * What is shown goes by the time of the server, and says so where it cannot: with a wrong clock of the viewer, one that is put
 * while the page is open, a computer that slept, and proxies that answer in place of the query API or hold live events back.
 */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { type MeddlingProxy, startMeddlingProxy } from '../support/meddling-proxy.ts';
import { viewerClock } from '../support/viewer-clock.ts';
import { type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const ad = 'ad-timely';
const stack = new AsyncDisposableStack();
let browser: Browser;
let server: DashboardServer;
let proxy: MeddlingProxy;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(await startDashboard());
  const current = Math.floor(Date.now() / minuteMs) * minuteMs;
  const rows = Array.from({ length: 90 }, (_, back) => ({
    ...{ minute: current / 1_000 + (30 - back) * 60, ad_id: ad, country: 'KR', partition: 0, version: 10 },
    ...{ clicks: 7, duplicates: 1, late: 0 },
  }));
  await server.insert('ad_minute', rows);
  await server.insert('ad_minute_by_ad', rows);
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());
beforeEach(async () => {
  proxy = await startMeddlingProxy(server.url);
});
afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
  await proxy[Symbol.asyncDispose]();
});

async function arrive(path: string, clockOffMs = 0): Promise<Page> {
  visitor = await visit(browser, proxy.url);
  await visitor.page.addInitScript(viewerClock(clockOffMs));
  await visitor.goto(path);
  return visitor.page;
}

const tile = (page: Page, name: string) => page.locator(`.tile:has([data-tile="${name}"])`);
const value = async (page: Page, name: string) => (await page.locator(`[data-tile="${name}"]`).textContent()) ?? '';
const isOld = async (page: Page, name: string) => (await tile(page, name).getAttribute('data-stale')) !== null;
const filled = (page: Page, name: string) =>
  eventually(`tile ${name}`, async () => /\d/.test(await value(page, name)) && (await value(page, name)));
const card = (page: Page, name: string) => page.getByRole('region', { name, exact: true });

/** How far the ends of all ranges that were asked for are from the time of the server, in minutes. */
const farthest = () =>
  proxy.asked
    .filter(path => /^\/v1\/ads(\/series|\/countries|\/popular_ads|)\?/.test(path))
    .map(path => Date.parse(new URL(path, proxy.url).searchParams.get('to') ?? ''))
    .reduce((most, to) => Math.max(most, Math.abs(to - Date.now()) / minuteMs), 0);

describe.each([-26 * hourMs, -5 * hourMs, -90_000, 90_000, 3 * hourMs, 40 * 24 * hourMs])(
  'a viewer whose clock is wrong by %i ms',
  off => {
    it.each(['/', '/?range=today', '/?view=ad', `/?view=ad&ad=${ad}`])(
      'sees ranges of the server alone, from the first request on: %s',
      async path => {
        const page = await arrive(path, off);
        await card(page, path === '/?view=ad' ? 'All ads' : 'Clicks')
          .locator('.state, canvas')
          .first()
          .waitFor();
        await page.locator('#pulse[data-state="live"]').waitFor();
        expect(proxy.asked.some(asked => asked.startsWith('/v1/ads'))).toBe(true);
        expect(farthest()).toBeLessThan(2);
        expect(visitor?.complaints).toEqual([]);
      },
    );
  },
);

/** A zone in which it is about noon: the last hour is one of today there. */
const noon = () => {
  const east = 12 - new Date().getUTCHours();
  return `Etc/GMT${east > 0 ? '-' : '+'}${Math.abs(east)}`;
};

describe('a clock that is put while the page is open', () => {
  it.each([
    ['/?zone=', 3 * hourMs],
    ['/?zone=', -3 * hourMs],
    ['/?view=ad&zone=', 26 * hourMs],
    ['/?view=ad&zone=', -26 * hourMs],
  ])('changes no range: %s by %i ms', async (path, by) => {
    const page = await arrive(`${path}${encodeURIComponent(noon())}`);
    const isList = path.includes('view=ad');
    const list = card(page, isList ? 'All ads' : 'Top ads');
    const note = card(page, isList ? 'All ads' : 'Clicks').locator('.note');
    // It is of today, so it has no date.
    const ofToday = /^(per minute, )?\d\d:\d\d to \d\d:\d\d/;
    await list.getByText(ad).first().waitFor();
    await note.getByText(ofToday).waitFor();
    proxy.asked.length = 0;
    await page.evaluate(`putClock(${by})`);
    await eventually('the time is asked for', async () => proxy.asked.includes('/v1/session'));
    await eventually('the time is known', async () => {
      const away = await page.evaluate<number>(
        `import('/dashboard/clock.js').then(clock => Math.abs(clock.serverTime() - ${Date.now()}))`,
      );
      return away < minuteMs;
    });
    proxy.asked.length = 0;
    // All of it is asked for again.
    await page.getByRole('link', { name: 'Replay' }).click();
    await page.goBack();
    await list.getByText(ad).first().waitFor();
    await note.getByText(ofToday).waitFor();
    expect(proxy.asked.some(asked => asked.startsWith('/v1/ads'))).toBe(true);
    expect(farthest()).toBeLessThan(2);
  });
});

describe('a computer that slept for hours', () => {
  it.each(['/', `/?view=ad&ad=${ad}`, '/?view=ad', '/?view=operations'])(
    'shows no number as current before it was read again: %s',
    async path => {
      const page = await arrive(path);
      const name = { '/?view=ad': 'All ads', '/?view=operations': 'Partitions' }[path] ?? 'Clicks';
      await page.locator('#pulse[data-state="live"]').waitFor();
      const key = { '/?view=ad': undefined, '/?view=operations': 'unread' }[path] ?? 'count';
      if (path !== '/?view=ad') await filled(page, key);
      else await card(page, name).getByText(ad).first().waitFor();
      // The network is not there yet when it wakes up.
      proxy.answer = () => 'never';
      proxy.deaden();
      await page.evaluate(`putClock(${8 * hourMs})`);
      await card(page, name)
        .getByText(/^As of \d\d:\d\d:\d\d|^As of .*, \d\d:\d\d:\d\d/)
        .waitFor();
      await page.locator('#pulse[data-state="silent"]').waitFor();
      expect(await card(page, name).locator('.body').getAttribute('data-stale')).not.toBeNull();
      if (path !== '/?view=ad') expect(await isOld(page, key)).toBe(true);
      expect(await visitor?.barriers()).toEqual([]);
    },
  );
});

describe('a list that is not read again by itself', () => {
  it('says after a minute how old it is, and is read again at a click', async () => {
    const page = await arrive('/?view=ad');
    const list = card(page, 'All ads');
    await list.getByText(ad).first().waitFor();
    await list.getByRole('button', { name: 'Read again' }).waitFor();
    expect(await list.getByRole('status').textContent()).toMatch(
      /^As of \d\d:\d\d:\d\d\. There may be newer numbers\./,
    );
    await list.getByRole('button', { name: 'Read again' }).click();
    await list.getByRole('status').waitFor({ state: 'hidden' });
    expect(await list.locator('.body').getAttribute('data-stale')).toBeNull();
  });
});

describe('live events', () => {
  it('that a proxy holds back are not called live', async () => {
    const page = await arrive('/');
    await page.locator('#pulse[data-state="live"]').waitFor();
    await filled(page, 'count');
    proxy.heldMs = 13_000;
    await page.locator('#pulse[data-state="delayed"]').waitFor();
    await page.locator('#news').getByText('Live events are delayed by more than 10 s').waitFor();
    expect(await page.locator('#pulse').textContent()).toBe('Delayed');
    for (const name of ['rate', 'lag', 'unread']) expect(await isOld(page, name)).toBe(true);
    expect(await visitor?.barriers()).toEqual([]);
    proxy.heldMs = 0;
    await page.locator('#pulse[data-state="live"]').waitFor();
    expect(await isOld(page, 'rate')).toBe(false);
  });

  it('come again over a new connection if nobody is at the other end of the old one', async () => {
    const page = await arrive('/');
    await page.locator('#pulse[data-state="live"]').waitFor();
    proxy.deaden();
    await page.locator('#pulse[data-state="silent"]').waitFor();
    await page.locator('#pulse[data-state="live"]').waitFor();
    const streams = proxy.asked.filter(path => path.startsWith('/v1/live'));
    expect(streams.at(-1)).toContain('last_event_id=');
  });
});

describe('a proxy that answers in place of the query API', () => {
  const html = { 'content-type': 'text/html' };
  it.each([
    ['a page for signing in', { status: 200, headers: html, body: '<html>Sign in</html>' }, 'answered in its place'],
    ['a redirect', { status: 302, headers: { location: 'https://sso.example/' } }, 'answered in its place'],
    ['half of an answer', { status: 200, headers: { 'content-type': 'application/json' }, body: '{"se' }, 'in part'],
    ['503', { status: 503, headers: html, body: '<html></html>' }, 'try again in a moment'],
  ])('with %s leaves the old numbers, marked, with what to do', async (_what, own, words) => {
    const page = await arrive(`/?view=ad&ad=${ad}`);
    const before = await filled(page, 'count');
    proxy.answer = path => (path.startsWith('/v1/ads') ? own : undefined);
    const strip = card(page, 'Clicks').getByRole('status');
    await strip.getByText(words).waitFor();
    expect(await strip.textContent()).toMatch(/^As of \d\d:\d\d:\d\d\. Newer numbers could not be read: /);
    expect([await value(page, 'count'), await isOld(page, 'count')]).toEqual([before, true]);
    proxy.answer = () => undefined;
    await strip.waitFor({ state: 'hidden' });
    expect(await isOld(page, 'count')).toBe(false);
  });

  it('is left alone for as long as it asks for, and asked at once if the viewer wishes it', async () => {
    const page = await arrive(`/?view=ad&ad=${ad}`);
    await filled(page, 'count');
    proxy.answer = path =>
      path.startsWith('/v1/ads/series') ? { status: 429, headers: { 'retry-after': '120' } } : undefined;
    const strip = card(page, 'Clicks').getByRole('status');
    await strip.getByText('Too many requests').waitFor();
    proxy.asked.length = 0;
    const asked = (what: string) => proxy.asked.filter(path => path.startsWith(`/v1/ads/${what}`)).length;
    await eventually('the other cards are asked for three more times', async () => asked('countries') >= 3);
    expect(asked('series')).toBe(0);
    proxy.answer = () => undefined;
    await strip.getByRole('button', { name: 'Try again' }).click();
    await strip.waitFor({ state: 'hidden' });
    expect(asked('series')).toBe(1);
  });

  it('for health shows no number that nobody has measured', async () => {
    proxy.answer = path => (path === '/metrics' ? { status: 200, headers: html, body: '<html></html>' } : undefined);
    const page = await arrive('/?view=operations');
    await card(page, 'Health').getByText('answered in its place').waitFor();
    expect(await card(page, 'Health').textContent()).not.toContain('up for');
  });
});

describe('an address that is no range', () => {
  it.each([
    ['/?range=2h', '“2h”, which is no known range: this is “1h”'],
    ['/?view=ad&from=2026-03-01T10:00:00Z', 'which is no range of time: this is “1h”'],
    ['/?view=operations&zone=Mars/Olympus', 'knows no zone “Mars/Olympus”: times are in Europe/Berlin'],
  ])('says what is shown in its place: %s', async (path, words) => {
    const page = await arrive(path);
    await page.getByRole('alert').getByText(words).waitFor();
    expect(await page.locator('[data-range="custom"][aria-pressed="true"]').count()).toBe(0);
    expect(await visitor?.barriers()).toEqual([]);
  });
});

describe('the choice of stored filters', () => {
  it('offers all of them, also more than the API gives at once', async () => {
    const ids = Array.from({ length: 450 }, (_, i) => `filter-${String(i).padStart(3, '0')}`);
    await visitor?.[Symbol.asyncDispose]();
    visitor = await visit(browser, proxy.url);
    const json = { 'content-type': 'application/json' };
    proxy.answer = path => {
      if (!path.startsWith('/v1/filters')) return undefined;
      const from = Number(new URL(path, proxy.url).searchParams.get('cursor') ?? 0);
      const filters = ids.slice(from, from + 200).map(id => ({ id }));
      const next_cursor = from + 200 < ids.length ? String(from + 200) : null;
      return { status: 200, headers: json, body: JSON.stringify({ filters, next_cursor }) };
    };
    await visitor.goto('/');
    const options = visitor.page.locator('select[name="filter"] option');
    await eventually('all of them', async () => (await options.count()) === ids.length + 1);
  });
});
