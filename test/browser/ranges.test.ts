/** For each range, the dashboard shows what the API counts for exactly these minutes, by the clock of any zone. */
import type { Browser, Page, Request } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { bordersIn, zoneOf } from '../../query-api/http/time-zone.ts';
import { openBrowser } from '../support/browser.ts';
import { type DashboardServer, startDashboard } from '../support/dashboard-server.ts';
import { shows } from '../support/exact-numbers.ts';
import { type Visitor, visit } from '../support/visitor.ts';

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const now = Math.floor(Date.now() / minuteMs) * minuteMs;
const ad = 'ad-zone';
const changing = ['America/New_York', 'Australia/Lord_Howe'] as const;
const zones = ['Asia/Kolkata', ...changing, 'UTC'] as const;

/** The latest day before yesterday on which the clock of the zone changed. */
function changedDay(zone: string): { readonly from: number; readonly to: number } {
  const borders = bordersIn({ from: now - 250 * dayMs, to: now - 3 * dayMs }, 'day', zoneOf(zone));
  const at = borders.findLastIndex((border, i) => i > 0 && border - (borders[i - 1] ?? 0) !== dayMs);
  return { from: borders[at - 1] ?? 0, to: borders[at] ?? 0 };
}

const changed = new Map<string, { readonly from: number; readonly to: number }>(
  changing.map(zone => [zone, changedDay(zone)]),
);

/** Each minute has another count, so that a range that is wrong by one minute has a wrong sum. */
const clicksAt = (minute: number) => 3 + ((minute / minuteMs) % 11);
const minutes = new Set<number>();
for (const { from, to } of [{ from: now - 3 * dayMs, to: now }, ...changed.values()]) {
  for (let minute = from - 2 * hourMs; minute < to + 2 * hourMs; minute += minuteMs) minutes.add(minute);
}
function clicksIn(from: number, to: number): number {
  let sum = 0;
  for (const minute of minutes) if (minute >= from && minute < to) sum += clicksAt(minute);
  return sum;
}

const stack = new AsyncDisposableStack();
let browser: Browser;
let server: DashboardServer;
let visitor: Visitor | undefined;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  server = stack.use(await startDashboard());
  const rows = [...minutes].map(minute => ({
    ...{ minute: minute / 1_000, ad_id: ad, country: 'IN', partition: 0, version: 10 },
    ...{ clicks: clicksAt(minute), duplicates: 1, late: 0 },
  }));
  await server.insert('ad_minute', rows);
  await server.insert('ad_minute_by_ad', rows);
  server.startCounting();
});
afterAll(() => stack[Symbol.asyncDispose]());
afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
});

/** The length of the range that the page has shown first. */
let firstSpan = 0;
async function look(path: string, timezoneId: string): Promise<Page> {
  visitor = await visit(browser, server.url, { timezoneId });
  // The page asks who is signed in before it asks for anything else.
  const asks = visitor.page.waitForRequest('**/series?*');
  await visitor.goto(path);
  const { from, to } = rangeIn(await asks);
  firstSpan = to - from;
  return visitor.page;
}

interface AskedRange {
  readonly from: number;
  readonly to: number;
  readonly timezone: string;
}
function rangeIn(request: Request): AskedRange {
  const query = new URL(request.url()).searchParams;
  const [from = 0, to = 0] = ['from', 'to'].map(name => Date.parse(query.get(name) ?? ''));
  return { from, to, timezone: query.get('timezone') ?? '' };
}

async function bars(page: Page): Promise<number> {
  const table = page.locator('details.table');
  if (!(await table.getAttribute('open').then(open => open !== null))) await page.getByText('As a table').click();
  await table.locator('tbody tr').first().waitFor();
  return await table.locator('tbody tr').count();
}

interface Range {
  readonly from: string;
  readonly to: string;
}
const api = (query: Record<string, string | number>) =>
  server.get<Range & { count: number }>(`/v1/ads/${ad}/aggregated_count`, query);

/**
 * What the page asks for because of `act`. Meanwhile it may ask for its first range once more, as it does from time to
 * time: that one has another length.
 */
async function asked(page: Page, act: () => Promise<unknown>): Promise<AskedRange> {
  const isAnother = (request: Request) => {
    const { from, to } = rangeIn(request);
    return new URL(request.url()).pathname === '/v1/ads/series' && to - from !== firstSpan;
  };
  const [request] = await Promise.all([page.waitForRequest(isAnother), act()]);
  return rangeIn(request);
}

describe.each(zones)('in %s', zone => {
  it('“Yesterday” is exactly the day of that calendar, on the overview and for one ad', async () => {
    const page = await look('/', zone);
    const { from, to, timezone } = await asked(page, () => page.getByRole('button', { name: 'Yesterday' }).click());
    const borders = bordersIn({ from: now - 3 * dayMs, to: now }, 'day', zoneOf(zone));
    // The day may end while this runs.
    expect(borders).toContain(from);
    expect([from, to]).toEqual(borders.slice(borders.indexOf(from), borders.indexOf(from) + 2));
    expect(zoneOf(timezone)(from)).toBe(zoneOf(zone)(from));
    const { count } = await api({ from, to });
    expect(count).toBe(clicksIn(from, to));
    await shows(page, 'count', count);
    expect(await bars(page)).toBe(bordersIn({ from, to }, 'hour', zoneOf(zone)).length - 1);
    await page.goto(`/?view=ad&ad=${ad}&range=yesterday`);
    await shows(page, 'count', count);
    const country = page.getByRole('list', { name: 'Clicks by country' }).locator('.count');
    expect(await country.textContent()).toBe(count.toLocaleString('en-GB'));
  });

  it('a range of seven and a half hours from 7:10 is exact to the minute, though its bars are hours', async () => {
    const page = await look('/', zone);
    const [day = ''] = new Date(now - dayMs + zoneOf(zone)(now - dayMs)).toISOString().split('T');
    await page.getByRole('button', { name: 'Custom' }).click();
    await page.getByLabel('From').fill(`${day}T07:10`);
    await page.getByLabel('to', { exact: true }).fill(`${day}T14:40`);
    const { from, to } = await asked(page, () => page.getByRole('button', { name: 'Show' }).click());
    expect(to - from).toBe(7.5 * hourMs);
    expect(new Date(from + zoneOf(zone)(from)).toISOString()).toBe(`${day}T07:10:00.000Z`);
    await shows(page, 'count', clicksIn(from, to));
    expect((await api({ from, to })).count).toBe(clicksIn(from, to));
    expect(await bars(page)).toBe(8);
    // The first bar is a part of an hour.
    const rows = await page.locator('details.table tbody tr td:nth-child(2)').allTextContents();
    const first = rows.at(-1);
    expect(first).toBe(clicksIn(from, from + 50 * minuteMs).toLocaleString('en-GB'));
  });
});

describe.each(changing)('on the day on which clocks change in %s', zone => {
  it('the chart shows as many hours as the day has, and all of its clicks', async () => {
    const { from, to } = changed.get(zone) ?? { from: 0, to: 0 };
    const iso = (ms: number) => encodeURIComponent(new Date(ms).toISOString());
    const page = await look(`/?from=${iso(from)}&to=${iso(to)}`, zone);
    await shows(page, 'count', clicksIn(from, to));
    expect((await api({ from, to })).count).toBe(clicksIn(from, to));
    const { series } = await server.get<{ series: { points: { start: string }[] }[] }>('/v1/ads/series', {
      ...{ from, to, granularity: 'hour', timezone: zone },
    });
    const points = series[0]?.points ?? [];
    expect(points.length).toBe(bordersIn({ from, to }, 'hour', zoneOf(zone)).length - 1);
    expect(await bars(page)).toBe(points.length);
    const times = await page.locator('details.table tbody time').all();
    const starts = await Promise.all(times.map(time => time.getAttribute('datetime')));
    expect(starts).toEqual(points.map(point => point.start).toReversed());
  });
});

describe('the zone', () => {
  it('is the viewer’s, and can be another one: times, days and numbers follow it, and the address keeps it', async () => {
    const page = await look('/?range=yesterday', 'Europe/Berlin');
    const day = (zone: string) => {
      const [from = 0, to = 0] = bordersIn({ from: now - 3 * dayMs, to: now }, 'day', zoneOf(zone)).slice(-2);
      return clicksIn(from, to);
    };
    await shows(page, 'count', day('Europe/Berlin'));
    const picker = page.getByRole('combobox', { name: 'Times in' });
    expect(await picker.inputValue()).toBe('');
    for (const zone of ['UTC', 'Asia/Kolkata']) {
      await picker.selectOption(zone);
      expect(new URL(page.url()).searchParams.get('zone')).toBe(zone);
      await shows(page, 'count', day(zone));
      await page.getByText(`Times in ${zone}, UTC+0`).waitFor();
    }
    await page.getByRole('link', { name: 'Ads', exact: true }).click();
    expect(new URL(page.url()).searchParams.get('zone')).toBe('Asia/Kolkata');
    await page.reload();
    expect(await page.getByRole('combobox', { name: 'Times in' }).inputValue()).toBe('Asia/Kolkata');
    await page.getByRole('combobox', { name: 'Times in' }).selectOption('');
    expect(new URL(page.url()).searchParams.get('zone')).toBeNull();
    expect(await visitor?.barriers()).toEqual([]);
  });

  it('has times that occur twice, which the form asks about, and times that do not exist, which it refuses', async () => {
    const page = await look('/?zone=America/New_York', 'Europe/Berlin');
    await page.getByRole('button', { name: 'Custom' }).click();
    const from = page.getByLabel('From');
    await from.fill('2025-11-02T01:30');
    await page.getByLabel('to', { exact: true }).fill('2025-11-02T03:30');
    const which = page.getByRole('combobox', { name: 'Which of the two times is the beginning' });
    expect(await which.locator('option').allTextContents()).toEqual(['UTC−04:00', 'UTC−05:00']);
    await which.selectOption('UTC−05:00');
    const { from: begin } = await asked(page, () => page.getByRole('button', { name: 'Show' }).click());
    expect(new Date(begin).toISOString()).toBe('2025-11-02T06:30:00.000Z');
    await from.fill('2025-03-09T02:30');
    await page.getByRole('button', { name: 'Show' }).click();
    const said = await page.evaluate<string>('document.querySelector("input[name=from]").validationMessage');
    expect(said).toContain('This time does not exist in America/New_York');
  });
});
