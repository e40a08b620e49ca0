/** How answers show invalid clicks: net beside gross everywhere, and why a click is not billed. On a real ClickHouse. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { facts } from '../../../ingest/validity/facts.ts';
import type { RulesVersion } from '../../../ingest/validity/rule-set.ts';
import { noRules, type ValidityRules } from '../../../ingest/validity/rules.ts';
import { click } from '../../support/clicks.ts';
import { type CountedClicks, countsOf, openCountedClicks } from '../../support/counted-clicks.ts';
import { invalidOfCell, sumOf } from '../../support/judged-clicks.ts';

const now = Date.parse('2025-11-22T08:03:20.000Z');
const start = Date.parse('2025-11-22T08:00:00Z');
const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';
const rules: ValidityRules = { ...noRules.rules, known_bot: true, denied: true, user_clicks_per_minute: 2 };
const version = (n: number, given: ValidityRules): RulesVersion => ({
  ...{ version: n, rules: given, from: start, ruleId: `${n}`.padStart(26, '0'), note: '', by: 'somebody' },
  ...{ announcedAt: 0, holds: true },
});
/** The clicks of the range were judged by version 2, and version 3 would say something else of every click. */
const versions = [
  version(1, noRules.rules),
  version(2, rules),
  version(3, { ...rules, denied: true, known_bot: false }),
];

const at = (ms: number, given: Partial<Click>) =>
  click({ clickedAt: start + ms, userId: 'u', ip: '203.0.113.1', ...given });
const bot = { facts: facts.bot.bit };
/** Ad `a` has most clicks and few valid ones; `b` has most valid ones; nothing of `c` is valid. */
const ofA = [
  ...Array.from({ length: 6 }, (_, i) => at(i * 1_000, { adId: 'a', eventId: `a${i}`, ...bot })),
  // One person, who may click twice. The order of event time decides, whatever order they came in.
  ...[9, 8, 7].map(i => at(i * 1_000, { adId: 'a', eventId: `a${i}` })),
];
const copy = { ...ofA[6]!, clickId: '01KZ', receivedAt: ofA[6]!.receivedAt + 900 };
const ofB = Array.from({ length: 5 }, (_, i) =>
  at(60_000 + i, { adId: 'b', eventId: `b${i}`, userId: `u${i}`, country: 'DE' }),
);
const ofC = [at(0, { adId: 'c', eventId: 'c0', facts: facts.denied.bit | facts.bot.bit })];
const clicks = [...ofA, copy, ...ofB, ...ofC];

let store: CountedClicks;
beforeAll(async () => {
  store = await openCountedClicks(now, {}, undefined, undefined, versions);
  await store.insertRaw(clicks);
  const rows = countsOf(clicks).map(row => {
    const own = clicks.filter(one => one !== copy && one.adId === row.ad_id);
    const invalid_by = invalidOfCell(own, rules);
    return { ...row, rules: 2, invalid: sumOf(invalid_by), invalid_by };
  });
  await store.insertCounts(rows);
  await store.setFinalUntil(start + 120_000);
});
afterAll(() => store[Symbol.asyncDispose]());

const get = async (url: string) => (await store.get(url)).body;
/** What each ad has: distinct clicks 9, 5 and 1. */
const truth = {
  a: { gross: 10, net: 2, invalid: 7 },
  b: { gross: 5, net: 5, invalid: 0 },
  c: { gross: 1, net: 0, invalid: 1 },
};
const all = { gross: 16, net: 7, invalid: 8 };
const shown = ({ gross, net, invalid }: typeof all) => ({ gross, net, invalid });

describe('every answer', () => {
  it.each([
    ['/v1/ads/a/aggregated_count', (body: never) => body, truth.a],
    ['/v1/ads/a/series', (body: { points: unknown[] }) => body.points[0], truth.a],
    ['/v1/ads/series', (body: { series: unknown[] }) => body.series[0], all],
    ['/v1/ads/countries', (body: { countries: unknown[] }) => body.countries[1], { gross: 11, net: 2, invalid: 8 }],
    ['/v1/ads/countries', (body: { countries: unknown[] }) => body.countries[0], truth.b],
    ['/v1/ads/popular_ads', (body: { ads: unknown[] }) => body.ads[1], truth.a],
    ['/v1/ads', (body: { ads: unknown[] }) => body.ads[1], truth.a],
  ])('shows net beside gross, and counts net unless gross is asked for: %s', async (path, pick, expected) => {
    const net = pick((await get(`${path}?${range}`)) as never) as typeof all & { count: number };
    expect({ ...shown(net), count: net.count }).toEqual({ ...expected, count: expected.net });
    const gross = await store.get(`${path}?${range}&clicks=gross`);
    expect([gross.status, gross.body.clicks]).toEqual([200, 'gross']);
    const found = JSON.stringify(gross.body);
    expect(found).toContain(`"count":${expected.gross},`);
    expect(gross.headers['etag']).not.toBe((await store.get(`${path}?${range}`)).headers['etag']);
  });

  it('lists ads by the clicks that are asked for, and leaves out those without any', async () => {
    const order = async (path: string) => ((await get(path)).ads as { ad_id: string }[]).map(ad => ad.ad_id);
    const at = 'at=2025-11-22T08:02:00Z&window=5';
    for (const path of [`/v1/ads/popular_ads?${range}`, `/v1/ads/most_clicked?${at}`]) {
      expect([path, await order(path), await order(`${path}&clicks=gross`)]).toEqual([
        path,
        ['b', 'a'],
        ['a', 'b', 'c'],
      ]);
    }
  });

  it.each([
    ['of any id', ''],
    ['by the beginning of their id', '&prefix=c'],
    ['by a part of their id', '&contains=C'],
    ['with clicks from one country', '&country=KR'],
  ])('finds ads %s of which no click is valid, after those that have any', async (_, asked) => {
    const { ads } = await get(`/v1/ads?${range}${asked}`);
    expect(ads.at(-1)).toEqual({ ad_id: 'c', count: 0, ...truth.c });
    expect(ads.map((ad: { ad_id: string }) => ad.ad_id)).toEqual(
      { '': ['b', 'a', 'c'], '&country=KR': ['a', 'c'] }[asked] ?? ['c'],
    );
  });

  it('of a search has in its pages the gross and invalid clicks of all ads, each ad once', async () => {
    for (const limit of [1, 2, 3]) {
      const found: { ad_id: string; gross: number; invalid: number; net: number }[] = [];
      let cursor = '';
      for (let i = 0; i < 4 && cursor !== '&cursor=null'; i++) {
        const body = await get(`/v1/ads?${range}&limit=${limit}${cursor}`);
        found.push(...body.ads);
        cursor = `&cursor=${body.next_cursor}`;
      }
      expect(cursor).toBe('&cursor=null');
      expect(found.map(ad => ad.ad_id)).toEqual(['b', 'a', 'c']);
      const sum = (of: keyof typeof all) => found.reduce((total, ad) => total + ad[of], 0);
      expect({ gross: sum('gross'), net: sum('net'), invalid: sum('invalid') }).toEqual(all);
    }
  });

  it('turns pages in the order of gross clicks, and refuses the cursor of another order', async () => {
    const page = `/v1/ads/popular_ads?${range}&count=1`;
    const found: string[] = [];
    let cursor = '';
    for (let i = 0; i < 3; i++) {
      const body = await get(`${page}&clicks=gross${cursor}`);
      found.push(...body.ads.map((ad: { ad_id: string; rank: number }) => `${ad.rank} ${ad.ad_id}`));
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect([found, cursor]).toEqual([['1 a', '2 b', '3 c'], '&cursor=null']);
    const net = await get(page);
    expect(await store.get(`${page}&clicks=gross&cursor=${net.next_cursor}`)).toMatchObject({
      ...{ status: 400, body: { field: 'cursor' } },
    });
  });

  it('says why clicks are invalid, and by which version of the rules, where that is asked for', async () => {
    const reasons = { invalid_by: { known_bot: 6, user_velocity: 1 }, rules: { lowest: 2, highest: 2 } };
    expect(await get(`/v1/ads/a/aggregated_count?${range}&reasons=true`)).toMatchObject(reasons);
    const { series } = await get(`/v1/ads/series?${range}&reasons=true`);
    const sums = { invalid_by: { known_bot: 6, user_velocity: 1, denied: 1 } };
    expect(series[0]).toMatchObject({ ...sums, points: [sums, { invalid_by: {} }] });
    expect(await get(`/v1/ads/a/aggregated_count?${range}`)).not.toHaveProperty('invalid_by');
  });

  it('that is counted from raw clicks knows no net, and says so when it is asked for', async () => {
    const ofUser = `/v1/ads/a/aggregated_count?${range}&user_id=u`;
    expect(await get(ofUser)).toMatchObject({ count: 9, gross: 10, net: null, invalid: null });
    expect(await get(`${ofUser}&clicks=gross`)).toMatchObject({ count: 10, gross: 10, net: null, invalid: null });
    for (const [field, asked] of [
      ['clicks', 'clicks=net'],
      ['reasons', 'reasons=true'],
    ] as const)
      expect(await store.get(`${ofUser}&${asked}`)).toMatchObject({ status: 400, body: { field } });
  });
});

it('exports net, gross and the reasons of each row', async () => {
  const { payload } = await store.http.inject(`/v1/exports/ad_minutes?${range}&format=ndjson`);
  const rows = payload
    .trim()
    .split('\n')
    .map(line => JSON.parse(line));
  expect(
    rows.map(({ ad_id, gross, net, invalid, invalid_by, rules }) => [ad_id, gross, net, invalid, invalid_by, rules]),
  ).toEqual([
    ['a', 10, 2, 7, { known_bot: 6, user_velocity: 1 }, 2],
    ['c', 1, 0, 1, { denied: 1 }, 2],
    ['b', 5, 5, 0, {}, 2],
  ]);
  const csv = (await store.http.inject(`/v1/exports/ad_minutes?${range}&ad_id=c&format=csv`)).payload;
  expect(csv.trim().split('\n')[1]).toMatch(/,1,0,1,"\{""denied"":1\}",2$/);
});

describe('the trail of a click', () => {
  const trail = async (eventId: string) => (await get(`/v1/clicks/${eventId}`)).copies;
  it('names the rule of the version by which the click was judged', async () => {
    const byBot = { validity: 'invalid', invalid_reason: 'known_bot', rules: 2, facts: ['bot'] };
    expect(await trail('a0')).toMatchObject([byBot]);
    expect(await trail('c0')).toMatchObject([{ validity: 'invalid', invalid_reason: 'denied', rules: 2 }]);
    expect(await trail('b0')).toMatchObject([{ validity: 'valid', invalid_reason: null, rules: 2, facts: [] }]);
  });

  it('calls the last click in the order of event time one too many, and says nothing of a copy', async () => {
    const valid = { validity: 'valid', invalid_reason: null, rules: 2 };
    expect(await trail('a7')).toMatchObject([valid]);
    expect(await trail('a8')).toMatchObject([valid]);
    expect(await trail('a9')).toMatchObject([
      { outcome: 'counted', validity: 'invalid', invalid_reason: 'user_velocity', rules: 2 },
      { outcome: 'duplicate', validity: null, invalid_reason: null, rules: null },
    ]);
  });

  it('judges a click by its best copy: a person who follows a link after a robot, and who uses up the caps', async () => {
    const inCell = { adId: 'd', country: 'KR' };
    const scanned = at(120_000, { ...inCell, eventId: 'd0', userId: 'robot', ...bot });
    const followed = at(120_005, { ...inCell, eventId: 'd0', country: 'DE', receivedAt: scanned.receivedAt + 9_000 });
    const others = [6, 7].map(i => at(120_000 + i, { ...inCell, eventId: `d${i}` }));
    await store.insertRaw([scanned, followed, ...others]);
    const row = { minute: (start + 120_000) / 1_000, ad_id: 'd', country: 'KR', partition: 0, version: 10, late: 0 };
    const judged = { rules: 2, invalid: 1, invalid_by: { user_velocity: 1 } };
    await store.insertCounts([{ ...row, clicks: 3, duplicates: 1, ...judged }]);
    const validity = async (eventId: string) =>
      (await trail(eventId)).map((found: Record<string, unknown>) => [found['outcome'], found['invalid_reason']]);
    expect(await trail('d0')).toMatchObject([
      { outcome: 'counted', validity: 'valid', facts: ['bot'] },
      { outcome: 'duplicate', validity: null, facts: [] },
    ]);
    expect(await validity('d6')).toEqual([['counted', null]]);
    expect(await validity('d7')).toEqual([['counted', 'user_velocity']]);
  });

  it('says nothing of a click that caps may have taken in a cell that is too large to be read', async () => {
    const minute = (start + 300_000) / 1_000;
    const cell = { minute, country: 'KR', partition: 0, version: 10, late: 0, duplicates: 0, clicks: 1 };
    const valid = { rules: 2, invalid: 0, invalid_by: {} };
    const ads = ['h', 'i', 'j', 'k'];
    await store.insertRaw(ads.map(adId => at(300_000, { adId, eventId: `${adId}0` })));
    await store.insertCounts([
      { ...cell, ...valid, ad_id: 'h' },
      { ...cell, ...valid, ad_id: 'i', clicks: 100_001 },
      ...['j', 'k'].map(ad_id => ({ ...cell, ...valid, ad_id })),
      { ...cell, ...valid, ad_id: 'j', country: 'DE', clicks: 499_999 },
      { ...cell, ...valid, ad_id: 'k', country: 'DE', clicks: 500_000 },
    ]);
    const said = [];
    for (const ad of ads) said.push((await trail(`${ad}0`))[0].validity);
    expect(said).toEqual(['valid', 'unknown', 'valid', 'unknown']);
  });

  it('says nothing of a click with more copies than it lists, of which a later one may be the best', async () => {
    const loads = (adId: string, first: Partial<Click>) =>
      Array.from({ length: 101 }, (_, i) =>
        at(240_000, { adId, eventId: `${adId}0`, clickId: `${adId}${i}`, ...(i === 0 ? first : i < 100 ? bot : {}) }),
      ).map((one, i) => ({ ...one, receivedAt: one.receivedAt + i }));
    await store.insertRaw([...loads('f', bot), ...loads('g', {})]);
    const row = { minute: (start + 240_000) / 1_000, country: 'KR', partition: 0, version: 10, late: 0, clicks: 1 };
    const valid = { duplicates: 100, rules: 2, invalid: 0, invalid_by: {} };
    await store.insertCounts(['f', 'g'].map(ad_id => ({ ...row, ad_id, ...valid })));
    const validity = async (eventId: string) => (await trail(eventId))[0].validity;
    expect([await validity('f0'), await validity('g0')]).toEqual(['unknown', 'valid']);
  });

  it('judges a click by a copy that came too late once a restatement has read it', async () => {
    const [robot, person] = [bot, {}].map((more, i) =>
      at(180_000, { adId: 'e', eventId: 'e0', ...more, clickId: `e${i}` }),
    );
    await store.insertRaw([robot!, person!]);
    const cell = { minute: (start + 180_000) / 1_000, ad_id: 'e', country: 'KR' };
    const row = { ...cell, partition: 0, version: 10, late: 0, clicks: 1, duplicates: 0 };
    await store.insertCounts([{ ...row, rules: 2, invalid: 1, invalid_by: { known_bot: 1 } }]);
    await store.insertRows('quarantine', [
      {
        ...{ partition: 0, offset: 70, line: 0, reason: 'too_late', detail: '', appended_at: now - 60_000 },
        ...{ ad_id: 'e', event_id: 'e0', clicked_at: start + 180_000, raw: formatLine(person!) },
      },
    ]);
    const said = async () => (await trail('e0')).map((one: Record<string, unknown>) => [one['validity'], one['job']]);
    const waits = [
      ['invalid', null],
      [null, null],
    ];
    expect(await said()).toEqual(waits);
    const at_ = { job: 'j', at: now };
    for (const [until, expected] of [
      [70, waits],
      [
        71,
        [
          ['valid', null],
          [null, 'j'],
        ],
      ],
    ] as const) {
      const changed = { ...cell, ...at_, revision: 1, before: 1, after: 1, reason: 'late' };
      await store.insertRows('restatement', [changed]);
      await store.insertRows('recounted_minute', [{ ...at_, minute: cell.minute, read_until: { 0: until } }]);
      expect([until, await said()]).toEqual([until, expected]);
    }
  });
});
