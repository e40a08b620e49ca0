/**
 * A reconciliation looks at each table from which clicks are billed, on a real ClickHouse: one of them is changed by hand,
 * as a thief or a fault would, and the others are not.
 */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { createHourComparison, type HourComparison } from '../../../query-api/store/jobs/sql-hours.ts';
import { createReconciliation, type Reconciliation } from '../../../query-api/store/jobs/sql-recount.ts';
import { createBlockDirectory } from '../../../query-api/store/rollup/block-directory.ts';
import { dueBlocks } from '../../../query-api/store/rollup/due-blocks.ts';
import { createRollUp } from '../../../query-api/store/rollup/roll-up.ts';
import { minuteMs } from '../../../query-api/time/time-range.ts';
import { click } from '../../support/clicks.ts';
import { type CountedClicks, openCountedClicks } from '../../support/counted-clicks.ts';
import { noneInvalid, restateIn } from '../../support/log-into.ts';

const hourMs = 60 * minuteMs;
/** An hour that is long over. */
const start = Math.floor(Date.now() / hourMs) * hourMs - 5 * hourMs;
const hour = { from: start, to: start + hourMs };

let store: CountedClicks;
let reconciliation: Reconciliation;
let hours: HourComparison;

beforeAll(async () => {
  store = await openCountedClicks(Date.now());
  await store.engine.clickhouse.command('SYSTEM START MERGES');
  reconciliation = createReconciliation(store.engine.clickhouse, async () => 0);
  hours = createHourComparison(store.engine);
});
beforeEach(async () => {
  await store.clear();
  for (const table of ['ad_hour', 'most_clicked_ads', 'recounted_minute'])
    await store.engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
  const clicks = ['a', 'b'].flatMap(adId =>
    [0, 7, 59].flatMap(minute => [1, 2].map(ms => click({ adId, clickedAt: start + minute * minuteMs + ms }))),
  );
  await store.insert(clicks);
  await store.setFinalUntil(start + 3 * hourMs);
  await rollUp();
});
afterAll(() => store[Symbol.asyncDispose]());

const change = (sql: string) => store.engine.clickhouse.command(`${sql} SETTINGS mutations_sync=2`);

/** The hour, and its minutes, as the job runner works them out. */
async function rollUp(): Promise<void> {
  const directory = createBlockDirectory(store.engine.clickhouse, { timeoutMs: 9_000 });
  const { rows, restated } = await directory.read({ from: start - hourMs, to: hour.to });
  const due = dueBlocks(rows, restated, hour);
  await createRollUp({ clickhouse: store.engine.clickhouse, directory })(due);
}

const answered = async (adId: string) =>
  (await store.get(`/v1/ads/${adId}/aggregated_count?from=${start}&to=${start + hourMs}`)).body.net;

describe('a reconciliation finds', () => {
  it('nothing where nothing was changed', async () => {
    expect(await reconciliation.compare(hour)).toMatchObject({ cells: 6, differing: 0, ads: [] });
    expect(await hours.compare(start)).toMatchObject({ differing: 0, off: 0, ads: [] });
  });

  it('a click that is counted for another ad, by the sum of differences without their signs', async () => {
    const row = {
      minute: start / 1_000,
      country: 'KR',
      partition: 0,
      version: 11,
      duplicates: 0,
      late: 0,
      ...notJudged,
    };
    await store.insertCounts([
      { ...row, ad_id: 'a', clicks: 3 },
      { ...row, ad_id: 'b', clicks: 1 },
    ]);
    expect(await reconciliation.compare(hour)).toMatchObject({
      ...{ cells: 6, differing: 2, off: 2, minutes: [start] },
      ads: [
        { ad_id: 'a', cells: 1, counted: 3, raw: 2 },
        { ad_id: 'b', cells: 1, counted: 1, raw: 2 },
      ],
    });
  });

  it.each(['clicks', 'duplicates', 'invalid'])('%s that only the table by ad has', async column => {
    const of = `ad_id = 'a' AND minute = toDateTime(${start / 1_000}, 'UTC')`;
    await change(`ALTER TABLE ad_minute_by_ad UPDATE ${column} = ${column} + 1 WHERE ${of}`);
    expect(await reconciliation.compare(hour)).toMatchObject({
      ...{ cells: 6, differing: 1, off: 1, minutes: [start] },
      ads: [{ ad_id: 'a', cells: 1, counted: column === 'clicks' ? 3 : 2, raw: 2 }],
    });
  });

  it('a row that the table by ad lacks, and one that it alone has', async () => {
    await change(
      `ALTER TABLE ad_minute_by_ad DELETE WHERE ad_id = 'a' AND minute = toDateTime(${start / 1_000}, 'UTC')`,
    );
    const row = { minute: start / 1_000, ad_id: 'c', country: 'KR', partition: 0, version: 1, clicks: 4 };
    await store.insertRows('ad_minute_by_ad', [{ ...row, duplicates: 0, late: 0 }]);
    expect(await reconciliation.compare(hour)).toMatchObject({
      ...{ cells: 7, differing: 2, off: 6 },
      ads: [
        { ad_id: 'c', counted: 4, raw: 0 },
        { ad_id: 'a', counted: 0, raw: 2 },
      ],
    });
  });

  it.each(['clicks', 'duplicates', 'invalid'])(
    '%s that only the hours have, of which invoices are made',
    async column => {
      await change(`ALTER TABLE ad_hour UPDATE ${column} = ${column} + 1 WHERE ad_id = 'a'`);
      expect(await reconciliation.compare(hour)).toMatchObject({ differing: 0 });
      expect(await hours.compare(start)).toMatchObject({
        ...{ cells: 0, differing: 1, off: 1, minutes: [start] },
        ads: [{ ad_id: 'a', cells: 1, counted: column === 'clicks' ? 7 : 6, raw: 6 }],
      });
    },
  );

  it('no difference in an hour of the roll-up that answers do not take: it is due again', async () => {
    await change(`ALTER TABLE ad_hour UPDATE clicks = 99 WHERE ad_id = 'a'`);
    const cell = { minute: start / 1_000, ad_id: 'b', country: 'KR', revision: 1, before: 2, after: 2 };
    const rows = [{ partition: 0, clicks: 2, duplicates: 0, late: 0 }];
    const none = { before_duplicates: 0, after_duplicates: 0, stated: rows, ...noneInvalid };
    await restateIn(store.engine.clickhouse, [{ ...cell, ...none, rows }], {
      job: 'j',
      reason: 'late',
      at: Date.now(),
    });
    expect(await hours.compare(start)).toMatchObject({ differing: 0 });
    expect(await answered('a')).toBe(6);
    await rollUp();
    expect(await hours.compare(start)).toMatchObject({ differing: 0 });
    expect(await answered('a')).toBe(6);
  });
});
