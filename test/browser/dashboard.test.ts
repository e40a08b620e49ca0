/** The dashboard in a real browser, on a real ClickHouse with traffic: how it looks, what it shows, its filters and its replays. */

import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import type { Browser, Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../infra/config.ts';
import { type Http, listen } from '../../infra/http.ts';
import { migrate } from '../../infra/migrate.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';
import { openJobs } from '../../query-api/jobs/open-jobs.ts';
import { type RowsChecked, rowOf } from '../../query-api/store/jobs/conservation-store.ts';
import { openBrowser } from '../support/browser.ts';
import {
  type DashboardData,
  drift,
  fillDashboard,
  partitions,
  progressRows,
  traced,
} from '../support/dashboard-data.ts';
import { logInto, type TestLog } from '../support/log-into.ts';
import { noErasures } from '../support/no-erasures.ts';
import { oneNode } from '../support/one-node.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';
import { desktop, isTour, phone, type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const log = pino({ level: 'silent' });
const stack = new AsyncDisposableStack();
let browser: Browser;
let url: string;
let data: DashboardData;
let visitor: Visitor | undefined;
const rowsAgree: RowsChecked = { checkedAt: Date.now(), differences: [] };
let said: TestLog;
let missing = 0;
/** Only for what needs them: they also work out the top lists of every minute, which keeps the store busy for a minute. */
let startJobs: () => void;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  const { clickhouse } = stack.use(await openTemporaryClickHouse());
  await migrate(clickhouse, log);
  data = await fillDashboard(clickhouse, Date.now());
  const startedAt = Date.now();
  const timer = setInterval(() => {
    const now = Date.now();
    const rows = progressRows({
      counted: data.counted + Math.round((now - startedAt) / 40),
      duplicates: data.duplicates,
      ...{ missing, now },
    });
    void clickhouse.insert('partition_progress', rows.map(row => JSON.stringify(row)).join('\n'));
  }, 1_000);
  stack.defer(() => clearInterval(timer));
  const offsets = (more: number) => new Map(Array.from({ length: partitions }, (_, p) => [p, 100_000 + more]));
  const countedLog = {
    endOffsets: async () => offsets(12),
    rawPositions: async () => offsets(1_000),
    sinkPositions: async () => [],
  };
  said = logInto(clickhouse);
  const deps = {
    config: loadConfig(QueryApiConfig, {}),
    clickhouse,
    log,
    now: Date.now,
    countedLog,
    ...said,
  };
  const http: Http = await buildQueryApi(deps);
  stack.defer(() => http.close());
  startJobs = () =>
    stack.use(
      openJobs({ ...deps, store: oneNode(clickhouse), erasures: noErasures, config: loadConfig(JobsConfig, {}) }),
    );
  url = await listen(http, '127.0.0.1', 0);
  await check(rowsAgree);
});
afterAll(() => stack[Symbol.asyncDispose]());

afterEach(async () => {
  await visitor?.[Symbol.asyncDispose]();
  visitor = undefined;
  missing = 0;
  await check(rowsAgree);
});

/** Writes what a job runner has found into the log. */
async function check(checked: RowsChecked): Promise<void> {
  await said.jobLog.write([{ kind: 'conservation-check', rows: [rowOf(checked, Date.now())] }]);
  const checkedAt = checked.checkedAt === undefined ? null : new Date(checked.checkedAt).toISOString();
  await eventually('the status tells', async () => {
    const { conservation } = (await (await fetch(`${url}/v1/status`)).json()) as Status;
    const { rows, uncounted } = conservation;
    if (conservation.missing !== missing) return false;
    const differs = checked.differences.length > 0;
    return (
      rows?.checked_at === checkedAt && rows.difference > 0 === differs && uncounted === (checked.uncounted ?? null)
    );
  });
}

interface Status {
  readonly conservation: {
    readonly rows: { readonly checked_at: string | null; readonly difference: number } | null;
    readonly uncounted: number | null;
    readonly missing: number;
  };
}

async function look(path: string, options: Parameters<typeof visit>[2] = {}): Promise<Page> {
  visitor = await visit(browser, url, options);
  await visitor.goto(path);
  return visitor.page;
}

const tile = (page: Page, name: string) => page.locator(`[data-tile="${name}"]`);
const textOf = async (page: Page, name: string) => (await tile(page, name).textContent()) ?? '';
const filled = (page: Page, name: string) =>
  eventually(`tile ${name}`, async () => {
    const text = await textOf(page, name);
    return text !== '' && text !== '–' && text;
  });

const pages = {
  overview: { path: '/', ready: '.ranks li' },
  ad: { path: `/?view=ad&ad=${traced.adId}&event=${traced.eventId}`, ready: '#trail tbody tr' },
  operations: { path: '/?view=operations', ready: '.feed li, [aria-label="Partitions"] tbody tr' },
  replay: { path: '/?view=replay', ready: 'form.line' },
};

describe.each(Object.entries(pages))('page %s', (name, { path, ready }) => {
  const forms = [
    ['light', 'desktop', desktop],
    ['dark', 'desktop', desktop],
    ['light', 'phone', phone],
    ['dark', 'phone', phone],
  ] as const;

  it.each(forms)(
    'in %s on a %s fits the screen, is accessible, and logs no error',
    async (scheme, device, viewport) => {
      const page = await look(path, { colorScheme: scheme, viewport });
      await page.locator(ready).first().waitFor();
      await page.locator('#pulse[data-state="live"]').waitFor();
      await page.waitForTimeout(isTour && name === 'overview' ? 20_000 : 2_500);
      await visitor?.screenshot(`${name}-${scheme}-${device}`);
      expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
      expect(await cutOff(page)).toEqual([]);
      expect(await visitor?.barriers()).toEqual([]);
      expect(visitor?.complaints).toEqual([]);
    },
  );
});

/**
 * Finds texts that are partly hidden. Tables and code may scroll sideways, and their edges show it. A long name in a top list
 * ends in an ellipsis, and its title holds the whole name.
 */
async function cutOff(page: Page): Promise<string[]> {
  return await page.evaluate<string[]>(`[...document.querySelectorAll('main *, header *')]
    .filter(({ scrollWidth, clientWidth }) => clientWidth > 1 && scrollWidth > clientWidth + 1)
    .filter(element => getComputedStyle(element).overflowX !== 'visible')
    .filter(element => !element.matches('input, .scroll, .scroll *, code, .name, .chart *'))
    .map(element => element.className + ': ' + element.textContent.slice(0, 80))`);
}

describe('a screen', () => {
  it('of a phone shows the buttons of all ranges', async () => {
    const page = await look('/', { viewport: phone });
    await filled(page, 'count');
    const custom = await page.getByRole('button', { name: 'Custom' }).boundingBox();
    expect((custom?.x ?? phone.width) + (custom?.width ?? 0)).toBeLessThanOrEqual(phone.width);
  });

  it('of a desktop shows all columns of the partitions, the last one too: “Missing”', async () => {
    const page = await look('/?view=operations');
    await page.locator('.scroll[aria-label="Partitions"] tbody tr').first().waitFor();
    const table = `document.querySelector('.scroll[aria-label="Partitions"]')`;
    expect(await page.evaluate(`${table}.scrollWidth - ${table}.clientWidth`)).toBeLessThanOrEqual(0);
  });

  it.each([128, 140])('of a phone is wide enough for an id of %i characters', async length => {
    const page = await look(`/?view=ad&ad=${'x'.repeat(length)}`, { viewport: phone });
    await page
      .getByText(length > 128 ? 'but must be 1 to 128' : 'No clicks yet')
      .first()
      .waitFor();
    expect(await page.evaluate('document.documentElement.scrollWidth - innerWidth')).toBeLessThanOrEqual(0);
  });
});

describe('the overview', () => {
  it('marks minutes as final, provisional and restated, also in the table of the chart', async () => {
    const page = await look('/');
    await page.getByText('As a table').click();
    const states = page.locator('details.table .state');
    await states.first().waitFor();
    expect(new Set(await states.allTextContents())).toEqual(new Set(['final', 'provisional', 'restated']));
  });

  it('keeps range and filter in the address, so that it can be shared and Back works', async () => {
    const page = await look('/');
    const all = await filled(page, 'count');
    await page.locator('select[name="country"] option[value="KR"]').waitFor({ state: 'attached' });
    await page.getByRole('combobox', { name: 'Country' }).selectOption('KR');
    await page.getByRole('button', { name: '15m' }).click();
    expect(new URL(page.url()).search).toBe('?range=15m&country=KR');
    // Live events count all countries.
    await page.locator('.tile', { hasText: 'Clicks per second' }).getByText('without the filter').waitFor();
    await page.getByRole('region', { name: 'Restatements' }).getByText('without the filter').waitFor();
    const some = await eventually('fewer clicks', async () => {
      const text = await textOf(page, 'count');
      return text !== all && text !== '–' && text;
    });
    await page.reload();
    await filled(page, 'count');
    expect(await page.getByRole('combobox', { name: 'Country' }).inputValue()).toBe('KR');
    expect(await page.getByRole('button', { name: '15m' }).getAttribute('aria-pressed')).toBe('true');
    expect(Number.parseInt(some, 10)).toBeGreaterThan(0);
    await page.goBack();
    await page.goBack();
    await eventually(
      'all countries',
      async () => (await page.getByRole('combobox', { name: 'Country' }).inputValue()) === '',
    );
  });

  it('offers stored filters, keeps the chosen one in the address, and takes it along to an ad', async () => {
    const put = (id: string, body: object) =>
      fetch(`${url}/v1/filters/${id}`, {
        method: 'PUT',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(body),
      });
    expect((await put('korea', { countries: { in: ['KR'] } })).status).toBe(200);
    expect((await put('no-bots', { user_ids: { out: ['bot-*'] } })).status).toBe(200);
    const page = await look('/');
    const all = await filled(page, 'count');
    const choice = page.getByRole('combobox', { name: 'Filter' });
    await choice.selectOption('korea');
    expect(new URL(page.url()).search).toBe('?filter=korea');
    await eventually('fewer clicks', async () => ((await textOf(page, 'count')) !== all ? true : undefined));
    const countries = page.getByRole('list', { name: 'Clicks by country' }).locator('li');
    await eventually('one country', async () => (await countries.count()) === 1);
    await page.reload();
    await filled(page, 'count');
    expect(await choice.inputValue()).toBe('korea');
    await choice.selectOption('no-bots');
    await eventually('what raw does not tell', async () => (await textOf(page, 'late')) === '–');
    expect(await visitor?.barriers()).toEqual([]);
    await page.setViewportSize(phone);
    // The chart learns its new width a moment later.
    await eventually('it fits', async () => {
      return (await page.evaluate<number>('document.documentElement.scrollWidth - innerWidth')) <= 0;
    });
    await page.goto(`/?view=ad&ad=${traced.adId}&filter=korea`);
    await filled(page, 'count');
    expect(await page.getByRole('combobox', { name: 'Filter' }).inputValue()).toBe('korea');
    expect(visitor?.complaints).toEqual([]);
  });

  it('leads from the top list to one ad', async () => {
    const page = await look('/');
    await page.getByRole('button', { name: 'Last minute' }).click();
    // By its name: until the list of that minute is there, another ad may be the first.
    await page.locator('.ranks').getByRole('link', { name: traced.adId, exact: true }).click();
    await page.locator('h1', { hasText: traced.adId }).waitFor();
    expect(page.url()).toContain(`ad=${traced.adId}`);
    expect(await page.title()).toBe(`${traced.adId} · Ad clicks`);
  });

  it('says what has failed, and tries again at a click', async () => {
    visitor = await visit(browser, url);
    const { page } = visitor;
    const detail = 'the database took too long: ask for a shorter range, or try again';
    let fails = true;
    await page.route('**/v1/ads/countries*', route =>
      fails ? route.fulfill({ status: 503, json: { code: 'query_timeout', detail } }) : route.continue(),
    );
    await visitor.goto('/');
    await page.getByRole('alert').getByText(detail).waitFor();
    fails = false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('list', { name: 'Clicks by country' }).locator('li').first().waitFor();
  });
});

describe('a keyboard', () => {
  it('reaches everything: past the bar, a range, an ad', async () => {
    const page = await look('/');
    await filled(page, 'count');
    await page.keyboard.press('Tab');
    expect(await page.evaluate('document.activeElement.textContent')).toBe('Skip to content');
    await page.keyboard.press('Enter');
    expect(await page.evaluate('document.activeElement.id')).toBe('main');
    await page.getByRole('button', { name: '6h' }).focus();
    await page.keyboard.press('Enter');
    expect(page.url()).toContain('range=6h');
    await page.getByRole('link', { name: 'Ads', exact: true }).focus();
    await page.keyboard.press('Enter');
    const search = page.getByRole('combobox', { name: 'Find an ad' });
    await search.focus();
    await page.keyboard.type(traced.adId.slice(0, -1));
    await page.getByRole('option', { name: traced.adId }).waitFor();
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('Enter');
    await page.locator('h1', { hasText: 'summer-' }).waitFor();
  });
});

describe('light and dark', () => {
  it('follow the system until somebody chooses, and the choice stays', async () => {
    const page = await look('/', { colorScheme: 'dark' });
    const ground = () => page.evaluate('getComputedStyle(document.documentElement).backgroundColor');
    const dark = await ground();
    await page.getByRole('button', { name: 'Switch between light and dark' }).click();
    const light = await ground();
    expect(light).not.toBe(dark);
    await page.reload();
    expect(await ground()).toBe(light);
  });
});

describe('forced colours', () => {
  it('leave what tells final, provisional and restated apart, good from bad, and what is chosen', async () => {
    const page = await look('/', { forcedColors: 'active' });
    await page.locator('.legend i').first().waitFor();
    const styles = (selector: string, property: string) =>
      page.evaluate<string[]>(
        `[...document.querySelectorAll('${selector}')].map(element => getComputedStyle(element).${property})`,
      );
    expect(new Set(await styles('.legend i', 'background')).size).toBe(3);
    expect(new Set(await styles('[aria-label="Range up to now"] button', 'backgroundColor')).size).toBe(2);
    await page.goto('/?view=operations');
    await page.locator('.dot').first().waitFor();
    const [ground] = await styles('body', 'backgroundColor');
    expect(await styles('.dot', 'backgroundColor')).not.toContain(ground);
  });
});

describe('operations', () => {
  it('filters the quarantine by reason, keeps the reason in the address, and shows the lines', async () => {
    const page = await look('/?view=operations');
    await page.getByRole('button', { name: /^malformed/ }).click();
    expect(page.url()).toContain('reason=malformed');
    const lines = page.locator('[aria-label="Lines in quarantine"] tbody tr');
    await eventually('only malformed lines', async () => {
      const reasons = await lines.locator('td:nth-child(2)').allTextContents();
      return reasons.length > 0 && reasons.every(reason => reason === 'malformed');
    });
    await page.getByText('true for every partition').waitFor();
  });

  it('says in plain words whether acknowledged clicks are missing', async () => {
    const page = await look('/?view=operations');
    const line = page.locator('[data-acknowledged]');
    await line.getByText('none is missing').waitFor();
    expect(await line.textContent()).toMatch(
      /^[\d,]+ clicks acknowledged to clientsnone is missing[\d,]+ more received, without an acknowledgement in the log$/,
    );
    missing = 34;
    await line.getByText('34 are missing').waitFor({ timeout: 120_000 });
    expect(await line.getAttribute('data-acknowledged')).toBe('missing');
    expect(await textOf(page, 'balance')).toContain('Broken');
    await page.getByText('acknowledged clicks are missing').waitFor();
    await page.locator('[aria-label="Partitions"] tbody tr', { hasText: 'clicks are missing' }).waitFor();
    expect(await visitor?.barriers()).toEqual([]);
  });

  it('exports all lines in quarantine that fit the filter as a file', async () => {
    const page = await look('/?view=operations');
    await page.getByRole('button', { name: /^malformed/ }).click();
    await eventually('the filter', async () =>
      (await page.getByRole('link', { name: 'Export NDJSON' }).getAttribute('href'))?.includes('reason=malformed'),
    );
    const downloaded = async (format: string) => {
      const [download] = await Promise.all([
        page.waitForEvent('download'),
        page.getByRole('link', { name: `Export ${format}` }).click(),
      ]);
      expect(download.suggestedFilename()).toMatch(
        new RegExp(`^quarantine-\\d{4}-\\d\\d-\\d\\d\\.${format.toLowerCase()}$`),
      );
      return readFileSync(await download.path(), 'utf8')
        .trim()
        .split('\n');
    };
    const lines = (await downloaded('NDJSON')).map(line => JSON.parse(line));
    expect(lines).toHaveLength(6);
    expect(new Set(lines.map(line => line.reason))).toEqual(new Set(['malformed']));
    expect(await downloaded('CSV')).toHaveLength(7);
    expect(page.url()).toContain('view=operations');
  });

  it.each([
    ['agree', { checkedAt: Date.now(), differences: [] }, 'ok', 'agree in every partition', 'Balanced'],
    [
      'differ',
      {
        checkedAt: Date.now(),
        differences: [{ partition: 2, outcome: 'counted', expected: 5_000, found: 4_993, difference: -7 }],
      },
      'differs',
      'differ by 7 lines',
      'Broken',
    ],
    [
      'have not all been compared',
      { checkedAt: undefined, differences: [] },
      'unknown',
      'not compared yet',
      'Balanced',
    ],
  ] satisfies [string, RowsChecked, string, string, string][])(
    'says whether rows and counters agree: they %s',
    async (_, checked, state, text, tile) => {
      await check(checked);
      const page = await look('/?view=operations');
      const line = page.locator('[data-rows]');
      await line.waitFor();
      expect(await line.getAttribute('data-rows')).toBe(state);
      expect(await line.textContent()).toContain(text);
      expect(await textOf(page, 'balance')).toContain(tile);
      const differing = page.locator('[aria-label="Lines that differ"] tbody tr');
      expect(await differing.allTextContents()).toEqual(state === 'differs' ? ['2counted5,0004,993−7'] : []);
      expect(await visitor?.barriers()).toEqual([]);
    },
  );
});

describe('late clicks', () => {
  it('that are not counted are shown on the view Operations, which then says that it does not balance', async () => {
    await check({ ...rowsAgree, uncounted: 5 });
    const page = await look('/?view=operations');
    const line = page.locator('[data-late]');
    await line.waitFor();
    expect(await line.getAttribute('data-late')).toBe('uncounted');
    expect(await line.textContent()).toContain('5 are not counted');
    expect(await textOf(page, 'balance')).toContain('Broken');
    expect(await visitor?.barriers()).toEqual([]);
  });
});

describe('replay', () => {
  beforeAll(() => startJobs());

  it('shows what differs, and restates it after a confirmation', async () => {
    const page = await look('/?view=replay');
    const local = (ms: number) => page.evaluate(`import('/dashboard/format.js').then(m => m.inputTime(${ms}))`);
    await page.getByLabel('From').fill(String(await local(data.driftMinute)));
    await page.getByLabel('to', { exact: true }).fill(String(await local(data.driftMinute + 60_000)));
    await page.getByRole('button', { name: 'Recount (dry run)' }).click();
    await page.locator('[data-job-state="done"]').waitFor();
    const rows = page.locator('[aria-label="What differs"] tbody tr');
    expect(await rows.count()).toBe(1);
    expect(await rows.first().textContent()).toContain(`${drift.adId}${drift.country}`);
    expect(await rows.first().textContent()).toContain(`+${drift.clicks}`);
    await visitor?.screenshot('replay-diff');
    const dryRun = page.url();

    await page.getByRole('button', { name: 'Apply…' }).click();
    const dialog = page.getByRole('dialog', { name: 'Restate final counts?' });
    await visitor?.screenshot('replay-confirm');
    expect(await visitor?.barriers()).toEqual([]);
    await dialog.getByRole('button', { name: 'Keep as they are' }).click();
    expect(page.url()).toBe(dryRun);

    await page.getByRole('button', { name: 'Apply…' }).click();
    await dialog.getByRole('button', { name: 'Restate' }).click();
    await eventually('another job', () => page.url() !== dryRun && page.url().includes('job='));
    await page.locator('[data-job-state="done"]').waitFor();
    await page.locator('.notice .tag', { hasText: 'applied' }).waitFor();

    await page.goto(`/?view=ad&ad=${drift.adId}`);
    const restated = page.locator('[aria-label="Restatements"] tbody tr', { hasText: 'replay' });
    await restated.first().waitFor();
    expect(await restated.first().textContent()).toContain(`+${drift.clicks}`);
    expect(visitor?.complaints).toEqual([]);
  });

  it('refuses minutes that are not final, and says why', async () => {
    const page = await look('/?view=replay');
    const soon = await page.evaluate(`import('/dashboard/format.js').then(m => m.inputTime(Date.now() + 3600000))`);
    await page.getByLabel('to', { exact: true }).fill(`${String(soon).slice(0, 14)}00`);
    await page.getByRole('button', { name: 'Recount (dry run)' }).click();
    await page.getByRole('alert').getByText('final until').waitFor();
    // The time as it was typed, on the clock of the viewer.
    await page
      .getByRole('alert')
      .getByText(`${String(soon).slice(0, 14)}00:00+0`)
      .waitFor();
  });
});
