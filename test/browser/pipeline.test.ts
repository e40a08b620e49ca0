/** The dashboard on the whole pipeline: a click that is posted over HTTP appears, and so does what happens to it. */
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openBrowser } from '../support/browser.ts';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { type Visitor, visit } from '../support/visitor.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const stack = new AsyncDisposableStack();
let browser: Browser;
let pipeline: TestPipeline;
let visitor: Visitor;

beforeAll(async () => {
  browser = await openBrowser();
  stack.defer(() => browser.close());
  pipeline = stack.use(await startTestPipeline({ OUT_OF_ORDERNESS_MS: '2000', ALLOWED_LATENESS_MS: '3000' }));
  visitor = stack.use(await visit(browser, pipeline.queryApi.url));
});
afterAll(() => stack[Symbol.asyncDispose]());

const rowOf = (minute: number) =>
  visitor.page.locator('details.table tbody tr', {
    has: visitor.page.locator(`time[title="${new Date(minute).toISOString().slice(0, 19).replace('T', ' ')} UTC"]`),
  });

describe('the live view', () => {
  it('shows a click that is posted over HTTP, without a reload', async () => {
    await visitor.goto('/');
    await visitor.page.locator('#pulse[data-state="live"]').waitFor();
    // The line for a first click posts a click that ingest accepts.
    const line = (await visitor.page.locator('.first-click code').textContent()) ?? '';
    const [, first = ''] = /-d '(.*)'$/.exec(line) ?? [];
    expect((await pipeline.post(JSON.parse(first))).status).toBe(202);
    await visitor.page.locator('.first-click').waitFor({ state: 'hidden' });
    const at = Date.now();
    const click = { ad_id: 'ad-seen', event_id: 'seen-1', clicked_at: at, country: 'KR' };
    expect((await pipeline.post([click, click, { ...click, event_id: 'seen-2' }])).status).toBe(202);
    const row = visitor.page.locator('.ranks li', { hasText: 'ad-seen' });
    await eventually('two clicks of ad-seen', async () => {
      // The minute may have ended in between.
      await visitor.page
        .getByRole('button', { name: Date.now() - (Date.now() % minuteMs) > at ? 'Last minute' : 'Now' })
        .click();
      return (await row.count()) > 0 && (await row.locator('.count').textContent()) === '2';
    });
  });

  it('shows that a minute becomes restated when a click arrives too late for it', async () => {
    const minute = Math.floor(Date.now() / minuteMs) * minuteMs - 5 * minuteMs;
    await eventually('that minute is final', async () => {
      const { final_until } = await pipeline.get<{ final_until: string | null }>('/v1/status');
      return final_until !== null && Date.parse(final_until) >= minute + minuteMs;
    });
    await visitor.page.getByText('As a table').click();
    await rowOf(minute).waitFor();
    const hasState = async (state: string) => (await rowOf(minute).locator('.state').textContent()) === state;
    // The page learns the watermark from the next live event, later than the status.
    await eventually('final', () => hasState('final'));
    const late = { ad_id: 'ad-late', event_id: 'late-1', clicked_at: minute + 5_000, country: 'DE' };
    expect((await pipeline.post(late)).status).toBe(202);
    await eventually('restated', () => hasState('restated'));
    await eventually('its click', async () => (await rowOf(minute).locator('td').nth(1).textContent()) === '1');
    await visitor.page.locator('.feed li', { hasText: 'ad-late' }).waitFor();
    await visitor.screenshot('pipeline-restated');

    await visitor.goto('/?view=ad&ad=ad-late&event=late-1');
    await visitor.page.locator('#trail .tag', { hasText: 'restated' }).waitFor();
    await visitor.page.locator('[aria-label="Lines in quarantine"]', { hasText: 'too late' }).waitFor();
    expect(visitor.complaints).toEqual([]);
  });

  it('says that Kafka does not answer, goes on, and says when Kafka answers again', async () => {
    await visitor.goto('/?view=operations');
    await visitor.page.locator('#pulse[data-state="live"]').waitFor();
    await pipeline.broker.stop();
    await visitor.page.locator('#pulse[data-state="away"]').waitFor({ timeout: 120_000 });
    await visitor.page.locator('#news').getByText('Kafka does not answer').waitFor();
    await pipeline.broker.restart();
    await visitor.page.locator('#pulse[data-state="live"]').waitFor();
    // Lines in quarantine are about persons. That they are read cannot be recorded while Kafka is away.
    expect(visitor.complaints.filter(complaint => !/503 .*\/v1\/quarantine\?/.test(complaint))).toEqual([]);
  });
});
