/** Rows of earlier releases, which took any two letters for a country, beside those of this one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { click } from '../../support/clicks.ts';
import { type CountedClicks, openCountedClicks } from '../../support/counted-clicks.ts';

const minuteMs = 60_000;
const start = Date.parse('2025-11-22T08:00:00Z');
const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';

let store: CountedClicks;
beforeAll(async () => {
  store = await openCountedClicks(start + 200_000);
  await store.clear();
  await store.setFinalUntil(start + 2 * minuteMs);
  const countries = ['GB', 'GB', 'UK', 'ZZ', 'XX', 'XX', 'KR', 'QQ'];
  await store.insert(
    countries.map((country, i) => {
      const clickedAt = start + (i % 2) * minuteMs + 5_000;
      return click({ adId: 'a', clickedAt, country, userId: 'u', ip: '203.0.113.7' });
    }),
  );
});
afterAll(() => store[Symbol.asyncDispose]());

const asked = [
  ['GB', 3],
  ['UK', 3],
  ['uk', 3],
  ['gb', 3],
  ['ZZ', 3],
  ['XX', 3],
  ['T1', 3],
  ['kr', 1],
  ['QQ', 1],
  ['FR', 0],
] as const;

describe('who asks for a country by any of its codes', () => {
  it.each(asked)('is given all of its clicks: %s', async (country, count) => {
    for (const raw of ['', '&user_id=u', '&ip=203.0.113.7', '&uniques=true']) {
      const query = `${range}&country=${country}${raw}`;
      const of = async (path: string) => (await store.get(`/v1/ads/${path}?${query}`)).body;
      expect(await of('a/aggregated_count')).toMatchObject({ count, country });
      const top = (await of('popular_ads')) as { ads: { count: number }[] };
      expect(top.ads.map(ad => ad.count)).toEqual(count === 0 ? [] : [count]);
      if (!raw.includes('uniques')) {
        const { points } = (await of('a/series')) as { points: { count: number }[] };
        expect(points.reduce((sum, point) => sum + point.count, 0)).toBe(count);
      }
    }
  });

  it.each(asked)('is given all of its rows as a file, each with the code that it has: %s', async (country, count) => {
    const { body } = await store.http
      .inject(`/v1/exports/ad_minutes?${range}&country=${country}&format=ndjson`)
      .then(answer => ({ body: answer.body }));
    const rows = body
      .split('\n')
      .filter(Boolean)
      .map(line => JSON.parse(line) as { clicks: number; country: string });
    expect(rows.reduce((sum, row) => sum + Number(row.clicks), 0)).toBe(count);
  });

  it('may store a filter by any of them, in capitals or not, which says what is stored', async () => {
    const { status, body } = await store.put('/v1/filters/british', { countries: { in: ['uk', 'GB'] } });
    expect([status, body]).toMatchObject([200, { countries: { in: ['GB'] } }]);
    const filtered = await store.get(`/v1/ads/a/aggregated_count?${range}&filter=british`);
    expect(filtered.body).toMatchObject({ count: 3 });
    await store.put('/v1/filters/not-british', { countries: { out: ['UK', 't1'] } });
    for (const raw of ['', '&user_id=u']) {
      const others = await store.get(`/v1/ads/a/aggregated_count?${range}&filter=not-british${raw}`);
      expect(others.body).toMatchObject({ count: 2 });
    }
  });
});

it('a list by country has one line for each, from counts and from raw', async () => {
  for (const raw of ['', '&user_id=u', '&uniques=true']) {
    const { body } = await store.get(`/v1/ads/countries?${range}${raw}`);
    const rows = body.countries as { country: string; count: number }[];
    expect(rows.map(({ country, count }) => [country, count])).toEqual([
      ['GB', 3],
      ['ZZ', 3],
      ['KR', 1],
      ['QQ', 1],
    ]);
  }
});

it('a list by country leaves out none, whatever codes the clicks have', async () => {
  const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
  const codes = letters.flatMap(one => letters.map(two => one + two));
  await store.insert(
    codes.map(country => click({ adId: 'all', clickedAt: start + 5_000, country, userId: 'traveller' })),
  );
  for (const raw of ['', '&user_id=traveller']) {
    const { body } = await store.get(`/v1/ads/countries?${range}&ad_id=all${raw}`);
    const rows = body.countries as { country: string; count: number }[];
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(codes.length);
  }
});
