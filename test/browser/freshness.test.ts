/** Old numbers on the dashboard say so: with slow reads, failing reads, a stopped store, a stopped aggregator, and another range. */
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { adclicks } from '../support/adclicks.ts';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const current = Math.floor(Date.now() / minuteMs) * minuteMs;
const ad = 'ad-fresh';
const perMinute = 7;
const stack = new AsyncDisposableStack();
let browser: Browser;
let server: DashboardServer;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(await startDashboard({ QUERY_TIMEOUT_MS: '4000' }));
  const rows = Array.from({ length: 90 }, (_, back) => ({
    ...{ minute: current / 1_000 + (15 - back) * 60, ad_id: ad, country: 'KR', partition: 0, version: 10 },
    ...{ clicks: perMinute, duplicates: 1, late: 0 },
  }));
  await server.insert('ad_minute', rows);
  await server.insert('ad_minute_by_ad', rows);
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(async () => {
  server.signal('SIGCONT');
  server.startCounting();
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
});

async function arrive(path: string, prepare?: (page: Page) => Promise<unknown>): Promise<Page> {
  visitor = await visit(browser, server.url);
  await prepare?.(visitor.page);
  await visitor.goto(path);
  return visitor.page;
}

const tile = (page: Page, name: string) => page.locator(`.tile:has([data-tile="${name}"])`);
const value = async (page: Page, name: string) => (await page.locator(`[data-tile="${name}"]`).textContent()) ?? '';
const filled = (page: Page, name: string) =>
  eventually(`tile ${name}`, async () => {
    const text = await value(page, name);
    return text !== '' && text !== '–' && text;
  });
const isOld = async (page: Page, name: string) => (await tile(page, name).getAttribute('data-stale')) !== null;

/** The requests of every list, chart and number. */
const reads = '**/v1/{ads,quarantine,clicks}**';

describe('reads that are slower than the timer', () => {
  it('are shown when they arrive: no request is given up for another one with the same question', async () => {
    const given: string[] = [];
    const page = await arrive(`/?view=ad&ad=${ad}`, async opened => {
      opened.on('requestfailed', request => void given.push(request.url()));
      await opened.route(reads, async route => {
        await new Promise(resolve => setTimeout(resolve, 6_500));
        await route.continue().catch(() => undefined);
      });
    });
    for (const name of ['count', 'restated', 'never']) await filled(page, name);
    await page.getByRole('list', { name: 'Clicks by country' }).locator('li').first().waitFor();
    // Two timers later.
    await page.waitForTimeout(7_000);
    expect(given).toEqual([]);
    expect(await filled(page, 'count')).toMatch(/^[1-9]/);
  });

  it('leave no number of one range under another range', async () => {
    let delayMs = 0;
    const page = await arrive(`/?view=ad&ad=${ad}`, opened =>
      opened.route(reads, async route => {
        await new Promise(resolve => setTimeout(resolve, delayMs));
        await route.continue().catch(() => undefined);
      }),
    );
    const hour = await filled(page, 'count');
    delayMs = 5_000;
    await page.getByRole('button', { name: '15m' }).click();
    for (const name of ['count', 'duplicates', 'late', 'restated', 'waiting', 'never'])
      expect(await value(page, name)).toBe('–');
    expect(await page.getByRole('list', { name: 'Clicks by country' }).count()).toBe(0);
    expect(await page.locator('.chart').getAttribute('aria-label')).toContain(': not known yet');
    delayMs = 0;
    const quarter = await filled(page, 'count');
    expect(Number(quarter)).toBeLessThan(Number(hour));
    expect(visitor?.complaints).toEqual([]);
  });
});

describe('reads that fail', () => {
  it.each(['/', `/?view=ad&ad=${ad}`])(
    'on %s leave the old numbers, marked with their time; another range shows only the failure',
    async path => {
      let fails = false;
      const detail = 'the database took too long: ask for a shorter range, or try again';
      const page = await arrive(path, opened =>
        opened.route('**/v1/ads/series*', route =>
          fails ? route.fulfill({ status: 503, json: { code: 'query_timeout', detail } }) : route.continue(),
        ),
      );
      const before = await filled(page, 'count');
      expect(await isOld(page, 'count')).toBe(false);
      fails = true;
      const strip = page
        .getByRole('region', { name: 'Clicks', exact: true })
        .getByText('Newer numbers could not be read');
      await strip.waitFor({ timeout: 120_000 });
      expect(await strip.textContent()).toMatch(/^As of \d\d:\d\d:\d\d\. /);
      expect(await strip.textContent()).toContain(detail);
      expect(await isOld(page, 'count')).toBe(true);
      expect(await value(page, 'count')).toMatch(/^\d/);
      expect(await visitor?.barriers()).toEqual([]);
      await page.getByRole('button', { name: '15m' }).click();
      await page.getByRole('alert').getByText(detail).waitFor();
      expect(await value(page, 'count')).toBe('–');
      expect(await isOld(page, 'count')).toBe(false);
      fails = false;
      await page.getByRole('button', { name: 'Try again' }).click();
      expect(Number(await filled(page, 'count'))).toBeLessThan(Number(before));
    },
  );

  it('on the view Operations leave its numbers, marked as old', async () => {
    let fails = false;
    const page = await arrive('/?view=operations', opened =>
      opened.route('**/v1/status*', route => (fails ? route.fulfill({ status: 503, json: {} }) : route.continue())),
    );
    await filled(page, 'unread');
    fails = true;
    await page.getByText('Newer numbers could not be read: The query API answered with status 503.').waitFor();
    for (const name of ['watermark', 'final', 'unread', 'balance']) expect(await isOld(page, name)).toBe(true);
    fails = false;
    await eventually('all is new', async () => !(await isOld(page, 'unread')));
  });
});

describe('a store that hangs', () => {
  it('is reported within seconds, and live numbers are marked as old, until it answers again', async () => {
    const page = await arrive('/');
    await page.locator('#pulse[data-state="live"]').waitFor();
    for (const name of ['rate', 'count']) await filled(page, name);
    server.signal('SIGSTOP');
    const news = page.locator('#news');
    await news.getByText('No live event has arrived from the query API for more than three seconds.').waitFor();
    expect(await page.locator('#pulse').textContent()).toBe('No news');
    expect(await news.textContent()).toMatch(/as of \d\d:\d\d:\d\d\./);
    for (const name of ['rate', 'lag', 'unread']) expect(await isOld(page, name)).toBe(true);
    expect(await visitor?.barriers()).toEqual([]);
    await visitor?.screenshot('store-hangs');
    await news.getByText('The store (ClickHouse) does not answer.').waitFor({ timeout: 120_000 });
    await page
      .getByRole('region', { name: 'Clicks', exact: true })
      .getByText(/^As of \d\d:\d\d:\d\d\. Newer/)
      .waitFor();
    expect(await isOld(page, 'count')).toBe(true);
    server.signal('SIGCONT');
    await page.locator('#pulse[data-state="live"]').waitFor({ timeout: 120_000 });
    await eventually('all is new', async () => !(await isOld(page, 'rate')) && !(await isOld(page, 'count')));
    expect(await news.textContent()).toBe('');
  });
});

describe('a viewer whose clock is wrong by twenty minutes', () => {
  it('still sees the last hour of the server, and it moves on', async () => {
    const page = await arrive('/', opened => opened.clock.install({ time: Date.now() - 20 * minuteMs }));
    await page.locator('#pulse[data-state="live"]').waitFor();
    const last = async () => {
      const url = await page.waitForRequest('**/v1/ads/series*').then(request => request.url());
      return Date.parse(new URL(url).searchParams.get('to') ?? '');
    };
    await eventually('the hour of the server', async () => Math.abs((await last()) - Date.now()) < 2 * minuteMs);
  });
});

describe('an aggregator that stops', () => {
  it('is reported in red on every view, with the time, and `adclicks status` ends with 3', async () => {
    const at = Date.now() - 7 * minuteMs;
    const page = await arrive('/?view=operations');
    const rows = page.locator('[aria-label="Partitions"] tbody tr');
    await rows.first().waitFor();
    const ended = await adclicks({}, 'status', '--url', server.url);
    expect([ended.code, ended.stdout]).toEqual([0, expect.stringMatching(/stalled +none/)]);
    await server.stopCounting(Date.now() - at);
    const clock = await page.evaluate(`import('/dashboard/format.js').then(m => m.shortTime(${at}))`);
    await page.locator('#news').getByText('4 partitions are not being counted').waitFor({ timeout: 120_000 });
    expect(await page.locator('#news').textContent()).toContain(`since ${clock}`);
    await eventually('each partition says so', async () => {
      const states = await rows.locator('td:nth-child(2) .tag.bad').allTextContents();
      return states.length === 4 && states.every(state => state === `not counted since ${clock}`);
    });
    await page.getByText('4 partitions are not counted').first().waitFor();
    expect(await page.locator('#pulse').textContent()).toBe('Counting has stalled');
    expect(await visitor?.barriers()).toEqual([]);
    await visitor?.screenshot('aggregator-stopped');
    for (const path of ['/', '/?view=ad', '/?view=replay']) {
      await page.goto(path);
      await page.locator('#news').getByText('4 partitions are not being counted').waitFor();
    }
    const { code, stdout } = await adclicks({}, 'status', '--url', server.url);
    expect(code).toBe(3);
    expect(stdout).toMatch(/stalled +NOT COUNTED: partition 0 since /);
    server.startCounting();
    await eventually('it is counted again', async () => (await page.locator('#news').textContent()) === '');
  });
});
