/** Bulk exports over HTTP in every format, from a real ClickHouse. */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { get as httpGet, type IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { sql, statement } from '../../../infra/clickhouse/sql.ts';
import { loadConfig } from '../../../infra/config.ts';
import { csvLine, marked, markedColumn } from '../../../infra/csv.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { registry } from '../../../infra/metrics.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { countingIngest, feedTest } from '../../support/feeding.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: 'silent' });
const start = Date.parse('2026-11-21T23:58:00Z');
/** The first three minutes are final. */
const now = start + 300_000;
const range = `from=${start}&to=${start + 240_000}`;

let engine: TemporaryClickHouse;
let http: Http;
let url: string;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  const { clickhouse } = engine;
  await migrate(clickhouse, log);
  await clickhouse.command('SYSTEM STOP MERGES');
  // A view copies them to the table by ad.
  await clickhouse.insert('ad_minute', minuteRows.map(row => JSON.stringify(row)).join('\n'));
  // Enough for several pieces, in the minute that is not final.
  await clickhouse.command(
    `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
       SELECT toDateTime(${start / 1_000 + 180}, 'UTC'), concat('bulk-', leftPad(toString(number), 7, '0')),
       'KR', 0, 1, 1 + number % 7, 0, 0 FROM numbers(300000)`,
  );
  await clickhouse.insert('click_raw', rawClicks.map(row => JSON.stringify(row)).join('\n'));
  const at = { watermark: now - 15_000, final_until: start + 180_000, appended_at: now };
  const none = { received: 0, counted: 0, duplicates: 0, quarantined: 0 };
  await clickhouse.insert(
    'partition_progress',
    JSON.stringify({ partition: 0, partitions: 1, position: 1, ...at, ...none }),
  );
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, { EXPORT_MAX_RUNNING: '1', EXPORT_MAX_ROWS: '400000' }),
    ...{ clickhouse, log, now: () => now },
    countedLog: { endOffsets: async () => new Map(), sinkPositions: async () => [] },
  });
  url = await listen(http, '127.0.0.1', 0);
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

const cell = (minute: number, ad_id: string, country: string, clicks: number, revision = 0) => ({
  ...{ minute: start / 1_000 + minute * 60, ad_id, country, partition: 0, clicks, duplicates: 0, late: 0 },
  version: String((BigInt(revision) << 48n) | 5n),
});
const minuteRows = [
  cell(0, 'a', 'KR', 5),
  cell(0, 'a', 'DE', 3),
  cell(1, 'b', 'KR', 1),
  cell(1, 'b', 'KR', 4, 1),
  cell(2, 'a', 'KR', 9),
  cell(2, 'a', 'KR', 0, 1),
  cell(2, '-ad', 'KR', 2),
];
const evil = [
  '=1+1',
  '+1',
  '-1',
  '@a',
  '＝1',
  '＋1',
  '－1',
  '＠a',
  '\t=1',
  '\r=1',
  '\n=1',
  "'quoted",
  "'=1",
  'plain',
  'a,"b"\nc',
];
const rawClicks = evil.map((event_id, i) => ({
  click_id: `01K${String(i).padStart(23, '0')}`,
  ...{ event_id, ad_id: '-ad', clicked_at: start + i, received_at: start + 1_000 },
  ...{ country: 'KR', user_id: event_id, ip: i === 0 ? '' : '@ip' },
}));

const ask = async (path: string, accept = '*/*') => {
  const { statusCode, headers, body } = await http.inject({ url: path, headers: { accept } });
  return { status: statusCode, headers, body };
};

describe('GET /v1/exports/ad_minutes', () => {
  const expected = [
    ['2026-11-21T23:58:00Z', 'a', 'DE', 3, 0, 'final'],
    ['2026-11-21T23:58:00Z', 'a', 'KR', 5, 0, 'final'],
    ['2026-11-21T23:59:00Z', 'b', 'KR', 4, 1, 'restated'],
    ['2026-11-22T00:00:00Z', '-ad', 'KR', 2, 0, 'final'],
  ];
  const final = `from=${start}&to=${start + 180_000}`;

  it('has every row once with its current count and state, in order, as CSV', async () => {
    const { status, headers, body } = await ask(`/v1/exports/ad_minutes?${final}`);
    expect({ status, type: headers['content-type'], watermark: headers['x-watermark'] }).toEqual({
      ...{ status: 200, type: 'text/csv; charset=utf-8', watermark: new Date(now - 15_000).toISOString() },
    });
    const rows = parse<Record<string, string | number>>(body, {
      columns: true,
      cast: value => (/^\d+$/.test(value) ? Number(value) : value),
    });
    expect(rows.map(row => ['minute', 'ad_id', 'country', 'clicks', 'revision', 'state'].map(key => row[key]))).toEqual(
      expected.map(([minute, ad, ...rest]) => [minute, marked(String(ad)), ...rest]),
    );
  });

  it('has the same as NDJSON, by header or by parameter', async () => {
    for (const { body } of [
      await ask(`/v1/exports/ad_minutes?${final}`, 'application/x-ndjson'),
      await ask(`/v1/exports/ad_minutes?${final}&format=ndjson`, 'text/csv'),
    ]) {
      const rows = body
        .trim()
        .split('\n')
        .map(line => JSON.parse(line));
      expect(rows.map(row => [row.minute, row.ad_id, row.country, row.clicks, row.revision, row.state])).toEqual(
        expected,
      );
    }
  });

  it('has the same as a Parquet file that ClickHouse reads back, and leaves no file behind', async () => {
    const answer = await fetch(`${url}/v1/exports/ad_minutes?${range}&format=parquet`);
    const directory = mkdtempSync(join(tmpdir(), 'parquet-'));
    const file = join(directory, 'rows.parquet');
    writeFileSync(file, new Uint8Array(await answer.arrayBuffer()));
    const [sums] = await engine.clickhouse.query(
      `SELECT count()::UInt32 AS n, sum(clicks)::UInt32 AS clicks, countIf(state = 'provisional')::UInt32 AS open FROM file('${file}', 'Parquet')`,
    );
    rmSync(directory, { recursive: true });
    const bulk = Array.from({ length: 300_000 }, (_, i) => 1 + (i % 7)).reduce((a, b) => a + b, 0);
    expect(sums).toEqual({ n: 300_004, clicks: bulk + 14, open: 300_000 });
    expect(readdirSync(tmpdir()).filter(name => name.startsWith('adclicks-export-'))).toEqual([]);
  });

  it('has one header line before many pieces, and every row of them', async () => {
    const { body } = await ask(`/v1/exports/ad_minutes?${range}`, 'text/csv');
    const lines = body.trimEnd().split('\n');
    expect(lines[0]).toBe(
      'minute,ad_id,country,partition,clicks,duplicates,late,revision,state,gross,net,invalid,invalid_by,rules',
    );
    expect({ lines: lines.length, headers: lines.filter(line => line.startsWith('minute')).length }).toEqual({
      lines: 300_005,
      headers: 1,
    });
  });

  it('has only the named ads and the named country', async () => {
    const { body } = await ask(`/v1/exports/ad_minutes?${range}&ad_id=a&ad_id=b&country=KR&format=ndjson`);
    expect(
      body
        .trim()
        .split('\n')
        .map(line => JSON.parse(line).clicks),
    ).toEqual([5, 4]);
  });

  it('refuses more rows than allowed, before it begins', async () => {
    await engine.clickhouse.command(
      `INSERT INTO ad_minute (minute, ad_id, country, partition, version, clicks, duplicates, late)
       SELECT toDateTime(${start / 1_000 + 240}, 'UTC'), toString(number), 'KR', 0, 1, 1, 0, 0 FROM numbers(200000)`,
    );
    const refused = await ask(`/v1/exports/ad_minutes?from=${start}&to=${start + 300_000}`);
    expect({ status: refused.status, body: JSON.parse(refused.body) }).toMatchObject({
      ...{ status: 400, body: { code: 'invalid_parameter', detail: expect.stringContaining('at most 400000 rows') } },
    });
  });
});

describe('GET /v1/exports/clicks', () => {
  it('has every click unchanged as NDJSON', async () => {
    const { body } = await ask(`/v1/exports/clicks?${range}`, 'application/x-ndjson');
    const rows = body
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(rows.map(row => row.event_id)).toEqual(evil);
    expect(rows[1].clicked_at).toBe('2026-11-21T23:58:00.001Z');
  });

  it('has the clicks of the first and the last second of the range, also where they are stored by themselves', async () => {
    const from = start - 60_000;
    // A part of the table for each: ClickHouse looks at the first and the last time of a part before it reads it.
    const times = [from - 1, from, from + 59_000, from + 59_001, from + 59_999];
    for (const clicked_at of times) {
      const click = { event_id: `at ${clicked_at}`, ad_id: 'alone', clicked_at, received_at: start, country: 'KR' };
      await engine.clickhouse.insert('click_raw', JSON.stringify({ click_id: `alone ${clicked_at}`, ...click }));
    }
    for (const format of ['csv', 'ndjson']) {
      const { body } = await ask(`/v1/exports/clicks?from=${from}&to=${start}&ad_id=alone&format=${format}`);
      expect(body.match(/at \d+/g), format).toEqual(times.slice(1).map(at => `at ${at}`));
    }
  });

  it('has nothing in CSV that a spreadsheet would run, in any column', async () => {
    const { body } = await ask(`/v1/exports/clicks?${range}`, 'text/csv');
    const rows: string[][] = parse(body, { record_delimiter: '\n' });
    expect(rows).toHaveLength(1 + evil.length);
    expect(rows.flat().filter(cell => /^[=+\-@\t\r\n＝＋－＠]/.test(cell))).toEqual([]);
    expect(rows.slice(1).map(cells => [cells[1], cells[2], cells[5], cells[6], cells[7]])).toEqual(
      evil.map((text, i) => [text, '-ad', 'KR', text, i === 0 ? '' : '@ip'].map(marked)),
    );
  });

  it.each(['csv', 'ndjson'])('can be fed again as the same clicks, as %s', async format => {
    const directory = mkdtempSync(join(tmpdir(), 'export-'));
    const file = join(directory, `clicks.${format}`);
    writeFileSync(file, (await ask(`/v1/exports/clicks?${range}&format=${format}`)).body);
    const ingest = countingIngest();
    const { sum } = await feedTest({ directory, file, post: ingest.post });
    rmSync(directory, { recursive: true });
    expect(sum).toBe(`${evil.length} rows = ${evil.length} accepted + 0 rejected`);
    expect(ingest.clicks()).toEqual(
      evil.map((text, i) => ({
        ...{ event_id: text, ad_id: '-ad', user_id: text, country: 'KR' },
        ...(i === 0 ? {} : { ip: '@ip' }),
        clicked_at: new Date(start + i).toISOString(),
      })),
    );
  });
});

describe('CSV of the store', () => {
  it('has the same bytes as CSV of this process, for every text', async () => {
    const unit = fc.oneof(
      fc.constantFrom(...'=+-@＝＋－＠\'"\t\r\n\v\0\\;, a1한'),
      fc.string({ unit: 'binary', maxLength: 1 }),
    );
    const texts = ['', ...evil, ...fc.sample(fc.string({ unit, maxLength: 4 }), 4_000)];
    const pieces: Uint8Array[] = [];
    const [text, params] = statement`SELECT ${markedColumn(sql`told`)} AS cell
      FROM (SELECT arrayJoin(${texts}) AS told) SETTINGS max_threads=1`;
    for await (const piece of engine.clickhouse.stream(text, 'CSV', params)) pieces.push(piece);
    expect(Buffer.concat(pieces).toString()).toBe(texts.map(text => csvLine([text])).join(''));
  });
});

describe('running exports', () => {
  const metric = async (name: string) =>
    Number(new RegExp(`^adclicks_${name} (\\d+)`, 'm').exec(await registry.metrics())?.[1]);
  const running = () => metric('exports_running');
  const bytes = () => metric('export_bytes_total');

  it('are refused above the limit with the time to wait, and a client that goes away frees its place', async () => {
    const before = await bytes();
    // Nobody reads it, so it stops when the buffers are full.
    const gone = httpGet(`${url}/v1/exports/ad_minutes?${range}&format=ndjson`);
    const response = await new Promise<IncomingMessage>(resolve => gone.once('response', resolve));
    response.pause();
    expect(await running()).toBe(1);
    const refused = async (remoteAddress: string) => {
      const answer = await http.inject({ url: `/v1/exports/clicks?${range}`, remoteAddress });
      return [answer.statusCode, answer.headers['retry-after'], answer.json().code];
    };
    expect(await refused('127.0.0.1')).toEqual([429, '10', 'client_exports']);
    expect(await refused('192.0.2.1')).toEqual([503, '10', 'exports_busy']);
    gone.destroy();
    await eventually('the slot is free', async () => (await running()) === 0);
    // About 40 MB would have been read.
    expect((await bytes()) - before).toBeLessThan(30_000_000);
    expect((await ask(`/v1/exports/clicks?${range}`)).status).toBe(200);
  });
});

describe('a list as CSV or NDJSON', () => {
  it('has state, waiting late clicks and watermark in each row of CSV', async () => {
    const { headers, body } = await ask(`/v1/ads/popular_ads?from=${start}&to=${start + 120_000}`, 'text/csv');
    expect({ type: headers['content-type'], state: headers['x-state'] }).toEqual({
      type: 'text/csv; charset=utf-8',
      state: 'final',
    });
    const at = new Date(now - 15_000).toISOString();
    expect(body).toBe(
      'rank,ad_id,count,gross,net,invalid,state,pending_late,pending_split,watermark\n' +
        `1,"a",8,8,8,0,"final",0,0,"${at}"\n2,"b",4,4,4,0,"final",0,0,"${at}"\n`,
    );
  });

  it.each([
    ['/v1/ads/a/series', 4],
    ['/v1/ads/series', 4],
    ['/v1/ads/countries', 2],
    ['/v1/ads/most_clicked', 100],
  ])('has one row per line of NDJSON: %s', async (path, lines) => {
    const query = path.endsWith('most_clicked') ? `at=${start + 240_000}` : range;
    const { headers, body } = await ask(`${path}?${query}`, 'application/x-ndjson');
    expect(headers['content-type']).toBe('application/x-ndjson; charset=utf-8');
    const rows = body
      .trim()
      .split('\n')
      .map(line => JSON.parse(line));
    expect(rows).toHaveLength(lines);
    for (const row of rows) expect(row).toMatchObject({ state: expect.any(String), watermark: expect.any(String) });
  });

  it('has its header line even without rows, and stays JSON by default', async () => {
    const path = `/v1/ads/a/restatements?${range}`;
    expect((await ask(path, 'text/csv')).body).toBe(
      'ad_id,minute,country,revision,job,reason,before,after,before_net,after_net,before_rules,after_rules,at\n',
    );
    expect(JSON.parse((await ask(path)).body).restatements).toEqual([]);
  });

  it('is still a problem when there is one', async () => {
    const { status, headers } = await ask('/v1/ads/popular_ads?window=0', 'text/csv');
    expect({ status, type: headers['content-type'] }).toEqual({
      status: 400,
      type: 'application/problem+json',
    });
  });
});
