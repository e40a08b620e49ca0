/** The top list at a moment, computed and stored, on a real ClickHouse. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { createRollUpLoop, type RollUpLoop } from '../../../query-api/jobs/rollup/roll-up-loop.ts';
import { noneInvalid, restateIn } from '../../support/log-into.ts';
import { allValid } from '../../support/shown-counts.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const log = pino({ level: 'silent' });
const minuteMs = 60_000;
const start = Date.parse('2026-11-21T14:00:00Z');
const minutes = 8;
const now = start + (minutes + 2) * minuteMs;
const ads = ['a', 'b', 'c'];
const clicks = (ad: number, minute: number) => 1 + ((ad * 5 + minute * 3) % 7);

let engine: TemporaryClickHouse;
let http: Http;
let rollUps: RollUpLoop;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  const { clickhouse } = engine;
  await migrate(clickhouse, log);
  await clickhouse.command('SYSTEM STOP MERGES');
  const rows = ads.flatMap((ad_id, ad) =>
    Array.from({ length: minutes }, (_, minute) =>
      JSON.stringify({
        ...{ minute: start / 1_000 + minute * 60, ad_id, country: 'KR', partition: 0, version: 1 },
        ...{ clicks: clicks(ad, minute), duplicates: 0, late: 0 },
      }),
    ),
  );
  for (const table of ['ad_minute', 'ad_minute_by_ad']) await clickhouse.insert(table, rows.join('\n'));
  // All but the last minute with clicks are final.
  const at = start + (minutes - 1) * minuteMs;
  const progress = { partition: 0, partitions: 1, position: 1, watermark: at, final_until: at, appended_at: at };
  const none = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
  await clickhouse.insert('partition_progress', JSON.stringify({ ...progress, ...none }));
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, {}),
    ...{ clickhouse, log, now: () => now },
    countedLog: { endOffsets: async () => new Map(), sinkPositions: async () => [] },
  });
  rollUps = createRollUpLoop({ clickhouse, log });
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

async function rollUpAll(): Promise<void> {
  let idle = 0;
  // As whoever has restated something does.
  rollUps.wake();
  while (idle < 2) idle = (await rollUps.turn()) === 0 ? idle + 1 : 0;
}

const get = async (query: string) => {
  const { statusCode, body } = await http.inject(`/v1/ads/most_clicked?${query}`);
  return { status: statusCode, body: JSON.parse(body) };
};

function truth(end: number, window: number, added = 0): { rank: number; ad_id: string; count: number }[] {
  return ads
    .map((ad_id, ad) => {
      let count = ad_id === 'c' && end - window <= 2 && end > 2 ? added : 0;
      for (let minute = Math.max(0, end - window); minute < Math.min(end, minutes); minute++)
        count += clicks(ad, minute);
      return { ad_id, count };
    })
    .sort((x, y) => y.count - x.count || (x.ad_id < y.ad_id ? -1 : 1))
    .map((ad, i) => allValid({ rank: i + 1, ...ad }));
}

describe('GET /v1/ads/most_clicked', () => {
  it('is computed as long as nothing is stored, and says so', async () => {
    const { body } = await get(`at=${start + 5 * minuteMs + 30_000}&window=5`);
    expect(body).toEqual({
      ...{
        at: '2026-11-21T14:05:30.000Z',
        window: 5,
        from: '2026-11-21T14:00:00.000Z',
        to: '2026-11-21T14:05:00.000Z',
      },
      ...{
        state: 'final',
        pending_late: 0,
        pending_split: 0,
        watermark: '2026-11-21T14:07:00.000Z',
        source: 'computed',
        ads: truth(5, 5),
      },
    });
  });

  it.each([1, 5, 60])(
    'is stored for the end of every minute when it becomes final: the last %i minutes',
    async window => {
      await rollUpAll();
      for (let end = 1; end < minutes; end++) {
        const { body } = await get(`at=${start + end * minuteMs}&window=${window}`);
        expect(body).toMatchObject({ source: 'stored', state: 'final', ads: truth(end, window) });
      }
      const { body } = await get(`at=${start + minutes * minuteMs}&window=${window}`);
      expect(body).toMatchObject({ source: 'computed', state: 'provisional', ads: truth(minutes, window) });
    },
  );

  it('is restated with each minute of its window, at once and when it is stored again', async () => {
    const cell = { minute: start / 1_000 + 120, ad_id: 'c', country: 'KR', revision: 1, stated: [] };
    const [before, after] = [clicks(2, 2), clicks(2, 2) + 50];
    const change = { ...cell, before, after, before_duplicates: 0, after_duplicates: 0, ...noneInvalid };
    const rows = [{ partition: 0, clicks: after, duplicates: 0, late: 50 }];
    await restateIn(engine.clickhouse, [{ ...change, rows }], { job: 'j', reason: 'late', at: now });
    for (const source of ['computed', 'stored']) {
      for (const [end, window] of [
        [3, 1],
        [5, 5],
        [7, 60],
      ] as const) {
        const { body } = await get(`at=${start + end * minuteMs}&window=${window}`);
        expect(body).toMatchObject({ source, state: 'restated', ads: truth(end, window, 50) });
      }
      expect((await get(`at=${start + 2 * minuteMs}&window=1`)).body).toMatchObject({
        source: 'stored',
        state: 'final',
      });
      await rollUpAll();
    }
  });

  it('is cut at the count', async () => {
    expect((await get(`at=${start + 5 * minuteMs}&window=5&count=1`)).body.ads).toHaveLength(1);
  });

  it.each([
    ['window=7', 'window is 7, but must be 1, 5 or 60'],
    [`at=${now + 60_000}`, ', but must not be in the future'],
    ['at=yesterday', 'at is "yesterday", but must be a time'],
    ['count=101', 'count is 101, but must be at most 100'],
  ])('names the wrong field: %s', async (query, detail) => {
    const { status, body } = await get(query);
    expect({ status, detail: body.detail }).toEqual({
      status: 400,
      detail: expect.stringContaining(detail),
    });
  });
});
