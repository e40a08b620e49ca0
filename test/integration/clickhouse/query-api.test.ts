/** The routes of the query API on a real ClickHouse: counts, top lists, series, and what they refuse. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { allValid } from '../../support/shown-counts.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const log = pino({ level: 'silent' });
const minuteS = 60;
const start = Date.parse('2025-11-22T08:00:00Z') / 1_000;
/** 08:03:20: minutes 08:00 and 08:01 are final, 08:02 is the last full one. */
const now = start * 1_000 + 200_000;

let engine: TemporaryClickHouse;
let http: Http;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  // The rows are of a fixed day, and merges drop those whose time to live is over.
  await engine.clickhouse.command('SYSTEM STOP MERGES');
  const minutes = [
    ['a', 0, 'KR', 5, 1, 0],
    ['a', 1, 'KR', 2, 0, 1],
    ['a', 1, 'DE', 3, 0, 0],
    ['a', 2, 'KR', 7, 0, 0],
    ['b', 2, 'DE', 7, 0, 0],
    ['c', 2, 'DE', 9, 0, 0],
  ].map(([ad_id, minute, country, clicks, duplicates, late]) =>
    JSON.stringify({
      minute: start + Number(minute) * minuteS,
      ad_id,
      country,
      partition: 0,
      version: 10,
      clicks,
      duplicates,
      late,
    }),
  );
  await engine.clickhouse.insert('ad_minute', minutes.join('\n'));
  await engine.clickhouse.insert('ad_minute_by_ad', minutes.join('\n'));
  const progress = [
    {
      ...{
        partition: 0,
        position: 90,
        watermark: now - 15_000,
        received: 36,
        counted: 33,
        duplicates: 1,
        quarantined: 2,
      },
      ...{ acknowledged: 38, missing: 3 },
    },
    // Of a release that knew nothing of acknowledgements.
    { partition: 1, position: 5, watermark: now - 20_000, received: 0, counted: 0, duplicates: 0, quarantined: 0 },
  ].map(row =>
    JSON.stringify({ ...row, partitions: 2, final_until: (start + 2 * minuteS) * 1_000, appended_at: now - 1_000 }),
  );
  await engine.clickhouse.insert('partition_progress', progress.join('\n'));
  const line = {
    partition: 0,
    line: 0,
    detail: '',
    appended_at: now,
    ad_id: 'a',
    event_id: 'e',
    clicked_at: 0,
    raw: '{}',
  };
  const quarantined = [
    { ...line, offset: 1, reason: 'too_late', clicked_at: now - 3_600_000 },
    { ...line, offset: 2, reason: 'malformed', ad_id: '', raw: 'no json' },
  ];
  await engine.clickhouse.insert('quarantine', quarantined.map(row => JSON.stringify(row)).join('\n'));
  const countedLog = {
    endOffsets: async () =>
      new Map([
        [0, 100],
        [1, 5],
      ]),
    sinkPositions: async () => [],
  };
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, {}),
    clickhouse: engine.clickhouse,
    log,
    now: () => now,
    countedLog,
  });
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

const get = async (url: string) => {
  const { statusCode, body } = await http.inject(url);
  return { status: statusCode, body: JSON.parse(body) };
};

describe('GET /v1/ads/{ad_id}/aggregated_count', () => {
  it('counts the last full minute', async () => {
    expect(await get('/v1/ads/a/aggregated_count')).toEqual({
      status: 200,
      body: {
        ad_id: 'a',
        from: '2025-11-22T08:02:00.000Z',
        to: '2025-11-22T08:03:00.000Z',
        ...allValid({ count: 7, duplicates: 0, late: 0 }),
        source: 'counts',
        state: 'provisional',
        pending_late: 0,
        pending_split: 0,
        watermark: '2025-11-22T08:03:00.000Z',
      },
    });
  });

  it('counts a range, with the country that was asked for', async () => {
    const { body } = await get(
      `/v1/ads/a/aggregated_count?from=${start * 1_000}&to=2025-11-22T09:02:00%2B01:00&country=KR`,
    );
    expect(body).toMatchObject({
      country: 'KR',
      count: 7,
      duplicates: 1,
      late: 1,
      state: 'final',
      to: '2025-11-22T08:02:00.000Z',
    });
  });

  it('counts nothing for an ad that nobody has clicked, and says how final that is', async () => {
    const { status, body } = await get(
      '/v1/ads/nobody/aggregated_count?from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z',
    );
    expect({ status, count: body.count, state: body.state }).toEqual({ status: 200, count: 0, state: 'final' });
  });
});

describe('GET /v1/ads/popular_ads', () => {
  it('lists the last full minute, equal counts by ad_id', async () => {
    expect((await get('/v1/ads/popular_ads')).body).toEqual({
      from: '2025-11-22T08:02:00.000Z',
      to: '2025-11-22T08:03:00.000Z',
      source: 'counts',
      state: 'provisional',
      pending_late: 0,
      pending_split: 0,
      watermark: '2025-11-22T08:03:00.000Z',
      ads: [
        allValid({ rank: 1, ad_id: 'c', count: 9 }),
        allValid({ rank: 2, ad_id: 'a', count: 7 }),
        allValid({ rank: 3, ad_id: 'b', count: 7 }),
      ],
      next_cursor: null,
    });
  });

  it('lists a window of minutes, cut at the count, in one country', async () => {
    const { body } = await get('/v1/ads/popular_ads?window=3&count=1&country=KR');
    expect(body).toMatchObject({
      from: '2025-11-22T08:00:00.000Z',
      country: 'KR',
      ads: [{ rank: 1, ad_id: 'a', count: 14 }],
    });
  });
});

describe('GET /v1/ads/{ad_id}/series', () => {
  it('has a point for every minute, with zeroes for minutes without clicks, and the state of each', async () => {
    const { body } = await get('/v1/ads/a/series?from=2025-11-22T07:59:00Z&to=2025-11-22T08:04:00Z');
    expect(body).toMatchObject({ granularity: 'minute', state: 'provisional' });
    expect(body.points).toEqual([
      {
        start: '2025-11-22T07:59:00.000Z',
        ...allValid({ count: 0, duplicates: 0, late: 0 }),
        state: 'final',
        pending_late: 0,
        pending_split: 0,
      },
      {
        start: '2025-11-22T08:00:00.000Z',
        ...allValid({ count: 5, duplicates: 1, late: 0 }),
        state: 'final',
        pending_late: 0,
        pending_split: 0,
      },
      {
        start: '2025-11-22T08:01:00.000Z',
        ...allValid({ count: 5, duplicates: 0, late: 1 }),
        state: 'final',
        pending_late: 0,
        pending_split: 0,
      },
      {
        start: '2025-11-22T08:02:00.000Z',
        ...allValid({ count: 7, duplicates: 0, late: 0 }),
        state: 'provisional',
        pending_late: 0,
        pending_split: 0,
      },
      {
        start: '2025-11-22T08:03:00.000Z',
        ...allValid({ count: 0, duplicates: 0, late: 0 }),
        state: 'provisional',
        pending_late: 0,
        pending_split: 0,
      },
    ]);
  });

  it.each([
    ['minute', 60, 17],
    ['hour', 24, 17],
    ['day', 31, 17],
  ])('by %s has %i points when nothing is asked for, and all clicks in them', async (granularity, points, clicks) => {
    const { body } = await get(`/v1/ads/a/series?granularity=${granularity}`);
    expect(body.points).toHaveLength(points);
    expect(body.points.reduce((sum: number, point: { count: number }) => sum + point.count, 0)).toBe(clicks);
  });
});

describe('GET /v1/ads/series', () => {
  const range = 'from=2025-11-22T08:01:00Z&to=2025-11-22T08:03:00Z';

  it('sums all ads when none is named', async () => {
    const { body } = await get(`/v1/ads/series?${range}`);
    expect(body).toMatchObject({ granularity: 'minute', state: 'provisional', watermark: '2025-11-22T08:03:00.000Z' });
    expect(body.series).toEqual([
      {
        ad_id: null,
        ...allValid({ count: 28, duplicates: 0, late: 1 }),
        points: [
          {
            start: '2025-11-22T08:01:00.000Z',
            ...allValid({ count: 5, duplicates: 0, late: 1 }),
            state: 'final',
            pending_late: 0,
            pending_split: 0,
          },
          {
            start: '2025-11-22T08:02:00.000Z',
            ...allValid({ count: 23, duplicates: 0, late: 0 }),
            state: 'provisional',
            pending_late: 0,
            pending_split: 0,
          },
        ],
      },
    ]);
  });

  it('has each named ad once and in this order, even without clicks', async () => {
    const { body } = await get(`/v1/ads/series?ad_id=b&ad_id=nobody&ad_id=a&ad_id=b&country=DE&${range}`);
    expect(
      body.series.map(({ ad_id, count, points }: { ad_id: string; count: number; points: unknown[] }) => [
        ad_id,
        count,
        points.length,
      ]),
    ).toEqual([
      ['b', 7, 2],
      ['nobody', 0, 2],
      ['a', 3, 2],
    ]);
  });

  it('compares with the range of the same length right before', async () => {
    const { body } = await get(
      '/v1/ads/series?ad_id=a&compare=previous&from=2025-11-22T08:01:00Z&to=2025-11-22T08:02:00Z',
    );
    expect(body.series[0]).toMatchObject({ ad_id: 'a', count: 5 });
    expect(body.previous).toEqual({
      from: '2025-11-22T08:00:00.000Z',
      to: '2025-11-22T08:01:00.000Z',
      ...allValid({ count: 5, duplicates: 1, late: 0 }),
      state: 'final',
      pending_late: 0,
      pending_split: 0,
    });
  });
});

describe('GET /v1/ads/countries', () => {
  const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:03:00Z';

  it('groups all clicks by country, most first', async () => {
    expect((await get(`/v1/ads/countries?${range}`)).body).toEqual({
      from: '2025-11-22T08:00:00.000Z',
      to: '2025-11-22T08:03:00.000Z',
      source: 'counts',
      state: 'provisional',
      pending_late: 0,
      pending_split: 0,
      watermark: '2025-11-22T08:03:00.000Z',
      countries: [
        { country: 'DE', ...allValid({ count: 19, duplicates: 0, late: 0 }) },
        { country: 'KR', ...allValid({ count: 14, duplicates: 1, late: 1 }) },
      ],
    });
  });

  it('groups the clicks of some ads', async () => {
    const { body } = await get(`/v1/ads/countries?ad_id=a&${range}`);
    expect(body.countries).toEqual([
      { country: 'KR', ...allValid({ count: 14, duplicates: 1, late: 1 }) },
      { country: 'DE', ...allValid({ count: 3, duplicates: 0, late: 0 }) },
    ]);
  });
});

describe('GET /v1/ads', () => {
  it('finds ads by the beginning of their id, ordered by clicks, most first', async () => {
    const { body } = await get('/v1/ads?limit=2');
    expect(body).toMatchObject({ prefix: '', state: 'provisional', to: '2025-11-22T08:04:00.000Z' });
    expect(body.ads).toEqual([allValid({ ad_id: 'a', count: 17 }, 1), allValid({ ad_id: 'c', count: 9 })]);
    expect((await get('/v1/ads?prefix=b')).body.ads).toEqual([allValid({ ad_id: 'b', count: 7 })]);
    expect((await get('/v1/ads?prefix=ab')).body.ads).toEqual([]);
  });
});

describe('GET /v1/quarantine', () => {
  it('counts lines by reason and shows the newest, whole', async () => {
    const { body } = await get('/v1/quarantine?reason=malformed');
    expect(body).toMatchObject({
      watermark: '2025-11-22T08:03:00.000Z',
      reasons: [
        { reason: 'malformed', lines: 1, restated: 0, waiting: 0, not_counted: 1 },
        { reason: 'too_late', lines: 1, restated: 0, waiting: 1, not_counted: 0 },
      ],
    });
    expect(body.lines).toEqual([
      {
        partition: 0,
        offset: 2,
        line: 0,
        reason: 'malformed',
        detail: '',
        appended_at: '2025-11-22T08:03:20.000Z',
        ad_id: '',
        event_id: 'e',
        clicked_at: null,
        raw: 'no json',
        outcome: 'not_counted',
      },
    ]);
  });

  it('can be about one ad', async () => {
    const { body } = await get('/v1/quarantine?ad_id=a&limit=1');
    expect(body.reasons).toEqual([{ reason: 'too_late', lines: 1, restated: 0, waiting: 1, not_counted: 0 }]);
    expect(body.lines.map((line: { offset: number }) => line.offset)).toEqual([1]);
  });

  it.each([
    ['outcome=not_counted', [2]],
    ['outcome=waiting', [1]],
    ['outcome=restated', []],
  ])('can be about lines with one outcome: %s', async (outcome, offsets) => {
    const { body } = await get(`/v1/quarantine?${outcome}`);
    expect(body.lines.map((line: { offset: number }) => line.offset)).toEqual(offsets);
    // The sums are those of all.
    expect(body.reasons).toHaveLength(2);
  });

  it('can be about the clicks of a range with both ends', async () => {
    const of = async (range: string) => (await get(`/v1/quarantine?${range}`)).body;
    const hour = await of('clicked_from=2025-11-22T07:00:00Z&clicked_to=2025-11-22T09:00:00Z');
    expect(hour.reasons.map((row: { reason: string }) => row.reason)).toEqual(['too_late']);
    expect((await of('clicked_from=2025-11-21T07:00:00Z&clicked_to=2025-11-21T09:00:00Z')).reasons).toEqual([]);
    expect((await of('clicked_from=2025-11-21T07:00:00Z')).detail).toBe(
      'clicked_to is not given, but must be given together with clicked_from',
    );
  });
});

describe('GET /v1/status', () => {
  it('says how far each partition is counted, and that every line is accounted for', async () => {
    const { body } = await get('/v1/status');
    expect(body).toMatchObject({
      watermark: '2025-11-22T08:03:00.000Z',
      watermark_age_ms: 20_000,
      final_until: '2025-11-22T08:02:00.000Z',
      conservation: {
        ...{ received: 36, counted: 33, duplicates: 1, quarantined: 2, unread_records: 10, balanced: false },
        ...{ acknowledged: 38, missing: 3, unacknowledged: 1, written_off: 0 },
      },
      quarantine: { malformed: 1, too_late: 1 },
    });
    expect(body.partitions[0]).toEqual({
      partition: 0,
      position: 90,
      end_offset: 100,
      lag_records: 10,
      watermark: '2025-11-22T08:03:05.000Z',
      watermark_age_ms: 15_000,
      appended_at: '2025-11-22T08:03:19.000Z',
      final_until: '2025-11-22T08:02:00.000Z',
      stalled_since: null,
      received: 36,
      counted: 33,
      duplicates: 1,
      quarantined: 2,
      ...{ gross: 34, invalid: 0, net: 33 },
      balance: 0,
      ...{ acknowledged: 38, missing: 3, unacknowledged: 1, written_off: 0 },
    });
  });
});

describe('GET /readyz', () => {
  it('asks ClickHouse', async () => {
    expect(await get('/readyz')).toEqual({ status: 200, body: { status: 'ready' } });
  });
});
