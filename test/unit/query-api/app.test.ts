import { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../../infra/config.ts';
import { Retryable } from '../../../infra/errors.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { closeHttp } from '../../../infra/http-drain.ts';
import { beginLife } from '../../../infra/life.ts';
import { GrowthRefused } from '../../../ingest/hot-ads/grow-partitions.ts';
import { buildQueryApi, type QueryApiDeps } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { noneSplit } from '../../../query-api/store/split-minutes.ts';
import { bearer, keysInMemory } from '../../support/api-keys.ts';
import { logInto } from '../../support/log-into.ts';

const now = Date.parse('2025-11-22T08:26:40.123Z');
const minute = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:01:00Z';
const endOfMinute = Date.parse('2025-11-22T08:01:00Z');

const progress = (partition: number, fields: Partial<Progress> = {}): Progress => ({
  partition,
  partitions: 2,
  position: 40,
  watermark: endOfMinute + 75_000,
  final_until: endOfMinute,
  appended_at: endOfMinute + 90_000,
  received: 12,
  counted: 9,
  duplicates: 2,
  quarantined: 1,
  acknowledged: 10,
  missing: 0,
  invalid: 0,
  ids_per_ad_from: null,
  ...fields,
});

/** Answers the queries of each table with `tables[name]`, and remembers them in groups that run at the same time. */
function fakeClickHouse(tables: Record<string, () => unknown[]>) {
  const asked: string[][] = [];
  let running = 0;
  const clickhouse: ClickHouse = {
    async query<T>(sql: string) {
      const table = /FROM (\w+)/.exec(sql)?.[1] ?? '';
      if (running++ === 0) asked.push([]);
      asked.at(-1)?.push(table);
      const answer = (tables[table]?.() ?? []) as T[];
      await new Promise(resolve => setImmediate(resolve));
      running--;
      return answer;
    },
    queryLines: () => Promise.resolve(new Uint8Array()),
    command: () => Promise.resolve(),
    stream: () => Readable.from([]),
    insert: () => Promise.resolve(),
    ping: () => Promise.resolve(),
    disks: async () => [],
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { clickhouse, asked };
}

let http: Http | undefined;
afterEach(() => http?.close());

function monotonicClock(now: () => number): void {
  const clock = vi.spyOn(performance, 'now').mockImplementation(now);
  onTestFinished(() => clock.mockRestore());
}

async function app(
  tables: Record<string, () => unknown[]>,
  deps: Partial<QueryApiDeps> = {},
  env: NodeJS.ProcessEnv = {},
) {
  const { clickhouse, asked } = fakeClickHouse(tables);
  const log = pino({ level: 'silent' });
  const countedLog = {
    endOffsets: async () =>
      new Map([
        [0, 40],
        [1, 45],
      ]),
    sinkPositions: async () => [],
  };
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, env),
    clickhouse,
    log,
    now: () => now,
    countedLog,
    wait: async () => undefined,
    ...deps,
  });
  const running = http;
  const get = async (url: string) => {
    const { statusCode, headers, body } = await running.inject(url);
    return { status: statusCode, headers, body: JSON.parse(body) };
  };
  return { get, asked, http: running };
}

/** A row of `quarantine` that answers both the query for reasons and the query for late clicks. */
const waitingLine = { reason: 'too_late', minute: endOfMinute, ad_id: 'a', clicks: 1, since: now };

const everywhere = { partition_progress: () => [progress(0), progress(1)] };

describe('the order of reading', () => {
  it.each([
    [`/v1/ads/a/aggregated_count?${minute}`, 'ad_minute_by_ad'],
    [`/v1/ads/popular_ads?${minute}`, 'ad_minute'],
    [`/v1/ads/a/series?${minute}`, 'ad_minute_by_ad'],
    [`/v1/ads/series?${minute}`, 'ad_minute'],
    [`/v1/ads/countries?${minute}`, 'ad_minute'],
    [`/v1/ads?prefix=a&${minute}`, 'ad_minute_by_ad'],
    [`/v1/ads/a/aggregated_count?user_id=u&${minute}`, 'click_raw'],
    [`/v1/ads/popular_ads?ip=10.0.0.1&${minute}`, 'click_raw'],
    [`/v1/ads/a/series?user_id=u&${minute}`, 'click_raw'],
    [`/v1/ads/series?user_id=u&${minute}`, 'click_raw'],
    [`/v1/ads/countries?uniques=true&${minute}`, 'click_raw'],
    [`/v1/ads?contains=a&user_id=u&${minute}`, 'click_raw'],
  ])(
    'is all that has to be known before, then counts and what was restated, then recounts once more: %s',
    async (url, table) => {
      const { get, asked } = await app(everywhere);
      await get(url);
      expect(asked.map(together => together.toSorted())).toEqual([
        ['partition_progress', 'quarantine', 'recounted_minute'],
        [table, 'restatement'],
        ['recounted_minute'],
      ]);
    },
  );

  it('calls a count provisional that was read while its minute became final', async () => {
    let counted = false;
    const { get } = await app({
      partition_progress: () => [progress(0), progress(1, { final_until: counted ? endOfMinute : 0 })],
      ad_minute_by_ad: () => {
        counted = true;
        return [{ count: 7, duplicates: 0, late: 0, invalid: 0 }];
      },
    });
    expect((await get(`/v1/ads/a/aggregated_count?${minute}`)).body).toMatchObject({ count: 7, state: 'provisional' });
    expect((await get(`/v1/ads/a/aggregated_count?${minute}`)).body).toMatchObject({ count: 7, state: 'final' });
  });
});

describe('as_of', () => {
  const url = `/v1/ads/a/aggregated_count?${minute}&as_of=2025-11-22T08:20:00Z`;
  it('subtracts what was added later, in the same reading of recounts', async () => {
    const answers = [
      { count: 6, duplicates: 0, late: 6, invalid: 0 },
      { count: 16, duplicates: 0, late: 6, invalid: 0 },
    ];
    const { get, asked } = await app({ ...everywhere, ad_minute_by_ad: () => [answers.shift()] });
    expect((await get(url)).body).toMatchObject({ count: 10, late: 0, state: 'final' });
    const [, counts, after] = asked.map(together => together.toSorted());
    expect([counts, after]).toEqual([['ad_minute_by_ad', 'ad_minute_by_ad', 'restatement'], ['recounted_minute']]);
  });
});

describe('a number that is restated while it is read', () => {
  const recounts = (visible: () => number) => () => [{ visible: visible(), unsettled: 0 }];

  it.each([
    [`/v1/ads/a/aggregated_count?${minute}`, 'ad_minute_by_ad'],
    [`/v1/ads/popular_ads?${minute}`, 'ad_minute'],
    [`/v1/ads/a/series?${minute}`, 'ad_minute_by_ad'],
    [`/v1/ads/series?${minute}`, 'ad_minute'],
    [`/v1/ads/countries?${minute}`, 'ad_minute'],
    [`/v1/ads?prefix=a&${minute}`, 'ad_minute_by_ad'],
    ['/v1/ads/most_clicked?at=2025-11-22T08:01:00Z', 'ad_minute'],
  ])('is read again, with its state: %s', async (url, table) => {
    let reads = 0;
    const start = endOfMinute - 60_000;
    const { get } = await app({
      ...everywhere,
      // It becomes visible after the counts were read for the first time, and before the state was.
      [table]: () => [
        { ad_id: 'a', country: 'KR', start, count: reads++ === 0 ? 7 : 9, duplicates: 0, late: 0, invalid: 0 },
      ],
      restatement: () => (reads > 0 ? [{ found: 1, ad_id: '', start }] : []),
      recounted_minute: recounts(() => reads),
    });
    const { body } = await get(url);
    expect(JSON.stringify(body)).not.toContain('"count":7');
    expect(reads).toBeGreaterThan(1);
  });

  it('gets 503 when counts are restated without end', async () => {
    let n = 0;
    const { get } = await app({ ...everywhere, recounted_minute: recounts(() => n++) });
    const answer = await get(`/v1/ads/a/aggregated_count?${minute}`);
    expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } });
  });
});

describe('late clicks that wait for their restatement', () => {
  const at = (text: string) => Date.parse(`2025-11-22T${text}:00Z`);
  const waiting = [
    { minute: at('07:59'), ad_id: 'a', clicks: 16, since: at('08:20') },
    { minute: at('08:00'), ad_id: 'a', clicks: 1, since: at('08:21') },
    { minute: at('08:00'), ad_id: 'b', clicks: 2, since: at('08:22') },
    { minute: at('08:01'), ad_id: 'a', clicks: 4, since: at('08:23') },
  ];
  const tables = {
    ...everywhere,
    quarantine: () => waiting.map(row => ({ ...row, reason: 'too_late', lines: row.clicks })),
  };

  it.each([
    [`/v1/ads/a/aggregated_count?${minute}`, 1],
    [`/v1/ads/c/aggregated_count?${minute}`, 0],
    [`/v1/ads/a/aggregated_count?user_id=u&${minute}`, 1],
    [`/v1/ads/popular_ads?${minute}`, 3],
    [`/v1/ads/a/series?${minute}`, 1],
    [`/v1/ads/series?${minute}`, 3],
    [`/v1/ads/series?ad_id=b&${minute}`, 2],
    [`/v1/ads/countries?${minute}`, 3],
    [`/v1/ads/countries?ad_id=a&ad_id=b&${minute}`, 3],
    [`/v1/ads?prefix=a&${minute}`, 3],
    ['/v1/ads/most_clicked?at=2025-11-22T08:01:00Z', 3],
  ])('are stated beside the state, which they do not change: %s', async (url, clicks) => {
    const { get } = await app(tables);
    const { body, headers } = await get(url);
    expect([body.state, body.pending_late]).toEqual(['final', clicks]);
    if (clicks > 0) expect(headers['cache-control']).toMatch(/no-cache/);
  });

  it('are stated for each point, for each ad, for the previous range, and with rows', async () => {
    const { get, http: running } = await app(tables);
    const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';
    const { body } = await get(`/v1/ads/series?ad_id=a&ad_id=b&compare=previous&${range}`);
    const points = (i: number) => body.series[i].points.map((point: { pending_late: number }) => point.pending_late);
    expect([points(0), points(1), body.pending_late, body.previous.pending_late]).toEqual([[1, 4], [2, 0], 7, 16]);
    const top = await get(`/v1/ads/popular_ads?compare=previous&${range}`);
    expect([top.body.pending_late, top.body.previous.pending_late]).toEqual([7, 16]);
    const csv = await running.inject({ url: `/v1/ads/a/series?${range}`, headers: { accept: 'text/csv' } });
    expect([csv.headers['x-pending-late'], csv.body.split('\n')[0]]).toEqual([
      '5',
      expect.stringContaining('pending_late'),
    ]);
    const rows = await running.inject(`/v1/exports/ad_minutes?ad_id=b&${range}`);
    expect(rows.headers['x-pending-late']).toBe('2');
  });

  it('are in headers of rows and exports, which are left out where JSON has null', async () => {
    const range = 'from=2025-11-22T08:00:00Z&to=2025-11-22T08:02:00Z';
    const namesOf = async (tables: Parameters<typeof app>[0], splitRules = noneSplit) => {
      const { get, http: running } = await app(tables, { splitRules });
      const { pending_split, watermark } = (await get(`/v1/ads/a/series?${range}`)).body;
      const csv = await running.inject({ url: `/v1/ads/a/series?${range}`, headers: { accept: 'text/csv' } });
      const exported = await running.inject(`/v1/exports/ad_minutes?ad_id=a&${range}`);
      const named = [csv, exported].map(({ headers }) =>
        Object.keys(headers).filter(name => /^x-(pending|watermark|final|state|next)/.test(name)),
      );
      return { isNull: [pending_split === null, watermark === null], named };
    };
    // No partition has made progress; how ads are split is not known.
    expect(await namesOf({ partition_progress: () => [] })).toEqual({
      isNull: [false, true],
      named: [
        ['x-state', 'x-pending-late', 'x-pending-split'],
        ['x-pending-late', 'x-pending-split'],
      ],
    });
    expect(await namesOf(everywhere, { ...noneSplit, rulesKnownUntil: Number.NEGATIVE_INFINITY })).toEqual({
      isNull: [true, false],
      named: [
        ['x-state', 'x-pending-late', 'x-watermark'],
        ['x-watermark', 'x-final-until', 'x-pending-late'],
      ],
    });
  });

  it('are in the status, and clicks that are in no count make it unbalanced', async () => {
    const checked = (uncounted: number) => ({
      ...tables,
      conservation_check: () => [{ checked_at: now, differences: '[]', uncounted }],
    });
    const { get } = await app(checked(5));
    expect((await get('/v1/status')).body).toMatchObject({
      pending_late: { clicks: 23, minutes: 3, since: '2025-11-22T08:20:00.000Z' },
      // Its older name, for who reads it by that.
      late: { clicks: 23, minutes: 3, since: '2025-11-22T08:20:00.000Z' },
      conservation: { balanced: false, uncounted: 5 },
    });
    await http?.close();
    const { get: again } = await app(checked(0));
    expect((await again('/v1/status')).body.conservation).toMatchObject({ balanced: true, uncounted: 0 });
  });
});

describe('the active job runner', () => {
  const since = now - 3_600_000;
  const runner = (seen_at: number) => ({
    ...everywhere,
    job_runner: () => [{ since, instance: 'one', host: 'a:8084', seen_at }],
  });
  it.each([
    ['nobody yet', everywhere, null],
    ['one who was heard of just now', runner(now - 40_000), { host: 'a:8084', runs: true }],
    ['nobody, as the last one is silent', runner(now - 95_000), { host: 'a:8084', runs: false }],
  ])('is in the status: %s', async (_, tables, expected) => {
    const { get } = await app(tables);
    const { job_runner } = (await get('/v1/status')).body;
    if (expected === null) expect(job_runner).toBeNull();
    else expect(job_runner).toMatchObject({ ...expected, since: new Date(since).toISOString() });
  });
});

describe('caching', () => {
  it('allows a final number to be cached for a short time', async () => {
    const { get } = await app(everywhere);
    const { headers, body } = await get(`/v1/ads/a/aggregated_count?${minute}`);
    expect(body.state).toBe('final');
    expect(headers['cache-control']).toBe('public, max-age=30');
  });

  it('makes a cache ask again before it uses a provisional number', async () => {
    const { get } = await app({ partition_progress: () => [progress(0)] });
    const { headers, body } = await get(`/v1/ads/popular_ads?${minute}`);
    expect(body).toMatchObject({ state: 'provisional', watermark: null });
    expect(headers['cache-control']).toBe('no-cache');
  });

  it('makes a cache ask again when the same URL means other minutes a minute later', async () => {
    const { get } = await app({
      partition_progress: () => [progress(0, { final_until: now }), progress(1, { final_until: now })],
    });
    const { headers, body } = await get('/v1/ads/popular_ads?window=5');
    expect(body.state).toBe('final');
    expect(headers['cache-control']).toBe('no-cache');
  });
});

describe('an answer that no shared cache may keep', () => {
  const policyOf = async (url: string, headers: Record<string, string> = {}) => {
    const { http: running } = await app(everywhere);
    const answer = await running.inject({ url, headers });
    return answer.headers['cache-control'];
  };
  const counts = [
    '/v1/ads/a/aggregated_count',
    '/v1/ads/popular_ads',
    '/v1/ads/a/series',
    '/v1/ads/series',
    '/v1/ads/countries',
  ];

  it.each(counts)('is each answer of %s about one user or address, final or not', async path => {
    expect(await policyOf(`${path}?${minute}`)).toBe('public, max-age=30');
    for (const who of ['user_id=u', 'ip=10.0.0.1', 'user_id=u&ip=10.0.0.1&country=KR']) {
      expect(await policyOf(`${path}?${minute}&${who}`)).toBe('private, max-age=30');
      expect(await policyOf(`${path}?${who}`)).toBe('private, no-cache');
    }
    expect(await policyOf(`${path}?${minute}&filter=f`)).toBe('private, no-cache');
  });

  it('is every answer to a request with an API key', async () => {
    const keys = keysInMemory();
    const key = bearer(keys.add({ scopes: ['read'] }, now));
    const { http: running } = await app(everywhere, { keys });
    const told = [...counts, '/v1/status', '/v1/replays', '/v1/reconciliations'];
    for (const path of told) {
      const url = counts.includes(path) ? `${path}?${minute}` : path;
      for (const headers of [key, { cookie: 'session=x' }]) {
        const policy = (await running.inject({ url, headers })).headers['cache-control'];
        expect([url, policy]).toEqual([url, expect.stringMatching(/^private, (max-age=30|no-cache)$/)]);
      }
    }
  });

  it('is every answer with lines, ids and filters as they were sent, errors included', async () => {
    for (const path of ['/v1/clicks/e-1', '/v1/filters', '/v1/filters/f', '/v1/quarantine?limit=x']) {
      expect([path, await policyOf(path)]).toEqual([path, 'private, no-cache']);
    }
    expect(await policyOf('/v1/quarantine/export')).toBe('no-store');
    expect(await policyOf(`/v1/exports/clicks?${minute}`)).toBe('no-store');
  });
});

describe('DELETE /v1/replays/{id}', () => {
  const id = '01KZZZZZZZZZZZZZZZZZZZZZZA';
  const at = Date.parse('2025-11-22T08:26:00Z');
  const cancel = async (kind: 'replay' | 'restate', reason: string, state: string) => {
    const row = {
      ...{ id, kind, reason, state, apply: 1, from_s: 0, to_s: 60, minutes_s: [0], position_s: 0, minutes_done: 0 },
      ...{
        minutes_total: 1,
        clicks_read: 0,
        cells_changed: 0,
        result: '',
        error: '',
        created_ms: at,
        updated_ms: at,
        seq: 1,
      },
    };
    const { clickhouse } = fakeClickHouse({});
    const written: string[] = [];
    const { http: running } = await app(
      {},
      {
        clickhouse: {
          ...clickhouse,
          query: async <T>(sql: string) => {
            if (sql.includes('replay_cancellation')) return written.map(() => ({ job: id })) as T[];
            return (sql.includes('replay_job') ? [row] : []) as T[];
          },
        },
        requests: logInto({ insert: async table => void written.push(table) }).requests,
      },
    );
    const { statusCode, body } = await running.inject({ method: 'DELETE', url: `/v1/replays/${id}` });
    return { status: statusCode, body: JSON.parse(body), written };
  };

  it.each([
    ['late', 'queued'],
    ['late', 'running'],
    ['late', 'done'],
    ['reconcile', 'queued'],
  ])('refuses to cancel a restatement (%s, %s), and says why and what to do', async (reason, state) => {
    const { status, body, written } = await cancel('restate', reason, state);
    expect({ status, code: body.code, written }).toEqual({ status: 409, code: 'not_cancellable', written: [] });
    expect(body.detail).toMatch(
      /^id is "01KZ{22}A", but must be a replay, and is a restatement, .*: wait until it is done, which GET /,
    );
  });

  it('cancels a replay', async () => {
    const { status, body, written } = await cancel('replay', 'replay', 'queued');
    expect({ status, state: body.state, written }).toEqual({
      ...{ status: 202, state: 'queued', written: ['replay_cancellation'] },
    });
  });
});

describe('a wrong request', () => {
  /** Raw clicks go back 34 days: not to this range, and not to the range before the second one. */
  const notKept = 'from=2025-10-01T00:00:00Z&to=2025-10-01T00:01:00Z';
  const keptButNotBefore = 'from=2025-10-20T00:00:00Z&to=2025-10-23T00:00:00Z';
  it.each<[string, string]>([
    ['/v1/ads/popular_ads?cuont=5', 'cuont'],
    ['/v1/ads/popular_ads?count=0', 'count'],
    ['/v1/ads/popular_ads?count=1001', 'count'],
    ['/v1/ads/popular_ads?count=', 'count'],
    ['/v1/ads/popular_ads?count=1&count=2', 'count'],
    ['/v1/ads/popular_ads?window=0', 'window'],
    ['/v1/ads/popular_ads?window=1.5', 'window'],
    [`/v1/ads/popular_ads?window=1&${minute}`, 'window'],
    ['/v1/ads/popular_ads?country=k', 'country'],
    ['/v1/ads/a%20b/aggregated_count', 'ad_id'],
    [`/v1/ads/${'x'.repeat(129)}/aggregated_count`, 'ad_id'],
    ["/v1/ads/a'b/series", 'ad_id'],
    ['/v1/ads/a/series?granularity=week', 'granularity'],
    ['/v1/ads/series?granularity=week', 'granularity'],
    ['/v1/ads/series?compare=next', 'compare'],
    ["/v1/ads/series?ad_id=a'b", 'ad_id'],
    [`/v1/ads/series?${'ad_id=a&'.repeat(21)}`, 'ad_id'],
    ['/v1/ads/series?ad_id=a&ad_id=b&ad_id=c&from=2025-10-23T00:00:00Z&to=2025-11-22T08:00:00Z', 'granularity'],
    ['/v1/ads/countries?from=2025-11-22T08:00:30Z&to=2025-11-22T08:01:00Z', 'from'],
    ['/v1/ads?prefix=%25', 'prefix'],
    ['/v1/ads?limit=1001', 'limit'],
    ['/v1/quarantine?reason=Too%20late', 'reason'],
    ['/v1/quarantine?limit=0', 'limit'],
    ['/v1/ads/a/aggregated_count?from=1', 'to'],
    ['/v1/ads/a/aggregated_count?window=1', 'window'],
    ['/v1/ads/a/aggregated_count?user_id=', 'user_id'],
    ['/v1/ads/a/aggregated_count?ip=10.0.0.256', 'ip'],
    [`/v1/ads/a/aggregated_count?${minute}&compare=previous&as_of=2025-11-22T08:20:00Z`, 'as_of'],
    [`/v1/ads/a/aggregated_count?${minute}&uniques=true&as_of=2025-11-22T08:20:00Z`, 'as_of'],
    ['/v1/ads/popular_ads?uniques=maybe', 'uniques'],
    ['/v1/ads/popular_ads?filter=a/b', 'filter'],
    ['/v1/ads/popular_ads?cursor=abc', 'cursor'],
    ['/v1/ads/a/series?granularity=day&timezone=Nowhere', 'timezone'],
    ['/v1/ads/a/series?uniques=true', 'uniques'],
    ...['popular_ads', 'countries', 'series', 'a/series', 'a/aggregated_count'].map((path): [string, string] => [
      `/v1/ads/${path}?${notKept}&user_id=u`,
      'from',
    ]),
    [`/v1/ads?${notKept}&user_id=u`, 'from'],
    ...['popular_ads', 'series', 'a/aggregated_count'].map((path): [string, string] => [
      `/v1/ads/${path}?${keptButNotBefore}&user_id=u&compare=previous`,
      'from',
    ]),
    ['/v1/filters?limit=201', 'limit'],
    ['/v1/filters/-x', 'id'],
    ['/v1/status?verbose=1', 'verbose'],
  ])('gets 400 with the name of the wrong field: %s', async (url, field) => {
    const { get, asked } = await app(everywhere);
    const { status, headers, body } = await get(url);
    expect({ status, type: headers['content-type'], code: body.code }).toEqual({
      status: 400,
      type: 'application/problem+json',
      code: 'invalid_parameter',
    });
    expect(body.detail).toMatch(new RegExp(`^${field} is .*, but (must|there is no|cannot)`));
    expect(asked).toEqual([]);
  });

  it('gets the value and the rule as well as the field', async () => {
    const { get } = await app(everywhere);
    const detail = async (url: string) => (await get(url)).body.detail;
    expect(await detail('/v1/ads/popular_ads?count=0')).toBe('count is 0, but must be at least 1');
    expect(await detail('/v1/ads/a/series?granularity=week')).toBe(
      'granularity is "week", but must be minute, hour or day',
    );
  });

  it('gets a problem for a URL that cannot be decoded', async () => {
    const { get } = await app(everywhere);
    const { status, headers } = await get('/v1/ads/%zz/series');
    expect([status, headers['content-type']]).toEqual([400, 'application/problem+json']);
  });

  it('gets 404 for an unknown path, and 405 with Allow for a path that can only be read', async () => {
    const { get, http } = await app(everywhere);
    expect(await get('/v1/ad')).toMatchObject({ status: 404, body: { code: 'not_found' } });
    const refused = await http.inject({ method: 'POST', url: '/v1/ads/popular_ads', payload: {} });
    expect(refused.statusCode).toBe(405);
    expect(refused.headers.allow).toBe('GET, HEAD');
    const read = await http.inject({ method: 'PATCH', url: '/v1/replays/01K00000000000000000000000' });
    expect([read.statusCode, read.headers.allow]).toEqual([405, 'GET, HEAD, DELETE']);
    expect(refused.json().code).toBe('method_not_allowed');
  });
});

describe('while ClickHouse is away', () => {
  const away = () => {
    throw new Retryable('ClickHouse, query: connect ECONNREFUSED 10.0.0.7:8123');
  };

  it('answers 503 with Retry-After, and names no machine of ours', async () => {
    const { get } = await app({ partition_progress: away });
    const { status, headers, body } = await get('/v1/ads/popular_ads');
    expect({ status, code: body.code, retry: headers['retry-after'] }).toEqual({
      status: 503,
      code: 'unavailable',
      retry: '1',
    });
    expect(JSON.stringify(body)).not.toContain('10.0.0.7');
  });

  it('reads again for the next request: a failed answer about the quarantine is kept no longer than a good one', async () => {
    let time = now;
    let fails = true;
    const tables = { ...everywhere, quarantine: () => (fails ? away() : [{ ...waitingLine, lines: 3 }]) };
    monotonicClock(() => time);
    const { get } = await app(tables);
    expect((await get('/v1/status')).status).toBe(503);
    fails = false;
    time += 5_000;
    expect((await get('/v1/status')).body.quarantine).toEqual({ too_late: 3 });
  });

  it('says so when a query needs more memory than allowed', async () => {
    const limit = Object.assign(new Error('Query memory limit exceeded'), {
      code: '241',
      type: 'MEMORY_LIMIT_EXCEEDED',
    });
    const { get } = await app({
      ...everywhere,
      click_raw: () => {
        throw new Retryable('query: Query memory limit exceeded', { cause: limit });
      },
    });
    const { status, body } = await get(`/v1/ads/popular_ads?user_id=u&${minute}`);
    expect([status, body.code]).toEqual([503, 'query_memory']);
    expect(body.detail).toMatch(/shorter range or fewer ads/);
  });

  it('says so when a query takes longer than allowed', async () => {
    const timeout = Object.assign(new Error('Timeout exceeded'), { code: '159', type: 'TIMEOUT_EXCEEDED' });
    const { get } = await app({
      partition_progress: () => {
        throw new Retryable('query: Timeout exceeded', { cause: timeout });
      },
    });
    expect(await get('/v1/ads/popular_ads')).toMatchObject({ status: 503, body: { code: 'query_timeout' } });
  });

  it('answers 500 for a fault of its own', async () => {
    const { get } = await app({
      partition_progress: () => {
        throw new Error('UNKNOWN_IDENTIFIER');
      },
    });
    expect(await get('/v1/ads/popular_ads')).toMatchObject({ status: 500, body: { code: 'internal' } });
  });
});

describe('GET /v1/status', () => {
  it('states the lag of each partition and the balance of all', async () => {
    const { get } = await app({ ...everywhere, quarantine: () => [{ ...waitingLine, lines: 2 }] });
    const { body } = await get('/v1/status');
    expect(
      body.partitions.map((row: { lag_records: number; balance: number }) => [row.lag_records, row.balance]),
    ).toEqual([
      [0, 0],
      [5, 0],
    ]);
    expect(body).toMatchObject({
      watermark: '2025-11-22T08:02:15.000Z',
      watermark_age_ms: now - endOfMinute - 75_000,
      final_until: '2025-11-22T08:01:00.000Z',
      conservation: { received: 24, counted: 18, duplicates: 4, quarantined: 2, unread_records: 5, balanced: true },
      quarantine: { too_late: 2 },
    });
  });

  it('is unbalanced when one partition is, even if another partition has the opposite difference', async () => {
    const { get } = await app({
      partition_progress: () => [progress(0, { counted: 8 }), progress(1, { counted: 10 })],
    });
    const { body } = await get('/v1/status');
    expect(body.partitions.map((row: { balance: number }) => row.balance)).toEqual([1, -1]);
    expect(body.conservation.balanced).toBe(false);
  });

  it('states what ingest has acknowledged, and is unbalanced when a line of it is missing', async () => {
    let missing = 0;
    let acknowledged = 10;
    let off: unknown[] = [];
    const tables = {
      partition_progress: () => [progress(0), progress(1, { acknowledged, missing })],
      conservation_seal: () => off,
    };
    const conservation = async () => {
      const { get } = await app(tables);
      const { body } = await get('/v1/status');
      await http?.close();
      return body.conservation;
    };
    expect(await conservation()).toMatchObject({
      ...{ acknowledged: 20, unacknowledged: 4, missing: 0, written_off: 0, received: 24, balanced: true },
    });
    [acknowledged, missing] = [15, 3];
    const lost = { acknowledged: 25, unacknowledged: 2, missing: 3, received: 24 };
    expect(await conservation()).toMatchObject({ ...lost, written_off: 0, balanced: false });
    off = [{ partition: 1, missing: 3 }];
    expect(await conservation()).toMatchObject({ ...lost, written_off: 3, balanced: true });
    off = [{ partition: 0, missing: 3 }];
    expect(await conservation()).toMatchObject({ ...lost, written_off: 3, balanced: false });
    // More lines cannot be in the log than have come out of it.
    [acknowledged, missing, off] = [13, 0, []];
    expect(await conservation()).toMatchObject({ unacknowledged: 1, balanced: false });
  });

  it('lists a partition that was never counted as unread from its beginning', async () => {
    const { get } = await app({ partition_progress: () => [progress(0)] });
    const { body } = await get('/v1/status');
    expect(body.partitions[1]).toMatchObject({
      partition: 1,
      position: 0,
      end_offset: 45,
      lag_records: 45,
      watermark: null,
    });
    expect(body).toMatchObject({ watermark: null, final_until: null, conservation: { unread_records: 45 } });
  });

  it('says nothing about what is unread while Kafka does not answer', async () => {
    const countedLog = { endOffsets: () => Promise.reject(new Retryable('no broker')), sinkPositions: async () => [] };
    const { get } = await app(everywhere, { countedLog });
    const { status, body } = await get('/v1/status');
    expect(status).toBe(200);
    expect(body.partitions[0]).toMatchObject({ position: 40, end_offset: null, lag_records: null });
    expect(body.conservation.unread_records).toBeNull();
  });

  it('lists ads that are split now or later, each span of minutes once, and null while Kafka does not answer', async () => {
    const at = (minutes: number) => now - (now % 60_000) + minutes * 60_000;
    const rule = (adId: string, from: number, until: number) => ({
      ruleId: 'R',
      adId,
      from: at(from),
      until: at(until),
    });
    const rules = [
      rule('b', 10, 20),
      rule('a', -5, 3),
      rule('a', 3, 9),
      rule('a', -5, 1),
      rule('a', 12, 14),
      rule('c', -9, -1),
    ];
    const iso = (minutes: number) => new Date(at(minutes)).toISOString();
    const { get } = await app(everywhere, { routing: async () => ({ rules, partitionRules: [], versions: [] }) });
    expect((await get('/v1/status')).body.hot_ads).toEqual([
      { ad_id: 'a', from: iso(-5), until: iso(9), partitions: 2 },
      { ad_id: 'b', from: iso(10), until: iso(20), partitions: 2 },
      { ad_id: 'a', from: iso(12), until: iso(14), partitions: 2 },
    ]);
    const away = await app(everywhere, { routing: () => Promise.reject(new Retryable('no broker')) });
    expect((await away.get('/v1/status')).body.hot_ads).toBeNull();
  });

  it('states over how many partitions clicks are spread, each number once, and adds partitions', async () => {
    const minute = 60_000;
    const grown: number[] = [];
    const rules = [
      { ruleId: '1', from: 0, partitions: 4 },
      { ruleId: '2', from: now - (now % minute) + 5 * minute, partitions: 12 },
      { ruleId: '3', from: now - (now % minute) + 9 * minute, partitions: 8 },
    ];
    const read = async () => ({ topics: [{ topic: 'clicks', partitions: 12 }], rules, difference: null });
    const partitions = {
      read,
      async grow(to: number) {
        if (to < 12) throw new GrowthRefused('partitions: must be at least 12');
        if (to > 20) throw new Retryable('no leader yet');
        grown.push(to);
      },
    };
    const { http, get } = await app(everywhere, { partitions });
    const from = new Date(rules[1]!.from).toISOString();
    const expected = {
      now: 4,
      recorded: [
        { from: null, partitions: 4 },
        { from, partitions: 12 },
      ],
      topics: [{ topic: 'clicks', partitions: 12 }],
      difference: null,
    };
    expect((await get('/v1/partitions')).body).toEqual(expected);
    const post = (payload: object) => http.inject({ method: 'POST', url: '/v1/partitions', payload });
    const done = await post({ partitions: 12 });
    expect([done.statusCode, done.json(), grown]).toEqual([200, expected, [12]]);
    for (const [to, status, code] of [
      [8, 409, 'growth_refused'],
      [24, 503, 'unavailable'],
      [0, 400, undefined],
      [1_025, 400, undefined],
    ] as const) {
      const refused = await post({ partitions: to });
      expect([refused.statusCode, ...(code ? [refused.json().code] : [])]).toEqual([status, ...(code ? [code] : [])]);
    }
  });

  it('does not wait for a Kafka that never answers', async () => {
    const countedLog = { endOffsets: () => new Promise<never>(() => undefined), sinkPositions: async () => [] };
    const { get } = await app(everywhere, { countedLog });
    expect((await get('/v1/status')).body.conservation.unread_records).toBeNull();
  });

  it('asks Kafka once a second, however many requests for the status come', async () => {
    let asked = 0;
    let time = now;
    const countedLog = {
      async endOffsets() {
        asked += 1;
        return new Map([[0, 40]]);
      },
      sinkPositions: async () => [],
    };
    monotonicClock(() => time);
    const { get } = await app(everywhere, { countedLog });
    await Promise.all([get('/v1/status'), get('/v1/status'), get('/v1/status')]);
    time += 999;
    await get('/v1/status');
    expect(asked).toBe(1);
    time += 1;
    await get('/v1/status');
    expect(asked).toBe(2);
  });
});

describe('what comes with the answers', () => {
  it('is a strict policy for JSON, and for /docs a policy that allows no other host', async () => {
    const { http } = await app(everywhere);
    const json = await http.inject('/v1/ads/popular_ads');
    expect(json.headers['content-security-policy']).toBe("default-src 'none'; frame-ancestors 'none'");
    const docs = await http.inject('/docs/');
    expect(docs.statusCode).toBe(200);
    expect(docs.headers['content-security-policy']).not.toMatch(/https?:|upgrade-insecure-requests/);
    expect(docs.body).not.toMatch(/(src|href)="https?:/);
    expect(docs.body).not.toMatch(/<script(?![^>]*src=)/);
  });

  it('is, for the dashboard, a policy under which nothing inline and nothing of another host runs', async () => {
    const { http } = await app(everywhere);
    for (const url of ['/', '/dashboard/main.js', '/dashboard/uplot/uPlot.esm.js']) {
      const { statusCode, headers } = await http.inject(url);
      expect([url, statusCode, headers['cache-control']]).toEqual([url, 200, 'no-cache']);
      expect(headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self'; style-src 'self';/);
      expect(headers['content-security-policy']).not.toMatch(/unsafe|https?:|data:/);
    }
    const page = (await http.inject('/')).body;
    expect(page).not.toMatch(/<script(?![^>]*src=)|<style|\son\w+=|(src|href)="https?:/);
    expect((await http.inject('/dashboard/../package.json')).statusCode).toBe(404);
    expect((await http.inject('/dashboard/%2e%2e/app.ts')).statusCode).toBeGreaterThanOrEqual(400);
  });

  it('allows no other origin to read by default, and otherwise only the configured ones', async () => {
    const fromElsewhere = { url: '/v1/ads/popular_ads', headers: { origin: 'https://a.example' } };
    const closed = await app(everywhere);
    expect((await closed.http.inject(fromElsewhere)).headers['access-control-allow-origin']).toBeUndefined();
    await closed.http.close();
    const open = await app(everywhere, {}, { QUERY_API_CORS_ORIGIN: 'https://a.example,http://b.example:3000' });
    expect((await open.http.inject(fromElsewhere)).headers['access-control-allow-origin']).toBe('https://a.example');
    const stranger = { ...fromElsewhere, headers: { origin: 'https://c.example' } };
    expect((await open.http.inject(stranger)).headers['access-control-allow-origin']).toBeUndefined();
  });

  it('is measured by route, never by ad', async () => {
    const { http } = await app(everywhere);
    await http.inject('/v1/ads/some-ad/aggregated_count');
    const { body } = await http.inject('/metrics');
    expect(body).toContain(
      'http_request_duration_seconds_count{method="GET",route="/v1/ads/:ad_id/aggregated_count",status="200"}',
    );
    expect(body).not.toContain('some-ad');
  });

  it('is described by OpenAPI 3.1: every path with operation id, tag, and closed responses', async () => {
    const { http } = await app(everywhere);
    const { openapi, paths } = (await http.inject('/openapi.json')).json();
    expect(openapi).toMatch(/^3\.1/);
    const ours = Object.entries<Record<string, Record<string, unknown> & { responses: Record<string, unknown> }>>(
      paths,
    ).filter(([path]) => path.startsWith('/v1/'));
    expect(ours.map(([path]) => path).sort()).toEqual([
      '/v1/ads',
      '/v1/ads/countries',
      '/v1/ads/most_clicked',
      '/v1/ads/popular_ads',
      '/v1/ads/series',
      '/v1/ads/{ad_id}/aggregated_count',
      '/v1/ads/{ad_id}/restatements',
      '/v1/ads/{ad_id}/series',
      '/v1/audit',
      '/v1/clicks/{event_id}',
      '/v1/erasures',
      '/v1/erasures/{id}',
      '/v1/exports/ad_minutes',
      '/v1/exports/clicks',
      '/v1/filters',
      '/v1/filters/{id}',
      '/v1/keys',
      '/v1/keys/{id}',
      '/v1/keys/{id}/quotas',
      '/v1/keys/{id}/rotate',
      '/v1/live',
      '/v1/partitions',
      '/v1/quarantine',
      '/v1/quarantine/export',
      '/v1/reconciliations',
      '/v1/reconciliations/{id}',
      '/v1/replays',
      '/v1/replays/{id}',
      '/v1/rules',
      '/v1/session',
      '/v1/status',
      '/v1/users/{user_id}',
      '/v1/users/{user_id}/export',
    ]);
    const streams: Record<string, string> = {
      '/v1/live': 'text/event-stream',
      '/v1/quarantine/export': 'application/x-ndjson',
      '/v1/users/{user_id}/export': 'application/x-ndjson',
    };
    for (const [path, [method, operation]] of ours.flatMap(([at, operations]) =>
      Object.entries(operations).map(entry => [at, entry] as const),
    )) {
      expect(operation).toMatchObject({
        operationId: expect.any(String),
        tags: [expect.any(String)],
        summary: expect.any(String),
      });
      expect(Object.keys(operation.responses)).toEqual(expect.arrayContaining(['400', '503']));
      const [success] = Object.keys(operation.responses).filter(status => status < '300');
      const begins = /^\/v1\/(re|erasures|users)/.test(path) && method !== 'get';
      const creates = path === '/v1/rules' && method === 'post';
      expect(success).toBe(begins ? '202' : creates ? '201' : '200');
      if (path.startsWith('/v1/exports/')) {
        const formats = ['text/csv', 'application/x-ndjson', 'application/vnd.apache.parquet'];
        const content = Object.fromEntries(formats.map(type => [type, { schema: { type: 'string' } }]));
        expect(operation.responses['200']).toMatchObject({ content });
        continue;
      }
      const closed = { additionalProperties: false };
      expect(operation.responses[success ?? '']).toMatchObject({
        content:
          path in streams
            ? { [streams[path] ?? '']: { schema: { contentSchema: closed } } }
            : { 'application/json': { schema: closed } },
      });
    }
  });

  it('is not ready while something that the process needs is not ready', async () => {
    const readiness = { sink: () => Promise.reject(new Error('no partitions')) };
    const { get } = await app(everywhere, { readiness });
    expect(await get('/readyz')).toMatchObject({ status: 503, body: { failed: { sink: 'no partitions' } } });
  });
});

describe('a query API that is told to stop', () => {
  const begun = async () => {
    const { life, leave } = beginLife({ DRAIN_DELAY_MS: 0, DRAIN_TIMEOUT_MS: 40_000 }, () => undefined);
    const release = Promise.withResolvers<void>();
    const { http } = await app(everywhere, { life, readiness: { test: () => release.promise } });
    return { http, leave, release, url: await listen(http, '127.0.0.1', 0) };
  };

  it('ends live streams with a last event, and closes although somebody was listening', async () => {
    const { http, leave, url } = await begun();
    const answer = await fetch(`${url}/v1/live`);
    leave();
    await closeHttp(http);
    expect(await answer.text()).toMatch(/event: closing\ndata: \{"reason":"stopping"\}\n\n$/);
  });

  it('refuses new requests with a problem, and answers health and all accepted requests until the end', async () => {
    const { http, leave, release, url } = await begun();
    const taken = fetch(`${url}/readyz`);
    await fetch(`${url}/healthz`);
    leave();
    const closed = closeHttp(http);
    const refused = await fetch(`${url}/v1/status`);
    expect([refused.status, refused.headers.get('retry-after'), refused.headers.get('connection')]).toEqual([
      503,
      '1',
      'close',
    ]);
    expect(await refused.json()).toMatchObject({ status: 503, code: 'stopping' });
    expect((await fetch(`${url}/healthz`)).status).toBe(200);
    expect((await fetch(`${url}/readyz`)).status).toBe(503);
    release.resolve();
    expect((await taken).status).toBe(200);
    await closed;
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});
