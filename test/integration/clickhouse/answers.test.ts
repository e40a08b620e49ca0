/** Unique users, comparisons and top lists as the routes answer them, on a real ClickHouse. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Click } from '../../../ingest/click.ts';
import { click } from '../../support/clicks.ts';
import { type CountedClicks, countsOf, openCountedClicks } from '../../support/counted-clicks.ts';
import { allValid, ofRaw } from '../../support/shown-counts.ts';

const minuteMs = 60_000;
const start = Date.parse('2025-11-22T08:00:00Z');
/** 08:03:20: minutes 08:00 and 08:01 are final. */
const now = start + 200_000;
const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';

let store: CountedClicks;
beforeAll(async () => {
  store = await openCountedClicks(now);
});
beforeEach(async () => {
  await store.clear();
  await store.setFinalUntil(start + 2 * minuteMs);
});
afterAll(() => store[Symbol.asyncDispose]());

const at = (minute: number, fields: Partial<Click> = {}) =>
  click({ adId: 'a', clickedAt: start + minute * minuteMs + 5_000, ...fields });

const repeated = <T>(times: number, make: (i: number) => T) => Array.from({ length: times }, (_, i) => make(i));

describe('unique users', () => {
  it('are counted once each, in one ad, in each ad of a top list, and by country', async () => {
    await store.insert([
      at(0, { userId: 'u1' }),
      at(1, { userId: 'u1', country: 'DE' }),
      at(1, { userId: 'u2' }),
      at(1),
      at(0, { adId: 'b', userId: 'u1' }),
    ]);
    const one = (await store.get(`/v1/ads/a/aggregated_count?${range}&uniques=true`)).body;
    expect(one).toMatchObject({ count: 4, uniques: { count: 2, is_exact: true }, source: 'raw', state: 'final' });
    const top = (await store.get(`/v1/ads/popular_ads?${range}&uniques=true`)).body;
    expect(top.ads).toEqual([
      { ...ofRaw({ rank: 1, ad_id: 'a', count: 4 }), uniques: { count: 2, is_exact: true } },
      { ...ofRaw({ rank: 2, ad_id: 'b', count: 1 }), uniques: { count: 1, is_exact: true } },
    ]);
    const { countries } = (await store.get(`/v1/ads/countries?${range}&uniques=true&ad_id=a`)).body;
    expect(countries.map((row: { country: string; uniques: object }) => [row.country, row.uniques])).toEqual([
      ['KR', { count: 2, is_exact: true }],
      ['DE', { count: 1, is_exact: true }],
    ]);
    const filtered = (await store.get(`/v1/ads/a/aggregated_count?${range}&uniques=true&country=DE`)).body;
    expect(filtered).toMatchObject({ count: 1, uniques: { count: 1, is_exact: true } });
  });

  it('are none when nobody clicked', async () => {
    const { body } = await store.get(`/v1/ads/a/aggregated_count?${range}&uniques=true`);
    expect(body).toMatchObject({ count: 0, uniques: { count: 0, is_exact: true }, state: 'final' });
  });
});

describe('a comparison with the previous range', () => {
  it('has the counts of one ad and the ranks of a top list', async () => {
    const before = [...repeated(3, () => at(0, { adId: 'b' })), at(0), at(0, { adId: 'c' })];
    await store.insert([
      ...before,
      ...repeated(2, () => at(1, { userId: 'u1' })),
      at(1, { adId: 'b' }),
      at(1, { adId: 'd' }),
    ]);
    const minute = 'from=2025-11-22T08:01:00Z&to=2025-11-22T08:02:00Z&compare=previous';
    const one = (await store.get(`/v1/ads/a/aggregated_count?${minute}`)).body;
    const previous = { from: '2025-11-22T08:00:00.000Z', to: '2025-11-22T08:01:00.000Z', state: 'final' };
    expect(one).toMatchObject({ count: 2, previous: { ...previous, count: 1, duplicates: 0, late: 0 } });
    const top = (await store.get(`/v1/ads/popular_ads?${minute}`)).body;
    expect(top.previous).toEqual({ ...previous, pending_late: 0, pending_split: 0 });
    expect(top.ads).toEqual([
      { ...allValid({ rank: 1, ad_id: 'a', count: 2 }), previous: allValid({ rank: 2, count: 1 }) },
      { ...allValid({ rank: 2, ad_id: 'b', count: 1 }), previous: allValid({ rank: 1, count: 3 }) },
      { ...allValid({ rank: 3, ad_id: 'd', count: 1 }), previous: null },
    ]);
    const raw = (await store.get(`/v1/ads/popular_ads?${minute}&uniques=true`)).body;
    expect(raw.ads.map((ad: { previous: unknown }) => ad.previous)).toEqual([
      allValid({ rank: 2, count: 1 }),
      allValid({ rank: 1, count: 3 }),
      null,
    ]);
    const ofUser = (await store.get(`/v1/ads/popular_ads?${minute}&user_id=u1`)).body;
    expect(ofUser).toMatchObject({ source: 'raw', previous, ads: [{ ad_id: 'a', count: 2, previous: null }] });
  });
});

describe('a time zone', () => {
  it('makes hours and days begin by its clock, with a point for each', async () => {
    await store.setFinalUntil(now);
    const moments = ['2025-11-21T18:29:00Z', '2025-11-21T18:30:00Z', '2025-11-22T07:59:00Z'].map(text =>
      Date.parse(text),
    );
    await store.insert(moments.map(clickedAt => at(0, { clickedAt, userId: 'u1' })));
    const days = 'granularity=day&timezone=Asia/Kolkata&from=2025-11-20T18:30:00Z&to=2025-11-22T18:30:00Z';
    for (const query of [days, `${days}&user_id=u1`]) {
      const { body } = await store.get(`/v1/ads/a/series?${query}`);
      expect(body).toMatchObject({ timezone: 'Asia/Kolkata', state: 'provisional' });
      const [first, second] = body.points;
      const own = query === days ? allValid : ofRaw;
      expect([first, second]).toEqual([
        {
          start: '2025-11-20T18:30:00.000Z',
          ...own({ count: 1, duplicates: 0, late: first.late }),
          ...{ state: 'final', pending_late: 0, pending_split: 0 },
        },
        {
          start: '2025-11-21T18:30:00.000Z',
          ...own({ count: 2, duplicates: 0, late: second.late }),
          ...{ state: 'provisional', pending_late: 0, pending_split: 0 },
        },
      ]);
    }
    const hours = 'granularity=hour&timezone=Asia/Kolkata&from=2025-11-21T17:30:00Z&to=2025-11-21T20:30:00Z';
    const { body } = await store.get(`/v1/ads/series?${hours}`);
    expect(body.series[0].points.map((point: { count: number }) => point.count)).toEqual([1, 1, 0]);
  });

  it('marks the local day that contains a restated count', async () => {
    await store.setFinalUntil(now);
    const minute = Date.parse('2025-11-20T18:30:00Z') / 1_000;
    const cell = { minute, ad_id: 'a', country: 'KR', before: 0, after: 1, at: now };
    await store.insertRows('restatement', [{ ...cell, revision: 1, job: 'j', reason: 'late' }]);
    const days = 'granularity=day&timezone=Asia/Kolkata&from=2025-11-19T18:30:00Z&to=2025-11-21T18:30:00Z';
    const { body } = await store.get(`/v1/ads/a/series?${days}`);
    expect(body.points.map((point: { state: string }) => point.state)).toEqual(['final', 'restated']);
  });
});

describe('pages', () => {
  /** Follows `next_cursor` from page to page. */
  async function pagesOf<T>(url: string, rowsOf: (body: Record<string, T[]>) => T[] | undefined): Promise<T[][]> {
    const pages: T[][] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const { status, body } = await store.get(cursor === '' ? url : `${url}&cursor=${cursor}`);
      expect(status).toBe(200);
      pages.push(rowsOf(body) ?? []);
      cursor = body.next_cursor;
    }
    return pages;
  }

  it.each(['', '&user_id=u'])('of a top list together are the list, even if counts are equal: %s', async query => {
    const ads = ['a', 'b', 'c', 'd', 'e', 'f', 'g'];
    await store.insert(ads.flatMap((adId, i) => repeated(1 + (i % 3), () => at(1, { adId, userId: 'u' }))));
    const whole = (await store.get(`/v1/ads/popular_ads?${range}${query}`)).body;
    expect([whole.ads.length, whole.next_cursor]).toEqual([7, null]);
    for (const size of [1, 3, 7]) {
      const pages = await pagesOf(`/v1/ads/popular_ads?${range}${query}&count=${size}`, body => body['ads']);
      expect(pages.flat()).toEqual(whole.ads);
      expect(pages.map(page => page.length)).toEqual(pages.map((_, i) => Math.min(size, 7 - i * size)));
    }
  });

  it('of a top list all have the minutes of the first page, even if it has the last full minutes', async () => {
    await store.insert([at(2, { adId: 'a' }), at(2, { adId: 'a' }), at(2, { adId: 'b' }), at(1, { adId: 'c' })]);
    const first = (await store.get('/v1/ads/popular_ads?window=1&count=1')).body;
    const other = await openCountedClicksAt(now + minuteMs, first.next_cursor);
    expect(other).toMatchObject({ from: first.from, to: first.to, ads: [{ rank: 2, ad_id: 'b' }], next_cursor: null });
  });

  /** The same store, a minute later. */
  async function openCountedClicksAt(later: number, cursor: string) {
    const app = await store.appAt(later);
    try {
      return (await app.inject(`/v1/ads/popular_ads?window=1&count=1&cursor=${cursor}`)).json();
    } finally {
      await app.close();
    }
  }

  it('of found ads, of restatements and of quarantined lines together are these lists', async () => {
    await store.insertCounts(countsOf(['x1', 'x2', 'x3', 'y'].map(adId => at(0, { adId }))));
    const ads = await pagesOf<{ ad_id: string }>(`/v1/ads?prefix=x&${range}&limit=2`, body => body['ads']);
    expect(ads.map(page => page.map(ad => ad.ad_id))).toEqual([['x1', 'x2'], ['x3']]);

    const cell = { minute: start / 1_000, ad_id: 'a', before: 1, after: 2, job: 'j', reason: 'late', at: now };
    const revisions = ['DE', 'KR'].flatMap(country => [1, 2].map(revision => ({ ...cell, country, revision })));
    await store.insertRows('restatement', revisions);
    const changes = await pagesOf<{ country: string; revision: number }>(
      `/v1/ads/a/restatements?${range}&limit=3`,
      body => body['restatements'],
    );
    expect(changes.map(page => page.map(row => `${row.country}${row.revision}`))).toEqual([
      ['DE1', 'DE2', 'KR1'],
      ['KR2'],
    ]);

    const line = { detail: '', ad_id: 'a', event_id: 'e', clicked_at: 0, raw: '{}', reason: 'too_late' };
    const places = [
      [now, 0, 7, 1],
      [now, 0, 7, 0],
      [now, 0, 3, 5],
      [now, 1, 9, 0],
      [now - 1, 0, 9, 9],
    ] as const;
    await store.insertRows(
      'quarantine',
      places.map(([appended_at, partition, offset, index]) => ({
        ...line,
        appended_at,
        partition,
        offset,
        line: index,
      })),
    );
    for (const limit of [1, 2, 5]) {
      const lines = await pagesOf<{ partition: number; offset: number; line: number }>(
        `/v1/quarantine?limit=${limit}`,
        body => body['lines'],
      );
      expect(lines.flat().map(row => [row.partition, row.offset, row.line])).toEqual(
        places.map(([, ...place]) => place),
      );
    }
  });

  it.each([
    ['/v1/ads/popular_ads?cursor=x', /^cursor is "x", but must be the `next_cursor` of the previous page/],
    ['/v1/ads/popular_ads?cursor=', /^cursor/],
    [`/v1/ads/popular_ads?cursor=${forged(['ads', '', [0, 60_000, 1, 1, 'a']])}`, /^cursor is .*, but must be/],
    [
      `/v1/ads/popular_ads?cursor=${forged(['popular_ads', '', [0, 60_000, 1, 1, 'a']])}`,
      /^cursor is .*, but must belong to the list/,
    ],
    [
      `/v1/ads/popular_ads?cursor=${forged(['popular_ads', '', [0, 60_000, 1, -1, 'a']])}`,
      /^cursor is .*, but must be/,
    ],
    ['/v1/quarantine?cursor=bm8', /^cursor/],
    ['/v1/filters?cursor=bm8', /^cursor/],
    ['/v1/ads?cursor=bm8', /^cursor/],
    ['/v1/ads/a/restatements?cursor=bm8', /^cursor/],
  ])('accept only a cursor of their own list: %s', async (url, detail) => {
    const { status, body } = await store.get(url);
    expect([status, body.code]).toEqual([400, 'invalid_parameter']);
    expect(body.detail).toMatch(detail);
  });

  it('continue only with the parameters of the first page', async () => {
    await store.insert([at(1), at(1, { adId: 'b' })]);
    const { next_cursor } = (await store.get(`/v1/ads/popular_ads?${range}&count=1`)).body;
    const answer = await store.get(`/v1/ads/popular_ads?${range}&count=1&country=KR&cursor=${next_cursor}`);
    expect(answer).toMatchObject({
      status: 400,
      body: { detail: expect.stringMatching(/^cursor is .*, but must belong to the list/) },
    });
  });

  function forged(value: unknown): string {
    return Buffer.from(JSON.stringify(value)).toString('base64url');
  }
});

describe('an ETag', () => {
  const url = `/v1/ads/a/aggregated_count?${range}`;

  it('saves the answer to a client that has it, as long as it is the same', async () => {
    await store.insert([at(0)]);
    const first = await store.get(url);
    const tag = String(first.headers['etag']);
    expect(first.headers['cache-control']).toBe('public, max-age=30');
    for (const asked of [tag, `"x", ${tag}`, '*', tag.replace('W/', '')]) {
      const again = await store.get(url, { 'if-none-match': asked });
      expect([again.status, again.body, again.headers['etag']]).toEqual([304, undefined, tag]);
      expect(again.headers['cache-control']).toBe('public, max-age=30');
    }
    await store.insert([at(1)]);
    const changed = await store.get(url, { 'if-none-match': tag });
    expect([changed.status, changed.body.count]).toEqual([200, 2]);
  });

  it('of a final answer stays the same while the watermark advances, and that of a provisional answer does not', async () => {
    const provisional = '/v1/ads/a/aggregated_count?from=2025-11-22T08:02:00Z&to=2025-11-22T08:03:00Z';
    const tags = async () => {
      const answers = [await store.get(url), await store.get(provisional)];
      return answers.map(({ headers }) => headers['etag']);
    };
    const before = await tags();
    await store.setFinalUntil(start + 2 * minuteMs, now - 10_000);
    const [ofFinal, ofProvisional] = await tags();
    expect(ofFinal).toBe(before[0]);
    expect(ofProvisional).not.toBe(before[1]);
  });

  it('is on no error', async () => {
    const { status, headers } = await store.get('/v1/filters/gone', { 'if-none-match': '*' });
    expect([status, headers['etag']]).toEqual([404, undefined]);
  });
});
