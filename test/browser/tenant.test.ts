/** The dashboard with the key of a tenant: it shows the tenant's ads alone, and says whose they are. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { bearer, keysInMemory } from '../support/api-keys.ts';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { visit } from '../support/visitor.ts';

const minuteMs = 60_000;
const stack = new AsyncDisposableStack();
let browser: Browser;
let server: DashboardServer;
const keys = keysInMemory();
const tenant = { id: 'acme', adIdPrefixes: ['acme-'] };
const ofTenant = keys.add({ scopes: ['read'], tenant });
const ofAll = keys.add({ scopes: ['read'] });

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(await startDashboard({ API_KEYS: 'required' }, { keys }));
  // In the current minute, and in those that will be while the pages are looked at.
  const minute = Math.floor(Date.now() / minuteMs) * 60;
  const cells = Array.from({ length: 10 }, (_, i) => {
    const cell = { minute: minute + (i - 3) * 60, country: 'KR', partition: 0, version: 10, duplicates: 0, late: 0 };
    return [
      { ...cell, ad_id: 'acme-1', clicks: 21 },
      { ...cell, ad_id: 'shop-1', clicks: 400 },
    ];
  });
  await server.insert('ad_minute', cells.flat());
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());

async function overview(key: string) {
  await using visitor = await visit(browser, server.url, { extraHTTPHeaders: bearer(key) });
  await visitor.goto('/');
  const { page } = visitor;
  await page.locator('#pulse[data-state="live"]').waitFor();
  await page.getByText('acme-1').first().waitFor();
  return {
    text: (await page.locator('body').textContent()) ?? '',
    whose: await page.locator('#tenant').isVisible(),
    pages: await page.locator('nav a:visible').allInnerTexts(),
  };
}

it('names the tenant, shows no ad and no number of others, and leaves out what is about the whole pipeline', async () => {
  const { text, whose, pages } = await overview(ofTenant);
  expect(whose).toBe(true);
  expect(text).toContain('Ads of acme');
  expect(text).not.toMatch(/shop-1|counted in all/);
  expect(pages).toEqual(['Overview', 'Ads']);
});

it('names nobody, and shows all ads, with a key for all', async () => {
  const { text, whose, pages } = await overview(ofAll);
  expect(whose).toBe(false);
  expect(text).toContain('shop-1');
  expect(pages).toHaveLength(4);
});
