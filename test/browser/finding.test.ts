/** What people look for on the dashboard: a first click, a number with its parts, an ad, a range of time, a file. */
import { readFileSync } from 'node:fs';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { exact, shows } from '../support/exact-numbers.ts';
import { type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const current = Math.floor(Date.now() / minuteMs) * minuteMs;
const lateMinute = current - 30 * minuteMs;
const changes = 1_198;
const added = 1_342;
const lines = { restated: 1_211, waiting: 12, not_counted: 3 };
const late = 'ad-late';
/** 804 clicks and 7 copies arrived in time, and 231 clicks and 295 copies too late. 5 of these copies are in restated counts. */
const disputed = 'ad-disputed';
const stack = new AsyncDisposableStack();
let browser: Browser;
let server: DashboardServer;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(await startDashboard());
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
});

async function look(path: string): Promise<Page> {
  visitor = await visit(browser, server.url, { permissions: ['clipboard-read', 'clipboard-write'] });
  await visitor.goto(path);
  return visitor.page;
}

const copied = (page: Page) => page.evaluate<string>('navigator.clipboard.readText()');

/** 130 ads over 90 minutes, the first with the most clicks, in three countries. */
const adOf = (rank: number) => `${rank % 2 === 0 ? 'Spring' : 'autumn'}-${String(rank).padStart(3, '0')}.banner`;
const clicksOf = (rank: number, country: number) => (rank < 3 ? 40 : 3) - country;
const countries = ['KR', 'DE', 'IN'];

async function fill(): Promise<void> {
  const cells = [];
  for (let back = 0; back < 90; back++) {
    for (let rank = 0; rank < 130; rank++) {
      if (rank > 10 && back % 10 > 0) continue;
      for (const [i, country] of countries.entries()) {
        const minute = current / 1_000 - back * 60;
        const clicks = clicksOf(rank, i);
        cells.push({ minute, ad_id: adOf(rank), country, partition: 0, version: 10, clicks, duplicates: 0, late: 0 });
      }
    }
  }
  const cell = { minute: lateMinute / 1_000, ad_id: late, country: 'KR', partition: 0, version: 10 };
  cells.push({ ...cell, clicks: 2_377, duplicates: 0, late: 5 });
  cells.push({ ...cell, ad_id: disputed, clicks: 1_035, duplicates: 12, late: 231 });
  await server.insert('ad_minute', cells);
  await server.insert('ad_minute_by_ad', cells);
  // 1,342 clicks in 1,198 changes, and 1,211 + 12 + 3 lines.
  await server.insert(
    'restatement',
    Array.from({ length: changes }, (_, i) => ({
      ...{ minute: lateMinute / 1_000, ad_id: late, country: 'KR', revision: i + 1, reason: 'late', job: 'job-1' },
      ...{ before: 1_035 + i, after: 1_035 + i + (i < added - changes ? 2 : 1), at: Date.now() - 60_000 + i },
      ...{ before_duplicates: 0, after_duplicates: 0 },
    })),
  );
  await server.insert('restatement', [
    {
      ...{ minute: lateMinute / 1_000, ad_id: disputed, country: 'KR', revision: 1, reason: 'late', job: 'job-1' },
      ...{ before: 804, after: 1_035, at: Date.now() - 60_000, before_duplicates: 7, after_duplicates: 12 },
    },
  ]);
  const line = (offset: number, reason: string, clicked_at: number) => ({
    ...{ partition: 0, offset, line: 0, reason, detail: reason, appended_at: Date.now() - 600_000 + offset },
    ...{ ad_id: late, event_id: `e-${offset}`, clicked_at, raw: '{}' },
  });
  await server.insert('quarantine', [
    ...Array.from({ length: lines.restated }, (_, i) => line(i, 'too_late', lateMinute + 5)),
    ...Array.from({ length: lines.waiting }, (_, i) => line(5_000 + i, 'too_late', lateMinute + 5)),
    ...Array.from({ length: lines.not_counted }, (_, i) => line(6_000 + i, 'future', lateMinute + 5)),
    ...Array.from({ length: 231 + 295 }, (_, i) => ({
      ...line(2_000 + i, 'too_late', lateMinute + 5),
      ad_id: disputed,
    })),
    ...Array.from({ length: 2 }, (_, i) => ({ ...line(7_000 + i, 'too_late', lateMinute + 5), ad_id: disputed })),
    ...Array.from({ length: 3 }, (_, i) => ({ ...line(8_000 + i, 'future', lateMinute + 5), ad_id: disputed })),
    // This line is of another time, so no number of the range contains it.
    line(9_000, 'future', current - 9 * 60 * minuteMs),
  ]);
  await server.insert('recounted_minute', [
    {
      minute: lateMinute / 1_000,
      at: Date.now() - 1_000,
      job: 'job-1',
      cells: 0,
      read_until: { 0: 4_000 },
      settled: 1,
    },
  ]);
  server.startCounting();
}

describe('the overview of a new installation', () => {
  it('shows how to post the first click, with a line to copy', async () => {
    const page = await look('/');
    const card = page.getByRole('region', { name: 'The first click' });
    await card.waitFor();
    const line = (await card.locator('code').textContent()) ?? '';
    expect(line).toMatch(
      /^curl -X POST http:\/\/127\.0\.0\.1:8080\/v1\/clicks -H 'content-type: application\/json' -d '/,
    );
    await card.getByRole('button', { name: 'Copy' }).click();
    expect(await copied(page)).toBe(line);
    expect(await visitor?.barriers()).toEqual([]);
    await visitor?.screenshot('first-click');
    await fill();
    await card.waitFor({ state: 'hidden' });
  });
});

describe('an ad with late clicks', () => {
  const path = `/?view=ad&ad=${late}&range=6h`;

  it('divides them into counted since, waiting and not counted, with totals over all pages', async () => {
    const page = await look(path);
    await shows(page, 'count', 2_377);
    await shows(page, 'restated', added);
    await shows(page, 'waiting', lines.waiting);
    await shows(page, 'never', lines.not_counted);
    const range = { from: current - 6 * 60 * minuteMs, to: current + minuteMs };
    const { total } = await server.get<{ total: object }>(`/v1/ads/${late}/restatements`, { ...range, limit: 1 });
    expect(total).toEqual({ changes, added, added_net: added, added_duplicates: 0 });
    const clicked = { clicked_from: range.from, clicked_to: range.to };
    const { reasons } = await server.get<{ reasons: object[] }>('/v1/quarantine', { ad_id: late, ...clicked });
    expect(reasons).toEqual([
      { reason: 'too_late', lines: 1_223, restated: 1_211, waiting: 12, not_counted: 0 },
      { reason: 'future', lines: 3, restated: 0, waiting: 0, not_counted: 3 },
    ]);
    await page.getByText('1,198 changes of final counts in the range, +1,342 clicks').waitFor();
    await page.getByText('These are the newest 200 of 1,198.').waitFor();
    const newest = page.locator('section[aria-label="Restatements"] tbody tr').first();
    expect(await newest.textContent()).toContain('2,2322,233+1');
    await page.locator('section[aria-label="Restatements"]').getByRole('button', { name: 'Show more' }).click();
    const rows = page.locator('section[aria-label="Restatements"] tbody tr');
    await eventually('all of them', async () => (await rows.count()) === changes);
  });

  it('lists only the lines with the outcome that is in the address', async () => {
    const page = await look(path);
    const rows = page.locator('[aria-label="Lines in quarantine"] tbody tr');
    for (const [text, outcome, count] of [
      ['counted since 1,211', 'restated', 50],
      ['waiting 12', 'waiting', 12],
      ['not counted 3', 'not_counted', 3],
    ] as const) {
      await page.getByRole('button', { name: text }).click();
      expect(page.url()).toContain(`outcome=${outcome}`);
      await eventually(`${count} lines`, async () => {
        const marks = await rows.locator('td:nth-child(4)').allTextContents();
        return marks.length === count && marks.every(mark => text.startsWith(mark));
      });
    }
    await page.goto('/?view=operations&outcome=waiting');
    await eventually('those that wait', async () => (await rows.count()) === 14);
    const href = await page.getByRole('link', { name: 'Export NDJSON' }).getAttribute('href');
    const file = await (await fetch(`${server.url}${href}`)).text();
    const exported = file
      .trim()
      .split('\n')
      .map(line => JSON.parse(line).outcome);
    expect(exported).toEqual(Array.from({ length: 14 }, () => 'waiting'));
    expect(await visitor?.barriers()).toEqual([]);
  });
});

describe('a number', () => {
  it('of an ad is explained by all lines that were received for it: these are what the client has sent', async () => {
    const page = await look(`/?view=ad&ad=${disputed}&range=6h`);
    await page
      .getByText(
        '1,342 lines received for this ad and range = 1,035 clicks + 302 duplicates (295 of them arrived too late) + 2 waiting for a restatement + 3 not counted.',
      )
      .waitFor();
    await page.getByRole('combobox', { name: 'Country' }).selectOption('KR');
    await shows(page, 'count', 1_035);
    // The quarantine is known for all countries together only.
    await page.locator('[data-lines-sum]').waitFor({ state: 'hidden' });
  });

  it('that is rounded stands beside the exact one, which can be copied', async () => {
    const page = await look('/');
    const count = await eventually('the exact count', () => exact(page, 'count'));
    expect(await page.locator('[data-tile="count"]').textContent()).toMatch(/^\d+(\.\d)?k$/i);
    await page.locator('[data-exact="count"] button').click();
    expect(await copied(page)).toBe(String(count));
  });

  it('can be saved as a file from the chart and from each list, as exact as in the API', async () => {
    const page = await look(`/?range=6h`);
    const file = async (card: string) => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('region', { name: card, exact: true }).getByRole('button', { name: 'CSV' }).click(),
      ]);
      return readFileSync(await download.path(), 'utf8')
        .trim()
        .split('\n');
    };
    await eventually('the exact count', () => exact(page, 'count'));
    const [head, ...chart] = await file('Clicks');
    expect(head).toBe(
      'from,to,net,gross,invalid,duplicates,late,state,late clicks waiting,clicks of split ads waiting',
    );
    expect(chart).toHaveLength(360);
    const sum = chart.reduce((all, line) => all + Number(line.split(',')[2]), 0);
    const count = await exact(page, 'count');
    expect(sum).toBe(count);
    const byCountry = (await file('Countries')).slice(1).map(line => line.split(','));
    expect(byCountry.map(([, country]) => country)).toEqual(['"KR"', '"DE"', '"IN"']);
    expect(byCountry.reduce((all, [, , clicks]) => all + Number(clicks), 0)).toBe(count);
    await page.getByRole('region', { name: 'Countries' }).getByRole('button', { name: 'Copy' }).click();
    expect(await copied(page)).toMatch(
      /^rank\tcountry\tnet\tgross\tinvalid\n1\tKR\t\d+\t\d+\t0\n2\tDE\t\d+\t\d+\t0\n3\tIN\t\d+\t\d+\t0$/,
    );
  });

  it('has a word for how final it is, and a click explains the word', async () => {
    const page = await look('/');
    await page.locator('.tile .state').first().click();
    await page.getByText('Clicks of these minutes may still arrive, so this number may grow.').waitFor();
    expect(await visitor?.barriers()).toEqual([]);
    await page.keyboard.press('Escape');
  });
});

describe('the chart', () => {
  it('shows a span that is drawn, or a bar that is clicked, as the new range', async () => {
    const page = await look('/?range=6h');
    await eventually('the exact count', () => exact(page, 'count'));
    const box = await page.locator('.u-over').boundingBox();
    if (!box) throw new Error('no chart');
    await page.mouse.move(box.x + box.width * 0.85, box.y + 60);
    await page.mouse.down();
    await page.mouse.move(box.x + box.width * 0.95, box.y + 60, { steps: 5 });
    await page.mouse.up();
    const range = () => {
      const { searchParams } = new URL(page.url());
      return [Date.parse(searchParams.get('from') ?? ''), Date.parse(searchParams.get('to') ?? '')] as const;
    };
    await page.waitForURL('**from=**');
    const [from, to] = range();
    expect([from % minuteMs, to % minuteMs]).toEqual([0, 0]);
    expect(Math.abs((to - from) / minuteMs - 36)).toBeLessThanOrEqual(2);
    const query = { from, to };
    const { countries: rows } = await server.get<{ countries: { count: number }[] }>('/v1/ads/countries', query);
    const count = rows.reduce((sum, row) => sum + row.count, 0);
    await shows(page, 'count', count);
    await page.mouse.click(box.x + box.width * 0.5, box.y + 60);
    await eventually('one minute', () => range()[1] - range()[0] === minuteMs);
    await page.goBack();
    expect(range()).toEqual([from, to]);
    await page.getByText('As a table').click();
    await page.locator('details.table tbody button').first().click();
    await eventually('the last minute', () => range()[0] === to - minuteMs);
    expect(visitor?.complaints).toEqual([]);
  });
});

describe('countries', () => {
  it('are a filter: a click on one shows only its clicks, and a second click shows all', async () => {
    const page = await look('/?range=6h');
    const all = await eventually('the exact count', () => exact(page, 'count'));
    const link = page.getByRole('link', { name: 'South Korea' });
    const korea = Number((await page.locator('.ranks li[data-key="KR"] .count').textContent())?.replaceAll(',', ''));
    await link.click();
    expect(page.url()).toContain('country=KR');
    await shows(page, 'count', korea);
    expect(await link.getAttribute('aria-current')).toBe('true');
    // Links to other views keep the country.
    await eventually('links of the top list', async () =>
      (await page.getByRole('list', { name: 'Top ads' }).locator('a').first().getAttribute('href'))?.includes(
        'country=KR',
      ),
    );
    await link.click();
    await shows(page, 'count', all);
  });
});

/** Shows a day of two weeks ago. “Yesterday” and “Last week” have clicks just after their end. */
async function showWithoutClicks(page: Page): Promise<void> {
  const day = (daysAgo: number) => new Date(current - daysAgo * 86_400_000).toISOString().slice(0, 10);
  await page.getByRole('button', { name: 'Custom' }).click();
  await page.getByLabel('From').fill(`${day(14)}T00:00`);
  await page.getByLabel('to', { exact: true }).fill(`${day(13)}T00:00`);
  await page.getByRole('button', { name: 'Show' }).click();
}

describe('the top list', () => {
  it('shows the range as soon as one is chosen, and the chosen country', async () => {
    const page = await look('/');
    const pressed = page.locator('[data-top][aria-pressed="true"]');
    expect(await pressed.textContent()).toBe('Now');
    await showWithoutClicks(page);
    expect(await pressed.textContent()).toBe('Range');
    await page.getByRole('region', { name: 'Top ads' }).getByText('No clicks in this range.').waitFor();
    await page.getByRole('button', { name: '6h' }).click();
    await page.getByRole('link', { name: 'India' }).click();
    const range = { from: current - 6 * 60 * minuteMs + minuteMs, to: current + minuteMs };
    const { ads } = await server.get<{ ads: { ad_id: string; count: number }[] }>('/v1/ads/popular_ads', {
      ...{ ...range, country: 'IN', count: 12 },
    });
    const wanted = ads.map(ad => `${ad.ad_id} ${ad.count.toLocaleString('en-GB')}`);
    await eventually('those of India', async () => {
      const rows = await page.getByRole('list', { name: 'Top ads' }).locator('li').all();
      const shown = await Promise.all(
        rows.map(async row =>
          [await row.locator('.name').textContent(), await row.locator('.count').textContent()].join(' '),
        ),
      );
      return shown.join() === wanted.join();
    });
    // The list of all ads keeps range and country.
    await page.getByRole('link', { name: 'Ads', exact: true }).click();
    await page.getByRole('region', { name: 'All ads' }).getByText(', India: ads 1 to 50').waitFor();
    expect(page.url()).toMatch(/range=6h.*country=IN/);
    await page.getByRole('link', { name: 'Ad clicks' }).click();
    expect(new URL(page.url()).search).toBe('');
  });
});

describe('an ad', () => {
  it('is found and listed with its clicks of the chosen country', async () => {
    const page = await look('/?view=ad&range=6h');
    const list = page.getByRole('region', { name: 'All ads' });
    await page.getByRole('region', { name: 'Countries' }).getByRole('link', { name: 'Germany' }).click();
    await list.getByText(', Germany: ads 1 to 50').waitFor();
    const asked = { from: current - 6 * 60 * minuteMs + minuteMs, to: current + minuteMs, country: 'DE' };
    const told = async (contains: string) =>
      (await server.get<{ ads: { ad_id: string; count: number }[] }>('/v1/ads', { ...asked, contains, limit: 12 })).ads;
    await page.getByLabel('Only ads with this text in their id').fill('spring-00');
    const few = await told('spring-00');
    const sum = few.reduce((all, ad) => all + ad.count, 0);
    await list.getByText(`${few.length} ads with ${sum.toLocaleString('en-GB')} clicks`).waitFor();
    const shown = await list.locator('tbody tr td:nth-child(3)').allTextContents();
    expect(shown.map(text => Number(text.replaceAll(',', '')))).toEqual(few.map(ad => ad.count));
    const search = page.getByRole('combobox', { name: 'Find an ad' });
    await search.fill('SPRING-01');
    const found = await told('spring-01');
    await eventually('their clicks of that country', async () => {
      const offered = await page.getByRole('option').locator('.muted').allTextContents();
      return offered.join() === found.map(ad => `${ad.count} ${ad.count === 1 ? 'click' : 'clicks'}`).join();
    });
    await search.fill(late);
    await page
      .getByText('No ad with this text in its id has clicks in this range that fit the chosen country and filter.')
      .waitFor();
    expect(await visitor?.barriers()).toEqual([]);
  });

  it('is found by any part of its id, in capital or small letters, among the ads of the range', async () => {
    const page = await look('/?view=ad');
    const search = page.getByRole('combobox', { name: 'Find an ad' });
    await search.fill('SPRING-01');
    const { ads } = await server.get<{ ads: { ad_id: string }[] }>('/v1/ads', { contains: 'spring-01', limit: 12 });
    const wanted = ads.map(row => row.ad_id);
    expect(wanted).toContain(adOf(10));
    await eventually('those, in that order', async () => {
      const offered = await page.getByRole('option').locator('.mono').allTextContents();
      return offered.join() === wanted.join();
    });
    await search.fill('nowhere');
    await page.getByText('No ad with this text in its id has clicks in this range.').waitFor();
    await showWithoutClicks(page);
    await search.fill('banner');
    await page.getByText('No ad with this text in its id has clicks in this range.').waitFor();
  });

  it('stands once in the list of all ads, which has pages', async () => {
    const page = await look('/?view=ad&range=6h');
    const names = page.locator('[aria-label="All ads"] tbody a');
    const seen: string[] = [];
    for (const [rows, isLast] of [
      [50, false],
      [50, false],
      [32, true],
    ] as const) {
      await eventually(
        `${rows} ads`,
        async () => (await names.count()) === rows && !seen.includes((await names.first().textContent()) ?? ''),
      );
      seen.push(...(await names.allTextContents()));
      const next = page.getByRole('button', { name: 'Next' });
      expect(await next.isDisabled()).toBe(isLast);
      if (!isLast) await next.click();
    }
    expect([seen.length, new Set(seen).size]).toEqual([132, 132]);
    await page.getByLabel('Only ads with this text in their id').fill('autumn-00');
    await eventually('five ads', async () => (await names.count()) === 5);
    await names.first().click();
    await page.locator('h1', { hasText: 'autumn-00' }).waitFor();
    expect(page.url()).toContain('range=6h');
    expect(await visitor?.barriers()).toEqual([]);
  });

  it('that is not known has “no clicks yet”; an ad with clicks outside the range says how many', async () => {
    const page = await look('/?view=ad&ad=ad-unknown');
    await page.getByText('No clicks yet: none in the last 31 days.').waitFor();
    await page.goto(`/?view=ad&ad=${late}&range=15m`);
    await page.getByText('No clicks in this range; 2,377 in the last 31 days.').waitFor();
    await page.getByText('No line of this ad in the range is in quarantine.').waitFor();
  });
});
