/** Every answer over two shards is the one of a node that has all rows. */

import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { judgedColumns } from '../../../aggregator/ad-minute.ts';
import type { CellChange } from '../../../aggregator/restatement.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { onlyAds } from '../../../infra/clickhouse/only-ads.ts';
import { recommendedRules } from '../../../ingest/validity/rules.ts';
import { createUncountedCheck } from '../../../query-api/jobs/conservation/uncounted-clicks.ts';
import { createRestater } from '../../../query-api/jobs/recount/apply-changes.ts';
import { createLateMinutes } from '../../../query-api/jobs/restate/late-minutes.ts';
import { createRollUpLoop } from '../../../query-api/jobs/rollup/roll-up-loop.ts';
import { createGroupQueries } from '../../../query-api/store/group-counts.ts';
import { createConservationQueries } from '../../../query-api/store/jobs/conservation-rows.ts';
import { createRecountQueries } from '../../../query-api/store/jobs/recount-rows.ts';
import { createHourComparison } from '../../../query-api/store/jobs/sql-hours.ts';
import { createInvalidComparison } from '../../../query-api/store/jobs/sql-invalid.ts';
import { createReconciliation } from '../../../query-api/store/jobs/sql-recount.ts';
import { createQuarantineQueries } from '../../../query-api/store/quarantine.ts';
import { createRawQueries } from '../../../query-api/store/raw-counts.ts';
import { createBlockDirectory } from '../../../query-api/store/rollup/block-directory.ts';
import { createTopQueries } from '../../../query-api/store/rollup/top-lists.ts';
import { createSplitClicks } from '../../../query-api/store/split-clicks.ts';
import type { SplitRules } from '../../../query-api/store/split-minutes.ts';
import { SeededRandom } from '../../simulation/seeded-random.ts';
import { click } from '../../support/clicks.ts';
import { countsOf, judgedLinesOf } from '../../support/counted-clicks.ts';
import { noneInvalid } from '../../support/log-into.ts';
import {
  logPartitions,
  openShardedClickHouse,
  type PlacedClick,
  type ShardedClickHouse,
} from '../../support/sharded-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: 'silent' });
const minuteMs = 60_000;
const dayMs = 86_400_000;
/** Yesterday at 08:50. */
const start = Math.floor(Date.now() / dayMs) * dayMs - dayMs + (8 * 60 + 50) * minuteMs;
/** With clicks: a whole hour, and some before and after it. */
const minutes = 80;
const finalUntil = start + 74 * minuteMs;
const now = start + minutes * minuteMs + 20_000;
/** Clicks of these lie in all partitions. */
const hot = ['hot-1', 'hot-2'];
const cold = Array.from({ length: 40 }, (_, i) => `ad-${i}`);

let store: ShardedClickHouse;
const clicks: PlacedClick[] = [];

beforeAll(async () => {
  store = await openShardedClickHouse(now);
  const random = new SeededRandom(31);
  for (let i = 0; i < 3_000; i++) {
    // So that each hot ad is first of neither shard's list by much, and of all by more than any other.
    const adId = random.pick(random.chance(0.3) ? hot : cold);
    const partition = hot.includes(adId) ? i % logPartitions : cold.indexOf(adId) % logPartitions;
    const clickedAt = start + random.between(0, minutes * minuteMs - 1);
    const country = random.pick(['KR', 'DE', 'US']);
    const one = { ...click({ adId, clickedAt, country, userId: `u${random.between(0, 299)}` }), partition };
    clicks.push(one);
    if (random.chance(0.1)) clicks.push({ ...one, clickId: click().clickId });
  }
  await store.insertRaw(clicks);
  for (let partition = 0; partition < logPartitions; partition++) {
    const own = clicks.filter(one => one.partition === partition);
    const rows = countsOf(own).map(row => ({ ...row, partition }));
    // By version 1 of the rules, which they do not keep to.
    const judged = rows.map(row => {
      const given = row.ad_id.startsWith('ad-1') && row.clicks > 1 ? { double_click: 1 } : {};
      return { ...row, rules_given: 1, invalid_given: Object.keys(given).length, invalid_by_given: given };
    });
    await store.insertParts('ad_minute', judged, judgedColumns);
    const counted = rows.reduce((sum, row) => sum + row.clicks, 0);
    await store.insertParts('partition_progress', [
      {
        ...{ partition, partitions: logPartitions, position: 500 + partition, watermark: now - 15_000 - partition },
        ...{ final_until: finalUntil + partition * minuteMs, appended_at: now - 1_000, received: own.length + 2 },
        ...{ counted, duplicates: own.length - counted, quarantined: 2, acknowledged: own.length + 2, missing: 0 },
      },
    ]);
  }
  await store.insertParts(
    'quarantine',
    Array.from({ length: 8 }, (_, i) => ({
      ...{ partition: i % logPartitions, offset: 100 + i, line: 0, detail: '', appended_at: now - 60_000 + i },
      ...{ reason: i < 4 ? 'too_late' : 'malformed', ad_id: i < 4 ? 'hot-1' : '', event_id: `q-${i}` },
      ...{ clicked_at: i < 4 ? start + 5 * minuteMs : 0, raw: `{"n":${i}}` },
    })),
  );
  await restate(7, 'hot-1', 'KR', 1, [0, 1]);
  await restate(8, 'ad-3', 'DE', 1, [3]);
  await store.said.requests.append('filter', [filterRow('one')]);
});
afterAll(() => store[Symbol.asyncDispose]());

const filterRow = (id: string) => ({
  ...{ id, definition: JSON.stringify({ countries: { in: ['KR', 'DE'] } }), deleted: 0, seq: 1 },
  ...{ created_at: now, updated_at: now },
});

/** 5 clicks more in each of the partitions, as a job says it; the entries. */
function restatementOf(minute: number, ad_id: string, country: string, revision: number, partitions: number[]) {
  const rows = partitions.map(partition => ({ partition, clicks: 20 * revision + 5, duplicates: 0, late: 1 }));
  const after = rows.reduce((sum, row) => sum + row.clicks, 0);
  const change: CellChange = {
    ...{ minute: start / 1_000 + minute * 60, ad_id, country, revision, before: 1, after },
    ...{ before_duplicates: 0, after_duplicates: 0, stated: [], rows, ...noneInvalid },
  };
  const restater = createRestater({ job: '01J', reason: 'late', readUntil: new Map([[1, 102]]), now: () => now });
  restater.stage([change], [start + minute * minuteMs]);
  return restater.take();
}

async function restate(...of: Parameters<typeof restatementOf>): Promise<void> {
  await store.said.jobLog.write(restatementOf(...of));
}

const at = (minute: number) => new Date(start + minute * minuteMs).toISOString();
const all = `from=${at(0)}&to=${at(minutes)}`;
const final = `from=${at(0)}&to=${at(74)}`;
const hour = `from=${at(10)}&to=${at(70)}`;

const noJob = '01KAM0000000000000000000AB';

/** Of every operation that reads, so that a new one is not forgotten: what is asked. */
const asked: Record<string, readonly string[]> = {
  getAggregatedCount: [
    `/v1/ads/hot-1/aggregated_count?${all}`,
    `/v1/ads/hot-1/aggregated_count?${final}`,
    `/v1/ads/hot-1/aggregated_count?${final}&clicks=gross&reasons=true`,
    `/v1/ads/ad-3/aggregated_count?${final}&country=DE&compare=previous`,
    `/v1/ads/hot-2/aggregated_count?${final}&uniques=true`,
    `/v1/ads/hot-2/aggregated_count?${final}&user_id=u7`,
    `/v1/ads/hot-1/aggregated_count?${final}&as_of=${new Date(now - 60_000).toISOString()}`,
    `/v1/ads/nobody/aggregated_count?${all}`,
  ],
  getPopularAds: [
    `/v1/ads/popular_ads?count=3&${all}`,
    `/v1/ads/popular_ads?count=20&${final}&clicks=gross`,
    `/v1/ads/popular_ads?count=100&${final}`,
    `/v1/ads/popular_ads?count=10&from=${at(7)}&to=${at(8)}`,
    `/v1/ads/popular_ads?count=10&${final}&country=KR&compare=previous`,
    `/v1/ads/popular_ads?count=10&${final}&uniques=true`,
    `/v1/ads/popular_ads?count=10&${final}&filter=one`,
  ],
  getMostClicked: [1, 5, 60].map(window => `/v1/ads/most_clicked?window=${window}&at=${at(72)}`),
  getSeries: [
    `/v1/ads/hot-1/series?${final}&granularity=minute`,
    `/v1/ads/hot-1/series?${hour}&granularity=hour`,
    `/v1/ads/ad-5/series?${final}&granularity=minute&user_id=u3`,
  ],
  getAllSeries: [`/v1/ads/series?${all}`, `/v1/ads/series?${final}&ad_id=hot-1&ad_id=ad-2`],
  getCountries: [`/v1/ads/countries?${final}`, `/v1/ads/countries?${final}&uniques=true&ad_id=hot-2`],
  findAds: [
    `/v1/ads?prefix=ad-1&${final}`,
    `/v1/ads?prefix=&${all}`,
    `/v1/ads?contains=1&${final}&country=KR`,
    `/v1/ads?contains=1&${final}&user_id=u3`,
  ],
  getRestatements: [`/v1/ads/hot-1/restatements?${all}`, `/v1/ads/ad-3/restatements?${all}`],
  getClick: ['/v1/clicks/q-1', '/v1/clicks/nobody'],
  getQuarantine: ['/v1/quarantine', '/v1/quarantine?limit=3', '/v1/quarantine?reason=too_late&ad_id=hot-1'],
  exportQuarantine: ['', '&outcome=not_counted'].map(
    outcome => `/v1/quarantine/export?from=${at(0)}&to=${at(minutes)}${outcome}`,
  ),
  exportAdMinutes: ['csv', 'ndjson'].flatMap(format => [
    `/v1/exports/ad_minutes?${final}&format=${format}`,
    `/v1/exports/ad_minutes?${final}&format=${format}&ad_id=hot-1`,
  ]),
  exportClicks: ['csv', 'ndjson'].map(format => `/v1/exports/clicks?${final}&format=${format}`),
  getStatus: ['/v1/status'],
  listFilters: ['/v1/filters'],
  getFilter: ['/v1/filters/one'],
  listReplays: ['/v1/replays'],
  getReplay: [`/v1/replays/${noJob}`],
  listReconciliations: ['/v1/reconciliations'],
  getReconciliation: [`/v1/reconciliations/${noJob}`],
};

/** These say the same of any store, or need a key that is not here: each node has the whole audit log. */
const isNone = new Set([
  'getPartitions',
  'listRules',
  'getErasure',
  // Its rows come in no order, and have a test of their own.
  'exportUser',
  'listKeys',
  'listAudit',
  'getSession',
  'listen',
  'getHealth',
  'getReadiness',
  'getMetrics',
  'getOpenApi',
]);

async function answersOf(url: string) {
  const [whole, shards] = await Promise.all([store.apis.whole.inject(url), store.apis.shards.inject(url)]);
  return [whole, shards].map(({ statusCode, headers, body }) => {
    const isJson = String(headers['content-type']).startsWith('application/json');
    return { status: statusCode, body: isJson ? withoutNodes(JSON.parse(body)) : body };
  });
}

/** What is of the store itself. */
function withoutNodes({ nodes, replicas, source, ...body }: Record<string, unknown>) {
  return { ...body, ...(source === 'stored' || source === 'computed' ? {} : { source }) };
}

async function areSame(urls: readonly string[]): Promise<void> {
  for (const url of urls) {
    const [whole, shards] = await answersOf(url);
    expect(shards, url).toEqual(whole);
    expect([200, 404], `${url}: ${JSON.stringify(whole?.body).slice(0, 300)}`).toContain(whole?.status);
  }
}

async function pagesOf(api: 'whole' | 'shards', path: string): Promise<unknown[]> {
  const pages: unknown[] = [];
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { body } = await store.apis[api].inject(`${path}${cursor === '' ? '' : `&cursor=${cursor}`}`);
    const { next_cursor, ...page } = JSON.parse(body);
    pages.push(page);
    cursor = (next_cursor as string | null | undefined) ?? null;
  }
  return pages;
}

describe('over two shards', () => {
  it('every operation that reads is asked here', async () => {
    const { paths } = JSON.parse((await store.apis.shards.inject('/openapi.json')).body);
    const reads = Object.values(paths as Record<string, { get?: { operationId: string } }>).flatMap(({ get }) =>
      get === undefined || isNone.has(get.operationId) ? [] : [get.operationId],
    );
    expect(Object.keys(asked).toSorted()).toEqual(reads.toSorted());
  });

  it.each(Object.entries(asked))('%s answers as one node does that has all', async (_, urls) => {
    await areSame(urls);
  });

  it('all that is kept of a person comes from all shards', async () => {
    const [whole, shards] = await answersOf('/v1/users/u7/export');
    const sorted = (answer: typeof whole) => ({
      ...answer,
      body: String(answer?.body).trimEnd().split('\n').toSorted(),
    });
    expect(sorted(shards)).toEqual(sorted(whole));
    const own = clicks.filter(({ userId }) => userId === 'u7');
    expect(new Set(own.map(({ partition }) => partition % 2)).size).toBe(2);
    expect(sorted(shards)).toMatchObject({ status: 200, body: { length: own.length + 2 } });
  });

  it('a reader of some ads alone finds those of all shards, and no others', async () => {
    const prefixes = ['ad-1', 'hot-2'];
    const timeouts = { timeoutMs: 30_000 };
    const range = { from: start, to: finalUntil, isSettled: false, country: undefined };
    const readsOf = (clickhouse: ClickHouse, shards: number) => {
      const own = onlyAds(clickhouse, prefixes);
      const byAd = createBlockDirectory(clickhouse, { ...timeouts, shards });
      const groups = createGroupQueries(own, { ...timeouts, shards, byAd });
      return [
        async () => await createTopQueries(own, byAd, { ...timeouts, useLists: false }).popularAds(100, range),
        async () => await groups.totals([], range),
        async () => await groups.series([], 60 * minuteMs, range),
        async () => await groups.adsByText({ prefix: '', text: 'o' }, 100, range),
        async () =>
          await createRawQueries(own, timeouts).popularAds(100, { ...range, adIds: [], filter: [], uniques: true }),
        async () =>
          await createQuarantineQueries(own, { ...timeouts, now: () => now }).byReason({
            adId: undefined,
            clicked: undefined,
          }),
      ];
    };
    const whole = readsOf(store.whole.clickhouse, 1);
    for (const [i, read] of readsOf(store.replicas.clickhouse, 2).entries()) {
      const found = await store.replicas.reading<unknown>(read);
      expect(found, `read ${i}`).toEqual(await whole[i]?.());
      const names = JSON.stringify(found).match(/(?<=")(ad|hot)-[0-9]+(?=")/g) ?? [];
      expect(names.filter(name => !prefixes.some(prefix => name.startsWith(prefix)))).toEqual([]);
      if (i === 0) expect(names.length).toBeGreaterThan(10);
    }
  });

  it('who runs the jobs reads what he would of one node that has all', async () => {
    const range = { from: start, to: finalUntil };
    const reads = (clickhouse: ClickHouse): (() => Promise<unknown>)[] => {
      const recounts = createRecountQueries(clickhouse);
      const conservation = createConservationQueries(clickhouse);
      const inOrder = (lines: Uint8Array) => Buffer.from(lines).toString().split('\n').toSorted();
      const quarantined = [0, 1, 2, 3].map(partition => ({ partition, since: 0, until: 1_000 }));
      const late = createLateMinutes({ clickhouse, now: () => now, timeoutMs: 10_000, quietMs: 0 });
      return [
        async () => Buffer.from(await recounts.rawPage(range, undefined, 500)).toString(),
        async () => inOrder(await recounts.stated(range)),
        async () => (await conservation.liveRows(range)).toSorted((a, b) => a.partition - b.partition),
        async () => await conservation.firstMinute(range),
        async () => [...(await conservation.quarantinedLines(quarantined))].toSorted(([a], [b]) => a - b),
        async () =>
          await createReconciliation(clickhouse, async () => now).compare({
            from: start,
            to: start + 60 * minuteMs,
          }),
        async () =>
          await createReconciliation(clickhouse, async () => 0).compare({
            from: start,
            to: start + 60 * minuteMs,
          }),
        async () =>
          await createInvalidComparison({
            ...{ clickhouse, idsPerAdFrom: async () => 0 },
            rules: async () => version => ({ version, rules: recommendedRules }),
          }).compare({ from: start, to: start + 60 * minuteMs }),
        async () =>
          await createUncountedCheck({ clickhouse, now: () => now, idsPerAdFrom: async () => 0, waitsMs: 0 }).run(),
        async () => await late.due(finalUntil, start),
      ];
    };
    const whole = reads(store.whole.clickhouse);
    for (const [i, read] of reads(store.replicas.clickhouse).entries()) {
      const found = await store.replicas.reading(read);
      expect(found, `read ${i}`).toEqual(await whole[i]?.());
      // Nothing is uncounted; of all else there is something.
      if (i !== 8) expect(JSON.stringify(found).length, `read ${i}`).toBeGreaterThan(4);
    }
  });

  it('an ad whose clicks lie in both is first by its whole count', async () => {
    const [, shards] = await answersOf(`/v1/ads/popular_ads?count=2&${final}`);
    const { ads } = (shards?.body ?? {}) as { ads: { ad_id: string; count: number }[] };
    expect(ads.map(({ ad_id }) => ad_id).toSorted()).toEqual(hot);
    expect(ads[0]?.count).toBeGreaterThan(300);
  });

  it('pages and their cursors are the same', async () => {
    for (const path of [`/v1/ads/popular_ads?count=7&${final}`, '/v1/quarantine?limit=3'])
      expect(await pagesOf('shards', path)).toEqual(await pagesOf('whole', path));
  });

  it('answers are the same with what is worked out beforehand, in each shard of its own rows', async () => {
    const listed = { minute: 4, hour: 6, window: 3 };
    const of = [
      { clickhouse: store.whole.clickhouse, shard: { shard: 0, of: 1 } },
      ...store.nodes.map(({ clickhouse }, shard) => ({ clickhouse, shard: { shard, of: store.nodes.length } })),
    ];
    for (const one of of) {
      const loop = createRollUpLoop({ ...one, log, listed });
      for (let idle = 0; idle < 2; ) idle = (await loop.turn()) === 0 ? idle + 1 : 0;
    }
    for (const { clickhouse } of store.nodes) {
      const [row] = await clickhouse.query<{ n: number }>('SELECT count() AS n FROM most_clicked_ads FINAL');
      expect(row?.n).toBeGreaterThan(150);
    }
    await areSame(Object.values(asked).flat());
    const { clickhouse } = store.replicas;
    const hours = createHourComparison({ clickhouse, shards: store.nodes.length });
    const wholeHour = Math.ceil(start / (60 * minuteMs)) * 60 * minuteMs;
    expect(await store.replicas.reading(() => hours.compare(wholeHour))).toMatchObject({ differing: 0 });
    const wrong = { hour: wholeHour / 1_000, ad_id: 'hot-1', country: 'KR', restatements: 1_000 };
    await store.nodes[1].clickhouse.insert(
      'ad_hour',
      JSON.stringify({ ...wrong, clicks: 9_999, duplicates: 0, late: 0 }),
    );
    expect(await store.replicas.reading(() => hours.compare(wholeHour))).toMatchObject({
      ...{ differing: 1, ads: [{ ad_id: 'hot-1' }] },
    });
    await store.nodes[1].clickhouse.command('ALTER TABLE ad_hour DELETE WHERE restatements = 1000');
  });

  it('a restatement in both is seen whole, or not at all and later', async () => {
    const path = `/v1/ads/hot-2/aggregated_count?from=${at(20)}&to=${at(21)}`;
    const [before] = await answersOf(path);
    const entries = restatementOf(20, 'hot-2', 'US', 1, [0, 1]);
    // As sinks bring it: all of it into one shard, and nothing into the other yet.
    const [first, second] = store.nodes;
    const rowsOf = (kind: string) => entries.filter(entry => entry.kind === kind).flatMap(({ rows }) => rows);
    const insert = async (node: typeof first, table: string, rows: readonly object[], shard?: number) => {
      const own = rows.filter(
        row => shard === undefined || ('partition' in row && Number(row.partition) % 2 === shard),
      );
      await node.clickhouse.insert(table, own.map(row => JSON.stringify(row)).join('\n'));
    };
    const bring = async (node: typeof first, shard?: number) => {
      await insert(node, 'restatement', rowsOf('restatement'));
      await insert(node, 'recounted_minute', rowsOf('recounted-minute'));
      await insert(node, 'ad_minute', rowsOf('ad-minute'), shard);
      await insert(node, 'recounted_minute', rowsOf('settled-minute'));
    };
    await bring(second, 1);
    const early = await store.apis.shards.inject(path);
    expect([early.statusCode, early.headers['retry-after']]).toEqual([503, expect.any(String)]);
    // A range apart from it does not wait.
    await areSame([`/v1/ads/hot-2/aggregated_count?from=${at(21)}&to=${at(22)}`]);
    const waiting = store.apis.shards.inject(path);
    await bring(first, 0);
    await bring(store.whole);
    const [whole, shards] = await answersOf(path);
    expect(shards).toEqual(whole);
    expect(shards?.body).toMatchObject({ state: 'restated' });
    expect(shards?.body).not.toEqual(before?.body);
    expect(JSON.parse((await waiting).body)).toEqual(shards?.body);
  });

  it('clicks of a split ad wait whose partitions are in different shards, until its minute is recounted', async () => {
    const minute = start + 30 * minuteMs;
    const rule = { ruleId: '0'.repeat(26), adId: 'split-1', from: start, until: start + minutes * minuteMs };
    const version = { version: 4, rules: recommendedRules, from: start, holds: true, announcedAt: 0 };
    const splitRules: SplitRules = {
      rules: [rule],
      versions: [{ ...version, ruleId: rule.ruleId, note: '', by: '' }],
      rulesKnownUntil: now,
    };
    const cell = {
      minute: minute / 1_000,
      ad_id: 'split-1',
      country: 'KR',
      version: 9,
      duplicates: 0,
      late: 0,
      rules: 4,
    };
    const rows = [9, 5].map((clicks, partition) => ({
      ...cell,
      partition,
      clicks,
      invalid: 2,
      invalid_by: { double_click: 2 },
    }));
    for (const [shard, node] of store.nodes.entries()) {
      const lines = judgedLinesOf(rows.filter(({ partition }) => partition % 2 === shard));
      await node.clickhouse.insert('ad_minute', lines, judgedColumns);
    }
    await store.whole.clickhouse.insert('ad_minute', judgedLinesOf(rows), judgedColumns);
    const found = async (clickhouse: ClickHouse) =>
      await createSplitClicks({ clickhouse, splitRules, now: () => now })(finalUntil);
    for (const clickhouse of [store.whole.clickhouse, store.replicas.clickhouse]) {
      const { minutes: waiting, clicks: most } = await store.replicas.reading(() => found(clickhouse));
      expect([waiting, most]).toEqual([[minute], 3]);
    }
    await restate(30, 'split-1', 'KR', 1, [0, 1]);
    for (const clickhouse of [store.whole.clickhouse, store.replicas.clickhouse])
      expect((await store.replicas.reading(() => found(clickhouse))).minutes).toEqual([]);
  });

  it('a statement that names a sharded table by itself is refused, not answered by half', async () => {
    const read = store.replicas.reading(() => store.replicas.clickhouse.query('SELECT count() AS n FROM click_raw'));
    await expect(read).rejects.toThrow('a statement names click_raw without "sharded"');
  });

  it('a shard that is away is told by 503 and its number, and nothing by half; once it is back, all answers', async () => {
    const path = `/v1/ads/popular_ads?count=5&${final}`;
    const tag = (await store.apis.shards.inject(path)).headers.etag;
    await store.nodes[1].kill();
    // By this one it is known; then all at the same time, as each of them waits for a moment whether the shard comes back.
    expect((await store.apis.shards.inject(path)).statusCode).toBe(503);
    const answers = await Promise.all(
      Object.values(asked).map(async ([url = '']) => ({ url, answer: await store.apis.shards.inject(url) })),
    );
    for (const { url, answer } of answers) {
      expect(answer.statusCode, url).toBe(503);
      expect(Number(answer.headers['retry-after']), url).toBeGreaterThan(0);
    }
    expect(JSON.parse((await store.apis.shards.inject(path)).body)).toMatchObject({
      code: 'shard_unavailable',
      detail: expect.stringMatching(/^shard 1 of 2 cannot be read/),
    });
    await store.nodes[1].start();
    const back = await store.apis.shards.inject({ url: path, headers: { 'if-none-match': tag ?? '' } });
    expect(back.statusCode).toBe(304);
    await areSame(Object.values(asked).flat());
  });

  it('a node that was filled as another shard is not read', async () => {
    await store.nodes[0].clickhouse.insert(
      'partition_progress',
      JSON.stringify({ partition: 5, partitions: logPartitions, position: 1 }),
    );
    const path = `/v1/ads/hot-1/aggregated_count?${final}`;
    await eventually('no answer', async () => (await store.apis.shards.inject(path)).statusCode === 503);
    await expect(store.replicas.reading(async () => 1)).rejects.toThrow(
      /of shard 0 can be read: .* is away \(it holds partition 5, which belongs to shard 1: it was filled for other shards/,
    );
  });
});
