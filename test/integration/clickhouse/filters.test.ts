/** Counts of one user, one address or a stored filter, on a real ClickHouse. */

import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { statement } from '../../../infra/clickhouse/sql.ts';
import type { Click } from '../../../ingest/click.ts';
import type { HotAdRule } from '../../../ingest/hot-ads/rule.ts';
import { conditionsOf } from '../../../query-api/store/filters/filter-definition.ts';
import { conditionOf } from '../../../query-api/store/filters/filter-sql.ts';
import { click } from '../../support/clicks.ts';
import { type CountedClicks, countsOf, firstCopies, openCountedClicks } from '../../support/counted-clicks.ts';
import { allValid, ofRaw } from '../../support/shown-counts.ts';

const minuteMs = 60_000;
const start = Date.parse('2025-11-22T08:00:00Z');
/** 08:03:20: minutes 08:00 and 08:01 are final. */
const now = start + 200_000;
const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';

let store: CountedClicks;
let rules: () => readonly HotAdRule[] = () => [];
/** Up to where raw has partition 0 of the log; the counts have less than a thousand records. */
let rawPosition = 0;
beforeAll(async () => {
  const rawSink = { group: 'sink-raw', topic: 'clicks', topicName: 'clicks', partition: 0, end: 1_000 } as const;
  store = await openCountedClicks(
    now,
    {},
    () => rules(),
    () => [{ ...rawSink, position: rawPosition }],
  );
});
beforeEach(async () => {
  await store.clear();
  await store.setFinalUntil(start + 2 * minuteMs);
});
afterAll(() => store[Symbol.asyncDispose]());

const at = (minute: number, fields: Partial<Click> = {}) =>
  click({ adId: 'a', clickedAt: start + minute * minuteMs + 5_000, ...fields });

const count = async (query: string) => (await store.get(`/v1/ads/a/aggregated_count?${range}&${query}`)).body;

describe('user_id and ip', () => {
  it('count the clicks of one user, or from one address in any notation, together or with a country', async () => {
    await store.insert([
      at(0, { userId: 'u1', ip: '203.0.113.7' }),
      at(0, { userId: 'u1', ip: '2001:DB8:0:0::1', country: 'DE' }),
      at(1, { userId: 'u2', ip: '203.0.113.7' }),
      at(1),
      at(0, { adId: 'b', userId: 'u1' }),
    ]);
    expect(await count('user_id=u1')).toEqual({
      ad_id: 'a',
      from: '2025-11-22T08:00:00.000Z',
      to: '2025-11-22T08:02:00.000Z',
      user_id: 'u1',
      ...ofRaw({ count: 2, duplicates: 0, late: null }),
      source: 'raw',
      state: 'final',
      pending_late: 0,
      pending_split: 0,
      watermark: '2025-11-22T08:03:05.000Z',
    });
    expect(await count('ip=203.0.113.7')).toMatchObject({ count: 2, ip: '203.0.113.7' });
    expect(await count('ip=2001:db8::1')).toMatchObject({ count: 1 });
    expect(await count('ip=::ffff:203.0.113.7')).toMatchObject({ count: 2 });
    expect(await count('ip=203.0.113.7&user_id=u1')).toMatchObject({ count: 1 });
    expect(await count('user_id=u1&country=DE')).toMatchObject({ count: 1 });
    expect(await count('user_id=u1&country=KR&ip=2001:db8::1')).toMatchObject({ count: 0, state: 'final' });
  });

  it('mean exactly their text, whatever characters it has', async () => {
    await store.insert(['u_1', 'ux1', 'u%', "u' OR 1=1 --", 'u\\', '*'].map(userId => at(0, { userId })));
    for (const userId of ['u_1', 'u%', "u' OR 1=1 --", 'u\\', '*']) {
      expect([userId, (await count(`user_id=${encodeURIComponent(userId)}`)).count]).toEqual([userId, 1]);
    }
  });

  it('count a click once, by what its first copy says, and its other copies as duplicates', async () => {
    const first = at(0, { userId: 'u1' });
    const copy = { ...first, clickId: '01Z', receivedAt: first.receivedAt + 9, userId: 'u2' };
    await store.insert([first, copy]);
    await store.insertRaw([first]);
    expect(await count('user_id=u1')).toMatchObject({ count: 1, duplicates: 1, state: 'final' });
    expect(await count('user_id=u2')).toMatchObject({ count: 0, duplicates: 0 });
  });

  it('also filter the top list, the series and the countries', async () => {
    await store.insert([
      at(0, { userId: 'u1' }),
      at(0, { userId: 'u1' }),
      at(1, { userId: 'u1', country: 'DE' }),
      at(1, { userId: 'u1', adId: 'b' }),
      at(1, { userId: 'u2', adId: 'c' }),
    ]);
    const top = (await store.get(`/v1/ads/popular_ads?${range}&user_id=u1`)).body;
    expect(top).toMatchObject({ source: 'raw', state: 'final', user_id: 'u1' });
    expect(top.ads).toEqual([ofRaw({ rank: 1, ad_id: 'a', count: 3 }), ofRaw({ rank: 2, ad_id: 'b', count: 1 })]);
    const one = (await store.get(`/v1/ads/a/series?${range}&user_id=u1`)).body;
    expect(one.points.map((point: { count: number; state: string }) => [point.count, point.state])).toEqual([
      [2, 'final'],
      [1, 'final'],
    ]);
    const all = (await store.get(`/v1/ads/series?${range}&user_id=u1`)).body;
    expect(all.series).toMatchObject([{ ad_id: null, count: 4, late: null, points: [{ count: 2 }, { count: 2 }] }]);
    const countries = (await store.get(`/v1/ads/countries?${range}&user_id=u1&ad_id=a`)).body;
    expect(countries.countries).toEqual([
      ofRaw({ country: 'KR', count: 2, duplicates: 0, late: null }),
      ofRaw({ country: 'DE', count: 1, duplicates: 0, late: null }),
    ]);
  });
});

describe('a search for ads', () => {
  it.each([
    ['country=KR', 'counts'],
    ['country=uk', 'counts'],
    ['filter=countries', 'counts'],
    ['user_id=u1', 'raw'],
    ['filter=users&country=DE', 'raw'],
  ])('finds the ads of the top list of the same clicks that have the text in their id: %s', async (whose, source) => {
    await store.put('/v1/filters/countries', { countries: { out: ['DE'] } });
    await store.put('/v1/filters/users', { user_ids: { out: ['u2'] } });
    await store.insert(
      ['Spring-1', 'spring-2', 'a-spring', 'other'].flatMap((adId, i) =>
        ['KR', 'DE', 'GB'].flatMap((country, j) =>
          Array.from({ length: 1 + ((i + 2 * j) % 4) }, (_, n) =>
            at(n % 2, { adId, country, userId: `u${1 + (n % 2)}` }),
          ),
        ),
      ),
    );
    const { body: top } = await store.get(`/v1/ads/popular_ads?${range}&${whose}`);
    const listed = top.ads.map(({ rank, ...ad }: { rank: number; ad_id: string }) => ad);
    expect(listed.length).toBeGreaterThan(2);
    const named = (has: (id: string) => boolean) => listed.filter(({ ad_id }: { ad_id: string }) => has(ad_id));
    for (const [name, has] of [
      ['', () => true],
      ['contains=SPRING', (id: string) => /spring/i.test(id)],
      ['prefix=spring', (id: string) => id.startsWith('spring')],
      ['prefix=a&contains=g', (id: string) => id.startsWith('a') && id.includes('g')],
      ['contains=%25', () => false],
    ] as const) {
      const { body, status } = await store.get(`/v1/ads?${range}&${whose}&${name}`);
      if (name === 'contains=%25') {
        expect([status, body.field]).toEqual([400, 'contains']);
        continue;
      }
      expect([name, body.source, body.state, body.ads]).toEqual([name, source, top.state, named(has)]);
    }
  });

  it('lists ads page by page, ordered by their clicks of one country', async () => {
    const ads = ['x1', 'x2', 'x3', 'y'];
    await store.insert(
      ads.flatMap((adId, i) => [at(0, { adId }), ...Array.from({ length: i }, () => at(1, { adId, country: 'DE' }))]),
    );
    const path = `/v1/ads?${range}&contains=x&country=DE&limit=1`;
    const first = (await store.get(path)).body;
    const second = (await store.get(`${path}&cursor=${first.next_cursor}`)).body;
    expect([first.country, first.ads, second.ads, second.next_cursor]).toEqual([
      'DE',
      [allValid({ ad_id: 'x3', count: 2 })],
      [allValid({ ad_id: 'x2', count: 1 })],
      null,
    ]);
    expect((await store.get(`/v1/ads?${range}&contains=x&country=KR&cursor=${first.next_cursor}`)).status).toBe(400);
  });
});

describe('an answer from raw clicks', () => {
  const states = async (query: string) => {
    const urls = [
      `/v1/ads/a/aggregated_count?${range}&${query}`,
      `/v1/ads/popular_ads?${range}&${query}`,
      `/v1/ads/a/series?${range}&${query}`,
      `/v1/ads/series?${range}&${query}`,
      `/v1/ads/countries?${range}&${query}`,
    ];
    const answers = await Promise.all(urls.map(async url => (await store.get(url)).body));
    return answers.map(({ source, state, watermark }) => `${source} ${state} ${watermark === null ? '-' : 'known'}`);
  };
  const all = (what: string) => Array.from({ length: 5 }, () => what);

  it('is provisional, without a watermark, while raw lacks counted clicks, even of other users', async () => {
    const clicks = [at(0, { userId: 'u1' }), at(1, { userId: 'u2' })];
    await store.insertCounts(countsOf(clicks));
    await store.insertRaw(clicks.slice(0, 1));
    expect(await states('user_id=u1')).toEqual(all('raw provisional -'));
    await store.insertRaw(clicks.slice(1));
    expect(await states('user_id=u1')).toEqual(all('raw final known'));
  });

  it('is provisional with a click that came too late, until its count is restated', async () => {
    await store.insert([at(0, { userId: 'u1' })]);
    const late = at(0, { userId: 'u1' });
    await store.insertRaw([late]);
    expect(await states('user_id=u1')).toEqual(all('raw provisional -'));
    expect(await count('user_id=u1')).toMatchObject({ count: 2 });
    expect(await count('')).toMatchObject({ count: 1, state: 'final', source: 'counts' });
    const cell = { minute: start / 1_000, ad_id: 'a', country: 'KR' };
    await store.insertRows('restatement', [
      { ...cell, revision: 1, job: 'j', reason: 'late', before: 1, after: 2, at: now },
    ]);
    await store.insertCounts([
      { ...cell, partition: 0, version: 2 ** 48, clicks: 2, duplicates: 0, late: 1, ...notJudged },
    ]);
    expect(await states('user_id=u1')).toEqual(all('raw restated known'));
    expect(await count('user_id=u1')).toMatchObject({ count: 2 });
  });

  it('is not called final when one ad has too many clicks and another ad has too few', async () => {
    const [a, b] = [at(0, { userId: 'u1' }), at(0, { adId: 'b' })];
    await store.insertCounts(countsOf([a, b]));
    await store.insertRaw([a, at(0, { userId: 'u1' })]);
    const { body } = await store.get(`/v1/ads/popular_ads?${range}&user_id=u1`);
    expect(body).toMatchObject({ state: 'provisional', watermark: null, ads: [{ ad_id: 'a', count: 2 }] });
  });

  it('is not called final when one minute has too many clicks and another minute has too few', async () => {
    const [first, second] = [at(0, { userId: 'u1' }), at(1, { userId: 'u1' })];
    await store.insertCounts(countsOf([first, second]));
    await store.insertRaw([first, at(0, { userId: 'u1' })]);
    expect(await states('user_id=u1')).toEqual(all('raw provisional -'));
  });

  describe('when an ad was split over partitions', () => {
    const rule = { ruleId: 'r', adId: 'a', from: start, until: start + minuteMs };
    /** Through an API that has heard of no rules before. */
    const answersTo = async (...urls: readonly string[]) => {
      const app = await store.appAt(now);
      try {
        return await Promise.all(urls.map(async url => (await app.inject(url)).json()));
      } finally {
        await app.close();
      }
    };
    const stateOf = async (path: string, minutes: string) =>
      (await answersTo(`/v1/ads/${path}?user_id=u1&${minutes}`))[0].state;
    const second = 'from=2025-11-22T08:01:00Z&to=2025-11-22T08:02:00Z';
    afterEach(() => {
      rules = () => [];
      rawPosition = 0;
    });

    it('is provisional although it has the same number of clicks, because they may be different ones', async () => {
      const [one, other] = [at(0, { userId: 'u1' }), at(0, { userId: 'u2' })];
      const counts = countsOf([one, other]).map(row => ({ ...row, clicks: 1 }));
      await store.insertCounts([...counts, ...counts.map(row => ({ ...row, partition: 1 }))]);
      // Partition 1 is behind, and has not shown the other; of partition 0 there is one that came too late.
      await store.insertRaw([one, at(0, { userId: 'u1' })]);
      await store.insert([at(1, { userId: 'u1' })]);
      rules = () => [rule];
      const queries = [`user_id=u1&${range}`, `uniques=true&${range}`, `user_id=u1&compare=previous&${second}`];
      const answers = await answersTo(
        ...queries.flatMap(query => [`/v1/ads/a/aggregated_count?${query}`, `/v1/ads/popular_ads?${query}`]),
        ...[`/v1/ads/a/series?user_id=u1&${range}`, `/v1/ads/series?user_id=u1&${range}`],
        ...[`/v1/ads/countries?user_id=u1&${range}`, `/v1/ads/countries?user_id=u1&ad_id=a&ad_id=b&${range}`],
      );
      expect(answers.map(({ state, previous }) => previous?.state ?? state)).toEqual(answers.map(() => 'provisional'));
    });

    it('is final for other ads, for other minutes, and when no rule splits the ad any more', async () => {
      await store.insert([at(0, { userId: 'u1' }), at(1, { userId: 'u1' }), at(0, { adId: 'b', userId: 'u1' })]);
      rules = () => [rule, { ...rule, from: start + 2 * minuteMs, until: start + 9 * minuteMs }];
      expect(await stateOf('a/aggregated_count', range)).toBe('provisional');
      expect(await stateOf('b/aggregated_count', range)).toBe('final');
      expect(await stateOf('a/aggregated_count', second)).toBe('final');
      expect(await stateOf('popular_ads', second)).toBe('final');
      const [ofOne, ofAll, ofTwo] = await answersTo(
        ...['a/series?', 'series?', 'series?ad_id=a&ad_id=b&'].map(path => `/v1/ads/${path}user_id=u1&${range}`),
      );
      const states = (points: readonly { state: string }[]) => points.map(({ state }) => state);
      expect(states(ofOne.points)).toEqual(['provisional', 'final']);
      expect(states(ofAll.series[0].points)).toEqual(['provisional', 'final']);
      expect(states(ofTwo.series[1].points)).toEqual(['final', 'final']);
    });

    it('is final when raw has everything from the log that the counts have, and the same number of clicks', async () => {
      await store.insert([at(0, { userId: 'u1' }), at(1, { userId: 'u1' })]);
      rules = () => [rule];
      rawPosition = 1_000;
      const paths = [...['a/aggregated_count', 'popular_ads', 'a/series', 'series', 'countries']].map(
        path => `/v1/ads/${path}?user_id=u1&${range}`,
      );
      const finals = await answersTo(...paths, `/v1/ads/a/aggregated_count?user_id=u1&compare=previous&${second}`);
      expect(finals.map(({ state, previous }) => previous?.state ?? state)).toEqual(finals.map(() => 'final'));
      // One that came too late, and is in no count yet: raw has more.
      await store.insertRaw([at(0, { userId: 'u2' })]);
      const late = await answersTo(...paths);
      expect(late.map(({ state }) => state)).toEqual(late.map(() => 'provisional'));
    });

    it('is provisional when nobody knows which ads were split', async () => {
      await store.insert([at(0, { userId: 'u1' })]);
      rules = () => {
        throw new Error('no broker');
      };
      expect(await stateOf('a/aggregated_count', range)).toBe('provisional');
      expect((await answersTo(`/v1/ads/a/aggregated_count?${range}`))[0]).toMatchObject({ count: 1, state: 'final' });
    });
  });

  it('has its own state for each point of a series', async () => {
    const clicks = [at(0, { userId: 'u1' }), at(1, { userId: 'u1' })];
    await store.insertCounts(countsOf(clicks));
    await store.insertRaw(clicks.slice(0, 1));
    const { body } = await store.get(`/v1/ads/a/series?${range}&user_id=u1`);
    expect(body.points.map((point: { state: string }) => point.state)).toEqual(['final', 'provisional']);
  });

  it('is refused when raw clicks are no longer kept', async () => {
    const { status, body } = await store.get(
      '/v1/ads/a/aggregated_count?from=2025-10-01T00:00:00Z&to=2025-10-01T00:01:00Z&user_id=u1',
    );
    expect([status, body.code]).toEqual([400, 'invalid_parameter']);
    expect(body.detail).toMatch(/^from is .*, but must be at most 34 days ago when the answer needs raw clicks/);
  });

  it('equals what the clicks themselves say, for every filter', async () => {
    const anyClick = fc.record({
      adId: fc.constantFrom('a', 'b'),
      minute: fc.integer({ min: 0, max: 1 }),
      event: fc.integer({ min: 0, max: 6 }),
      country: fc.constantFrom('KR', 'DE'),
      userId: fc.constantFrom(undefined, 'u1', 'u2', 'bot-7'),
      ip: fc.constantFrom(undefined, '10.1.2.3', '10.1.9.9', '2001:db8::1'),
    });
    const filters = fc.constantFrom<[object, (click: Click) => boolean]>(
      [{ user_ids: { in: ['u*'] } }, ({ userId }) => /^u/.test(userId ?? '')],
      [{ user_ids: { out: ['bot-*', 'u2'] } }, ({ userId }) => userId !== 'bot-7' && userId !== 'u2'],
      [{ ips: { in: ['10.1.0.0/21', '2001:db8::/32'] } }, ({ ip }) => ip === '10.1.2.3' || ip === '2001:db8::1'],
      [
        { ips: { out: ['10.1.0.0/16'] }, countries: { in: ['KR'] } },
        c => !c.ip?.startsWith('10') && c.country === 'KR',
      ],
      [{ countries: { out: ['KR'] }, user_ids: { in: ['*'] } }, c => c.country === 'DE' && c.userId !== undefined],
    );
    const property = fc.asyncProperty(
      fc.array(anyClick, { minLength: 1, maxLength: 30 }),
      filters,
      async (given, [definition, passes]) => {
        await store.clear();
        await store.put('/v1/filters/f', definition);
        const clicks = given.map(({ minute, event, ...fields }, i) =>
          at(minute, { ...fields, eventId: `e${event}`, receivedAt: start + i, clickId: `c${i % 3}-${i}` }),
        );
        await store.insert(clicks);
        const passing = firstCopies(clicks).filter(one => passes(one.click));
        const { body } = await store.get(`/v1/ads/popular_ads?${range}&filter=f`);
        const counts = Map.groupBy(passing, one => one.click.adId);
        expect(body.state).toBe('final');
        expect(new Map(body.ads.map((ad: { ad_id: string; count: number }) => [ad.ad_id, ad.count]))).toEqual(
          new Map([...counts].map(([ad, list]) => [ad, list.length])),
        );
        const duplicates = passing
          .filter(one => one.click.adId === 'a')
          .reduce((sum, { copies }) => sum + copies - 1, 0);
        expect(await count('filter=f')).toMatchObject({ count: counts.get('a')?.length ?? 0, duplicates });
      },
    );
    await fc.assert(property, { numRuns: 40 });
  });
});

describe('a network', () => {
  it('contains the same addresses in SQL as for node:net, in every notation', async () => {
    const anyIp = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('10.1.2.3', '10.1.2.255', '2001:DB8::1', '2001:db8:0:0:1::'),
    );
    const anyNetwork = fc.oneof(
      fc.tuple(fc.oneof(fc.ipV4(), fc.constant('10.1.2.0')), fc.integer({ min: 0, max: 32 })),
      fc.tuple(fc.oneof(fc.ipV6(), fc.constant('2001:db8::')), fc.integer({ min: 0, max: 128 })),
    );
    const property = fc.asyncProperty(
      fc.array(anyNetwork, { minLength: 1, maxLength: 4 }),
      fc.array(anyIp, { minLength: 1, maxLength: 20 }),
      async (networks, ips) => {
        const list = new BlockList();
        for (const [address, bits] of networks) list.addSubnet(address, bits, address.includes(':') ? 'ipv6' : 'ipv4');
        const filter = conditionsOf({ ips: { in: networks.map(([address, bits]) => `${address}/${bits}`) } });
        const rows = await store.engine.clickhouse.query<{ ip: string; hit: number }>(
          ...statement`SELECT ip, toUInt8(${conditionOf(filter)}) AS hit
            FROM (SELECT arrayJoin(${[...ips, '', 'no address']}) AS ip)`,
        );
        const expected = (ip: string) => isIP(ip) !== 0 && list.check(ip, isIP(ip) === 6 ? 'ipv6' : 'ipv4');
        expect(rows.map(({ ip, hit }) => [ip, hit === 1])).toEqual(rows.map(({ ip }) => [ip, expected(ip)]));
        expect(rows).toHaveLength(ips.length + 2);
      },
    );
    await fc.assert(property, { numRuns: 100 });
  });
});

describe('a stored filter', () => {
  it('is stored, read, listed, replaced and deleted', async () => {
    const definition = { countries: { in: ['KR', 'DE'] }, ips: { out: ['10.0.0.0/8'] } };
    const put = await store.put('/v1/filters/no-office', definition);
    const times = { created_at: '2025-11-22T08:03:20.000Z', updated_at: '2025-11-22T08:03:20.000Z' };
    expect(put).toMatchObject({ status: 200, body: { id: 'no-office', ...definition, source: 'raw', ...times } });
    expect(await store.put('/v1/filters/no-office', definition)).toMatchObject({ status: 200, body: put.body });
    expect((await store.get('/v1/filters/no-office')).body).toEqual(put.body);
    await store.put('/v1/filters/asia', { countries: { in: ['KR'] } });
    const first = (await store.get('/v1/filters?limit=1')).body;
    expect(first.filters).toMatchObject([{ id: 'asia', source: 'counts' }]);
    const second = (await store.get(`/v1/filters?limit=1&cursor=${first.next_cursor}`)).body;
    expect(second).toMatchObject({ filters: [{ id: 'no-office' }], next_cursor: null });
    await store.put('/v1/filters/no-office', { countries: { out: ['KR'] } });
    expect((await store.get('/v1/filters/no-office')).body).not.toHaveProperty('ips');
    expect((await store.remove('/v1/filters/no-office')).status).toBe(200);
    expect((await store.get('/v1/filters/no-office')).status).toBe(404);
    expect((await store.remove('/v1/filters/no-office')).status).toBe(404);
    expect((await store.get('/v1/filters')).body.filters).toHaveLength(1);
    await store.put('/v1/filters/no-office', definition);
    expect((await store.get('/v1/filters/no-office')).body.ips).toEqual(definition.ips);
  });

  it('that has only countries is answered from counts', async () => {
    await store.insertCounts(countsOf([at(0), at(0, { country: 'DE' }), at(0, { country: 'US' })]));
    await store.put('/v1/filters/not-us', { countries: { out: ['US'] } });
    await store.put('/v1/filters/some', { countries: { in: ['US', 'DE'] } });
    expect(await count('filter=not-us')).toMatchObject({
      count: 2,
      source: 'counts',
      state: 'final',
      filter: 'not-us',
    });
    expect(await count('filter=some')).toMatchObject({ count: 2 });
    expect(await count('filter=some&country=DE')).toMatchObject({ count: 1 });
    expect(await count('filter=some&country=KR')).toMatchObject({ count: 0 });
    const { headers, body } = await store.get(`/v1/ads/popular_ads?${range}&filter=some`);
    expect(body).toMatchObject({ source: 'counts', ads: [{ count: 2 }] });
    // The filter may be another one a moment later.
    expect(headers['cache-control']).toBe('private, no-cache');
  });

  it('that is not stored gets 404 with the name of the parameter, which does not deny what is not stored yet', async () => {
    const answer = await store.get(`/v1/ads/popular_ads?${range}&filter=gone`);
    expect(answer).toMatchObject({
      status: 404,
      body: {
        detail:
          'filter is "gone", but ClickHouse has no filter with this id: GET /v1/filters lists those it has; one that was put just now may not be stored yet',
      },
    });
  });

  it.each([
    [{}, /./],
    [{ countries: {} }, /^countries/],
    [{ countries: { in: [] } }, /^countries.in/],
    [{ countries: { in: ['kor'] } }, /^countries.in.0 is "kor", but must be two letters/],
    [
      { ips: { in: ['10.0.0.0/33'] } },
      /^ips.in.0 is "10.0.0.0\/33", but must be an IPv4 or IPv6 address, or a network/,
    ],
    [{ ips: { out: ['10.0.0.1', '10.0.0'] } }, /^ips.out.1 is "10.0.0"/],
    [{ ips: { out: ['fe80::1%eth0'] } }, /^ips.out.0/],
    [{ ips: { out: ['10.0.0.0/08'] } }, /^ips.out.0/],
    [{ user_ids: { in: ['a\u0000'] } }, /^user_ids.in.0/],
    [{ user_ids: { in: Array.from({ length: 101 }, () => 'u') } }, /^user_ids.in/],
    [{ user: { in: ['u'] } }, /^user/],
    [{ user_ids: { in: ['u'], out: [false] } }, /^user_ids.out.0 is false, but must be a text/],
    [{ countries: { in: 'KR' } }, /^countries.in is "KR", but must be a list/],
  ])('is refused with its field and rule when it is wrong: %j', async (definition, detail) => {
    const { status, body } = await store.put('/v1/filters/f', definition);
    expect([status, body.code]).toEqual([400, 'invalid_parameter']);
    expect(body.detail).toMatch(detail);
    expect((await store.get('/v1/filters/f')).status).toBe(404);
  });
});

describe('a wrong filter', () => {
  it.each([
    ['ip=10.0.0', /^ip is "10.0.0", but must be an IPv4 or IPv6 address/],
    ['ip=10.0.0.0/8', /^ip is "10.0.0.0\/8", but must be an IPv4 or IPv6 address/],
    ['user_id=%00', /^user_id is "\\u0000", but must be 1 to 128 characters/],
    ['user_id=u&as_of=2025-11-22T08:03:00Z', /^as_of is .*, but cannot be used together with user_id/],
    ['filter=..', /^filter is ".."/],
  ])('gets 400 with field, value and rule: %s', async (query, detail) => {
    const { status, body } = await store.get(`/v1/ads/a/aggregated_count?${range}&${query}`);
    expect([status, body.code]).toEqual([400, 'invalid_parameter']);
    expect(body.detail).toMatch(detail);
  });
});
