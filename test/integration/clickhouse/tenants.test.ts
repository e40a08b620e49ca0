/**
 * Two tenants in one ClickHouse. Whatever is asked with the key of a tenant is answered as if there were no other ads:
 * byte for byte as by a database in which only the tenant's rows are. So it does not matter which numbers, ids or texts of
 * others an answer could hold, and in which part of it.
 */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgedColumns } from '../../../aggregator/ad-minute.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { rowsOfTables } from '../../../infra/clickhouse/ads-filter.ts';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { onlyAds } from '../../../infra/clickhouse/only-ads.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { ownsAd, type Tenant } from '../../../infra/keys/tenant.ts';
import { migrate } from '../../../infra/migrate.ts';
import { formatLine } from '../../../ingest/click.ts';
import type { HotAdRule } from '../../../ingest/hot-ads/rule.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { createRestater } from '../../../query-api/jobs/recount/apply-changes.ts';
import { createRollUpLoop } from '../../../query-api/jobs/rollup/roll-up-loop.ts';
import { SeededRandom } from '../../simulation/seeded-random.ts';
import { bearer, keysInMemory } from '../../support/api-keys.ts';
import { startTestClickHouse, type TestClickHouse } from '../../support/clickhouse.ts';
import { click } from '../../support/clicks.ts';
import { countsOf, judgedLinesOf } from '../../support/counted-clicks.ts';
import { logInto, noneInvalid } from '../../support/log-into.ts';
import { forTenants } from '../../support/tenant-routes.ts';

const log = pino({ level: 'silent' });
const minuteMs = 60_000;
const dayMs = 86_400_000;
/** Yesterday at 08:50. */
const start = Math.floor(Date.now() / dayMs) * dayMs - dayMs + (8 * 60 + 50) * minuteMs;
/** With clicks: a whole hour, and some before and after it. */
const minutes = 80;
const finalUntil = start + 74 * minuteMs;
const now = start + minutes * minuteMs + 20_000;

const tenants = {
  acme: { id: 'acme', adIdPrefixes: ['acme-'] },
  shop: { id: 'shop', adIdPrefixes: ['shop-', 'kiosk.'] },
} as const satisfies Record<string, Tenant>;
type Name = keyof typeof tenants;
const names: readonly Name[] = ['acme', 'shop'];
const ads = {
  acme: Array.from({ length: 8 }, (_, i) => `acme-${i}`),
  shop: [...Array.from({ length: 20 }, (_, i) => `shop-${i}`), 'kiosk.1'],
} as const;
/** These belong to nobody. One of them begins as an ad of a tenant does, but for its last letter. */
const others = ['news-1', 'acme', 'shop_1'];

const keys = keysInMemory();
const scopes = ['read', 'read:personal'] as const;
const keyOf = {
  acme: keys.add({ scopes, tenant: tenants.acme }),
  shop: keys.add({ scopes, tenant: tenants.shop }),
  all: keys.add({ scopes: ['admin'] }),
};

interface World {
  readonly clickhouse: ClickHouse;
  readonly http: Http;
}

let server: TestClickHouse;
/** `whole` has all rows, and each of the others those of one tenant. */
let worlds: Readonly<Record<'whole' | Name, World>>;
const stack = new AsyncDisposableStack();

beforeAll(async () => {
  server = stack.use(await startTestClickHouse());
  worlds = {
    whole: await open('whole_of_all', () => true),
    acme: await open('only_acme', adId => ownsAd(tenants.acme, adId)),
    shop: await open('only_shop', adId => ownsAd(tenants.shop, adId)),
  };
});
afterAll(() => stack[Symbol.asyncDispose]());

/** A database with the rows of these ads, and a query API over it. */
async function open(database: string, has: (adId: string) => boolean): Promise<World> {
  const config = loadConfig(ClickHouseConfig, { ...server.env, CLICKHOUSE_DATABASE: database });
  const clickhouse = stack.use(openClickHouse(config, { readers: 4 }));
  await migrate(clickhouse, log);
  // Merges drop nothing, however old the rows are. Without any, each statement would go through the parts of all blocks.
  await clickhouse.command('SYSTEM STOP TTL MERGES');
  const said = logInto(clickhouse);
  const insert = (table: string, rows: readonly object[]) =>
    clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));

  const own = clicks.filter(({ adId }) => has(adId));
  await clickhouse.insert('click_raw', own.map(formatLine).join('\n'));
  // Every third click is a robot's.
  const judged = countsOf(own).map(row => {
    const invalid = Math.floor(row.clicks / 3);
    return { ...row, rules: 1, invalid, invalid_by: invalid > 0 ? { known_bot: invalid } : {} };
  });
  await clickhouse.insert('ad_minute', judgedLinesOf(judged), judgedColumns);
  await insert(
    'quarantine',
    quarantined.filter(({ ad_id }) => has(ad_id)),
  );
  // How far counting has come is the same for all.
  await insert('partition_progress', [
    {
      ...{ partition: 0, partitions: 1, position: 500, watermark: now - 15_000, final_until: finalUntil },
      ...{ appended_at: now - 1_000, received: 9_999, counted: 9_000, duplicates: 900, quarantined: 99 },
    },
  ]);
  for (const { ad_id, entries } of restated) if (has(ad_id)) await said.jobLog.write(entries);
  await said.requests.append('filter', [
    { id: 'one', definition: '{"user_ids":{"in":["u-shop-1"]}}', deleted: 0, created_at: 1, updated_at: 1, logged: 1 },
  ]);
  const rollUps = createRollUpLoop({ clickhouse, log });
  for (let idle = 0; idle < 2; ) idle = (await rollUps.turn()) === 0 ? idle + 1 : 0;

  const rules: HotAdRule[] = [...ads.shop.slice(0, 1), ...ads.acme.slice(0, 1)]
    .filter(has)
    .map(adId => ({ ruleId: adId, adId, from: start, until: now, partitions: 4 }));
  const http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, {
      ...{ API_KEYS: 'required', EXPORT_MAX_ROWS: '5000', EXPORT_MAX_RUNNING: '8', EXPORT_MAX_RUNNING_PER_CLIENT: '8' },
      QUERY_RAW_READERS_PER_CLIENT: '2',
    }),
    ...{ clickhouse, log, now: () => now, keys, appendKeyChange: keys.append, requests: said.requests },
    countedLog: { endOffsets: async () => new Map([[0, 500]]), sinkPositions: async () => [] },
    routing: async () => ({ rules, partitionRules: [], versions: [] }),
  });
  stack.defer(() => http.close());
  return { clickhouse, http };
}

const random = new SeededRandom(39);
const clicks = Array.from({ length: 6_000 }, () => {
  const owner = random.pick(['acme', 'shop', 'shop', 'others'] as const);
  const adId = random.pick(owner === 'others' ? others : ads[owner]);
  const clickedAt = start + random.between(0, minutes * minuteMs - 1);
  const country = random.pick(owner === 'acme' ? ['KR', 'DE'] : ['KR', 'US', 'FR']);
  // Users and addresses of two tenants meet, as those of people do.
  const userId = `u${random.between(0, 60)}`;
  return click({ adId, clickedAt, country, userId, ip: `203.0.113.${random.between(0, 9)}` });
}).flatMap(one => (random.chance(0.1) ? [one, { ...one, clickId: click().clickId }] : [one]));
// The same event id under an ad of each.
const shared = { clickedAt: start + 3 * minuteMs, eventId: 'the-same', userId: 'u1' };
clicks.push(
  click({ ...shared, adId: 'acme-0' }),
  click({ ...shared, adId: 'shop-0' }),
  click({ ...shared, adId: 'news-1' }),
);

const quarantined = [...ads.acme, ...ads.shop, ...others, ''].flatMap((ad_id, i) =>
  ['too_late', 'future'].map((reason, j) => ({
    ...{ partition: 0, offset: 100 + 2 * i + j, line: 0, reason, detail: '', appended_at: now - minuteMs + i },
    ...{ ad_id, event_id: i % 2 ? 'the-same' : `q-${ad_id}`, clicked_at: start + 5 * minuteMs },
    raw: JSON.stringify({ click_id: click().clickId, ad_id, secret: `of ${ad_id}` }),
  })),
);

const changes: readonly CellChange[] = ['acme-1', 'shop-1', 'news-1'].map((ad_id, i) => ({
  ...{ minute: start / 1_000 + (10 + i) * 60, ad_id, country: 'KR', revision: 1, before: 1, after: 31 + i },
  ...{ before_duplicates: 0, after_duplicates: 0, stated: [], ...noneInvalid },
  rows: [{ partition: 0, clicks: 31 + i, duplicates: 0, late: 1 }],
}));

/** Each of a job of its own, which says in all worlds that it was made at the same moment. */
const restated = changes.map(change => {
  const job = { job: `job of ${change.ad_id}`, reason: 'late' as const, readUntil: new Map([[0, 1]]) };
  const restater = createRestater({ ...job, now: () => now });
  restater.stage([change], [change.minute * 1_000]);
  return { ad_id: change.ad_id, entries: restater.take() };
});

const at = (minute: number) => new Date(start + minute * minuteMs).toISOString();
const all = `from=${at(0)}&to=${at(minutes)}`;
const final = `from=${at(0)}&to=${at(74)}`;
const long = `from=${new Date(start - 3 * dayMs).toISOString()}&to=${at(minutes)}`;

/** For each route that answers tenants: what is asked, of an ad of one's own and of ads of others. */
const asked: Readonly<Record<string, (ad: string) => readonly string[]>> = {
  'GET /v1/ads/:ad_id/aggregated_count': ad => [
    `/v1/ads/${ad}/aggregated_count?${all}`,
    `/v1/ads/${ad}/aggregated_count?${final}&compare=previous&reasons=true`,
    `/v1/ads/${ad}/aggregated_count?${final}&uniques=true`,
    `/v1/ads/${ad}/aggregated_count?${final}&user_id=u1`,
    `/v1/ads/${ad}/aggregated_count?${final}&as_of=${new Date(now - 1).toISOString()}`,
    `/v1/ads/${ad}/aggregated_count?from=x`,
  ],
  'GET /v1/ads/:ad_id/series': ad => [
    `/v1/ads/${ad}/series?${final}`,
    `/v1/ads/${ad}/series?${all}&user_id=u1`,
    `/v1/ads/${ad}/series?${long}&granularity=hour`,
  ],
  'GET /v1/ads/:ad_id/restatements': ad => [`/v1/ads/${ad}/restatements?${all}`],
  'GET /v1/ads/popular_ads': () => [
    `/v1/ads/popular_ads?${all}`,
    `/v1/ads/popular_ads?${final}&clicks=gross`,
    `/v1/ads/popular_ads?${final}&count=3`,
    `/v1/ads/popular_ads?${final}&count=5&compare=previous&country=KR`,
    `/v1/ads/popular_ads?${final}&uniques=true`,
    `/v1/ads/popular_ads?${final}&ip=203.0.113.1`,
    `/v1/ads/popular_ads?${long}`,
    `/v1/ads/popular_ads?from=${at(10)}&to=${at(11)}`,
  ],
  'GET /v1/ads/most_clicked': () => [1, 5, 60].map(window => `/v1/ads/most_clicked?window=${window}&at=${at(72)}`),
  'GET /v1/ads/series': ad => [
    `/v1/ads/series?${all}`,
    `/v1/ads/series?${final}&compare=previous`,
    `/v1/ads/series?${long}&granularity=hour`,
    `/v1/ads/series?${long}&granularity=day`,
    `/v1/ads/series?${final}&uniques=true`,
    `/v1/ads/series?${final}&user_id=u1`,
    `/v1/ads/series?${final}&ad_id=${ad}&ad_id=acme-1`,
  ],
  'GET /v1/ads/countries': ad => [
    `/v1/ads/countries?${final}`,
    `/v1/ads/countries?${final}&uniques=true`,
    `/v1/ads/countries?${final}&ad_id=${ad}`,
  ],
  'GET /v1/ads': ad => [
    `/v1/ads?${all}`,
    `/v1/ads?${final}&limit=3`,
    `/v1/ads?prefix=${ad.slice(0, 3)}&${final}`,
    `/v1/ads?contains=1&${final}`,
    `/v1/ads?contains=1&${final}&user_id=u1`,
  ],
  'GET /v1/clicks/:event_id': ad => [
    '/v1/clicks/the-same',
    `/v1/clicks/the-same?ad_id=${ad}`,
    `/v1/clicks/q-${ad}`,
    '/v1/clicks/nobody',
  ],
  'GET /v1/exports/ad_minutes': ad => [
    ...['csv', 'ndjson', 'parquet'].map(format => `/v1/exports/ad_minutes?${final}&format=${format}`),
    `/v1/exports/ad_minutes?${all}&ad_id=${ad}&format=ndjson`,
  ],
  'GET /v1/exports/clicks': ad => [
    ...['csv', 'ndjson', 'parquet'].map(format => `/v1/exports/clicks?${final}&format=${format}`),
    `/v1/exports/clicks?${all}&ad_id=${ad}&format=ndjson`,
  ],
  'GET /v1/quarantine': ad => [
    `/v1/quarantine`,
    `/v1/quarantine?limit=3`,
    `/v1/quarantine?ad_id=${ad}`,
    `/v1/quarantine?reason=too_late&outcome=waiting`,
    `/v1/quarantine?clicked_from=${at(5)}&clicked_to=${at(6)}`,
  ],
  'GET /v1/quarantine/export': ad => [
    `/v1/quarantine/export?format=ndjson`,
    `/v1/quarantine/export?format=csv`,
    `/v1/quarantine/export?ad_id=${ad}`,
  ],
};

async function answer({ http }: World, url: string, key: string, more: Record<string, string> = {}) {
  const { statusCode, headers, rawPayload } = await http.inject({ url, headers: { ...bearer(key), ...more } });
  const { date: _, traceparent: __, ...said } = headers;
  // `trace_id` of a problem.
  const body = rawPayload.toString('latin1').replace(/[0-9a-f]{32}/g, 'trace');
  return { status: statusCode, headers: JSON.stringify(said).replace(/[0-9a-f]{32}/g, 'trace'), body };
}

/** Where two answers differ first. Answers may have megabytes, of which a report would show each line. */
function differenceOf(whole: Awaited<ReturnType<typeof answer>>, alone: typeof whole) {
  for (const part of ['status', 'headers', 'body'] as const) {
    const [a, b] = [`${whole[part]}`, `${alone[part]}`];
    if (a === b) continue;
    let at = 0;
    while (a[at] === b[at]) at++;
    return { part, at, whole: a.slice(at, at + 200), alone: b.slice(at, at + 200) };
  }
  return {};
}

/** A place that is asked about: an ad of one's own, of the other tenant, of nobody, and one that nobody has clicked. */
const askedAds = ['acme-0', 'acme-1', 'shop-0', 'shop-1', 'kiosk.1', 'news-1', 'acme', 'acme-none'];

describe.each(names)('whatever is asked with the key of tenant %s', name => {
  const other = name === 'acme' ? 'shop' : 'acme';

  it.each(Object.entries(asked))('%s is answered as if there were no other ads', async (_, urlsOf) => {
    const urls = new Set(askedAds.flatMap(urlsOf));
    for (const url of urls) {
      const [whole, alone] = [
        await answer(worlds.whole, url, keyOf[name]),
        await answer(worlds[name], url, keyOf[name]),
      ];
      expect({ url, ...differenceOf(whole, alone) }).toEqual({ url });
      expect(whole.headers).toContain(`"x-tenant":"${name}"`);
      const foreign = [...ads[other], ...others.filter(ad => !url.includes(ad))].filter(ad => !url.includes(ad));
      // An id of somebody else may be the beginning of one's own.
      const ids: readonly string[] = whole.body.match(/[\w.:-]+/g) ?? [];
      expect({ url, found: ids.filter(id => foreign.includes(id)) }).toEqual({ url, found: [] });
    }
  });

  it('tells nothing of others by how it pages', async () => {
    for (const path of [`/v1/ads/popular_ads?${final}&count=3`, `/v1/ads?${final}&limit=3`, '/v1/quarantine?limit=3']) {
      for (let cursor = ''; ; ) {
        const url = `${path}${cursor}`;
        const [whole, alone] = [
          await answer(worlds.whole, url, keyOf[name]),
          await answer(worlds[name], url, keyOf[name]),
        ];
        expect({ url, ...differenceOf(whole, alone) }).toEqual({ url });
        const { next_cursor } = JSON.parse(whole.body);
        if (next_cursor === null) break;
        cursor = `&cursor=${next_cursor}`;
      }
    }
  });

  it('has numbers: those that a key for all ads gets where there are no others', async () => {
    for (const url of [
      `/v1/ads/popular_ads?${all}`,
      `/v1/ads/popular_ads?${long}&count=5`,
      `/v1/ads/series?${final}`,
    ]) {
      const [limited, free] = [
        await answer(worlds.whole, url, keyOf[name]),
        await answer(worlds[name], url, keyOf.all),
      ];
      // A cursor belongs to whom it was given.
      const { next_cursor: _, ...numbers } = JSON.parse(limited.body);
      expect(JSON.parse(free.body)).toMatchObject(numbers);
      expect(limited.body).toMatch(/"count":[1-9]/);
    }
    const { copies } = JSON.parse((await answer(worlds.whole, '/v1/clicks/the-same', keyOf[name])).body);
    expect(new Set(copies.map(({ ad_id }: { ad_id: string }) => ad_id)).has(`${name}-0`)).toBe(true);
  });
});

it('asks every route that answers tenants, and each of the others refuses them without a word about ads', async () => {
  const reads = Object.entries(forTenants).filter(([route]) => route.startsWith('GET '));
  for (const [route, rule] of reads) {
    // A live feed has no end, and the rules of invalid clicks are the same for all ads.
    if (rule === 'limited' && route !== 'GET /v1/live' && route !== 'GET /v1/rules')
      expect(asked, route).toHaveProperty([route]);
    if (rule === 'limited') continue;
    const url = route.replace('GET ', '').replace(':id', '01KAM0000000000000000000AB');
    const { status, body } = await answer(worlds.whole, url, keyOf.acme);
    expect({ url, status }).toEqual({ url, status: 403 });
    expect(body).not.toMatch(/shop|news|kiosk/);
  }
});

it('gives each tenant tags of its own, also for answers that are equal', async () => {
  const url = `/v1/ads/nobody/aggregated_count?${final}`;
  const tags = [];
  for (const key of [keyOf.acme, keyOf.shop, keyOf.all]) {
    const { headers } = await worlds.whole.http.inject({ url, headers: bearer(key) });
    expect(headers['cache-control']).toMatch(/^private/);
    expect(headers['vary']).toContain('authorization');
    tags.push(String(headers['etag']));
  }
  expect(new Set(tags).size).toBe(3);
  const again = (key: string, tag = '') => answer(worlds.whole, url, key, { 'if-none-match': tag });
  expect((await again(keyOf.acme, tags[0])).status).toBe(304);
  for (const tag of tags.slice(1)) expect((await again(keyOf.acme, tag)).status).toBe(200);
});

it('refuses a cursor that another tenant was given', async () => {
  for (const path of [`/v1/ads/popular_ads?${final}&count=3`, `/v1/ads?${final}&limit=3`, '/v1/quarantine?limit=3']) {
    for (const [giver, taker] of [
      ['acme', 'shop'],
      ['shop', 'acme'],
      ['all', 'acme'],
      ['acme', 'all'],
    ] as const) {
      const { next_cursor } = JSON.parse((await answer(worlds.whole, path, keyOf[giver])).body);
      const url = `${path}&cursor=${next_cursor}`;
      expect((await answer(worlds.whole, url, keyOf[giver])).status).toBe(200);
      const { status, body } = await answer(worlds.whole, url, keyOf[taker]);
      expect({ status, detail: JSON.parse(body).detail }).toMatchObject({
        status: 400,
        detail: expect.stringContaining('must belong to the list that is asked for'),
      });
    }
  }
});

describe('GET /v1/live', () => {
  const eventOf = async ({ http }: World, key: string, lastEventId = '') => {
    await http.ready();
    const address = http.server.listening
      ? `http://127.0.0.1:${portOf(http)}`
      : await http.listen({ host: '127.0.0.1', port: 0 });
    const end = new AbortController();
    const headers = { ...bearer(key), ...(lastEventId && { 'last-event-id': lastEventId }) };
    const response = await fetch(`${address}/v1/live`, { headers, signal: end.signal });
    let text = '';
    for await (const piece of response.body ?? []) {
      text += Buffer.from(piece).toString();
      if (/\ndata: .*"changes".*\n\n/.test(text)) break;
    }
    end.abort();
    const id = /^id: (.*)$/m.exec(text)?.[1] ?? '';
    return { id, text, event: JSON.parse(/^data: (.*"changes".*)$/m.exec(text)?.[1] ?? '{}') };
  };

  it.each(names)('sends tenant %s the events that it would get if there were no other ads', async name => {
    const { event } = await eventOf(worlds.whole, keyOf[name]);
    expect(event).toEqual((await eventOf(worlds[name], keyOf[name])).event);
    expect(event).toMatchObject({ tenant: name, totals: null, lag_records: null, stalled: [] });
    expect(event.current.ads.length + event.last.ads.length).toBeGreaterThan(0);
    expect(event.changes.map(({ ad_id }: { ad_id: string }) => ad_id)).toEqual([`${name}-1`]);
  });

  it('does not continue the events of others, whose ids it does not know', async () => {
    const { event, id } = await eventOf(worlds.whole, keyOf.all);
    expect(event).toMatchObject({ tenant: null, totals: { received: 9_999 } });
    const { text } = await eventOf(worlds.whole, keyOf.acme, id);
    expect(text).toContain('event: reset');
    expect(text).not.toMatch(/shop|news|kiosk/);
  });
});

describe('a reader of some ads alone', () => {
  it('finds every table of the store in the list that says whose its rows are', async () => {
    const rows = await worlds.whole.clickhouse.query<{ name: string; is_of_ads: number }>(
      `SELECT name, has((SELECT groupArray(table) FROM system.columns WHERE database = currentDatabase() AND name = 'ad_id'), name) AS is_of_ads
       FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView'`,
    );
    expect(rows.map(({ name }) => name).sort()).toEqual(Object.keys(rowsOfTables).sort());
    for (const { name, is_of_ads } of rows) if (is_of_ads) expect(rowsOfTables[name], name).not.toBe('all');
  });

  it('finds no row of another ad in any of them, and in most none at all', async () => {
    const { clickhouse } = worlds.whole;
    const reader = onlyAds(clickhouse, tenants.acme.adIdPrefixes);
    for (const [table, whose] of Object.entries(rowsOfTables)) {
      const count = `SELECT toUInt32(count()) AS n FROM ${table} FINAL`;
      const sum = async (read: ClickHouse, where = '') => (await read.query<{ n: number }>(`${count} ${where}`))[0]?.n;
      const own = await sum(
        clickhouse,
        whose === 'ad' ? `WHERE startsWith(ad_id, 'acme-')` : whose === 'none' ? 'WHERE 0' : '',
      );
      expect({ table, n: await sum(reader) }).toEqual({ table, n: own });
    }
  });

  it('gets an error instead of a row that ClickHouse should not have returned', async () => {
    const wrong = { ...worlds.whole.clickhouse, query: async () => [{ ad_id: 'shop-1' }] as never[] };
    await expect(onlyAds(wrong, ['acme-']).query('SELECT 1')).rejects.toThrow('an ad that the reader must not see');
  });

  it('writes nothing', async () => {
    const reader = onlyAds(worlds.whole.clickhouse, ['acme-']);
    await expect(reader.insert('ad_minute', '{}')).rejects.toThrow('reads, and nothing else');
    await expect(reader.command('TRUNCATE TABLE ad_minute')).rejects.toThrow('reads, and nothing else');
  });
});

function portOf({ server: listening }: Http): number {
  const address = listening.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}
