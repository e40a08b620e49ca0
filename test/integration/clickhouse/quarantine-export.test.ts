/** The export of quarantined lines over real sockets, from a real ClickHouse. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';
import { parse as parseCsv } from 'csv-parse/sync';
import fc from 'fast-check';
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../../infra/config.ts';
import { marked } from '../../../infra/csv.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { csvHead, csvRow, type QuarantineLine, shown } from '../../../query-api/answers/quarantine-line.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { createQuarantineExports, exportLimits } from '../../../query-api/routes/exports/quarantine-pages.ts';
import { createQuarantineQueries, pageLines } from '../../../query-api/store/quarantine.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: 'silent' });
const day = 86_400_000;
const now = Date.now();
const minute = 60_000;
const recountable = Math.floor((now - 3 * day) / minute) * minute;
/** Of clicks that came too late: recounted, in part, in another partition only, never, and too old to be. */
const lateMinutes = [0, 1, 2, 3].map(n => recountable + n * minute).concat(recountable - 40 * day);
const recounts = [
  { at: 0, readUntil: { 1: 5_000 } },
  { at: 1, readUntil: { 1: 920 } },
  { at: 1, readUntil: { 1: 950, 2: 5_000 } },
  { at: 2, readUntil: { 0: 5_000, 2: 5_000 } },
  { at: 4, readUntil: { 0: 5_000 } },
];
/** More than three pages, over three days, many of them at the same time; some so long that they end a page early. */
const rows = Array.from({ length: 3 * pageLines + 77 }, (_, i) => ({
  ...{ partition: i % 3, offset: 1_000 - (i % 100), line: Math.floor(i / 300) },
  reason: ['malformed', 'too_late', 'future'][i % 3] ?? '',
  detail: `line ${i}`,
  appended_at: now - 2 * day - 1 + Math.floor(i / 7) * 500_000,
  ad_id: i % 3 === 0 ? '' : `ad-${i % 5}`,
  event_id: i % 3 === 0 ? '' : `e,"${i}"`,
  clicked_at: i % 3 === 0 ? 0 : i % 3 === 1 ? lateMinutes[i % lateMinutes.length]! + 5 : now - 3 * day,
  raw: i % 100 === 50 ? 'x'.repeat(3 << 19) : `{"ad_id":"=1+1","n":${i}}\t한국`,
}));
const expected = rows
  .filter(row => row.appended_at < now)
  .sort((a, b) => a.appended_at - b.appended_at || a.partition - b.partition || a.offset - b.offset || a.line - b.line)
  .map(row => shown({ ...row, outcome: outcomeOf(row) }));

function outcomeOf({ reason, clicked_at, offset }: { reason: string; clicked_at: number; offset: number }) {
  const at = lateMinutes.indexOf(clicked_at - 5);
  if (reason !== 'too_late' || at === 4) return 'not_counted';
  return at === 0 || (at === 1 && offset < 950) ? 'restated' : 'waiting';
}

let engine: TemporaryClickHouse;
let http: Http;
let url: string;
/** Pages read so far. */
let pages = 0;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  const ndjson = rows.map(row => JSON.stringify(row)).join('\n');
  // Twice, as a sink may do it: each line is told once all the same.
  for (let i = 0; i < 2; i++) await engine.clickhouse.insert('quarantine', ndjson);
  const recounted = recounts.map(({ at, readUntil }, i) =>
    JSON.stringify({
      ...{ minute: (lateMinutes[at] ?? 0) / 1_000, at: now - 1_000 + i, job: `job-${i}`, cells: 0, settled: 1 },
      read_until: readUntil,
    }),
  );
  await engine.clickhouse.insert('recounted_minute', recounted.join('\n'));
  const clickhouse: ClickHouse = {
    ...engine.clickhouse,
    query: (sql, params) => {
      if (sql.includes('FROM quarantine')) pages++;
      return engine.clickhouse.query(sql, params);
    },
  };
  const countedLog = { endOffsets: async () => new Map<number, number>(), sinkPositions: async () => [] };
  // One client takes all the places here.
  const config = loadConfig(QueryApiConfig, { EXPORT_MAX_RUNNING_PER_CLIENT: '10' });
  http = await buildQueryApi({ config, clickhouse, log, now: () => now, countedLog });
  url = await listen(http, '127.0.0.1', 0);
});
afterAll(async () => {
  await http?.close();
  await engine?.[Symbol.asyncDispose]();
});

async function ask(query = '', headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const [response] = await once(get(`${url}/v1/quarantine/export${query}`, { headers }), 'response');
  return response as IncomingMessage;
}
const linesOf = async (query?: string): Promise<QuarantineLine[]> =>
  (await text(await ask(query)))
    .split('\n')
    .filter(line => line !== '')
    .map(line => JSON.parse(line));

const everything = { reason: undefined, adId: undefined, outcome: undefined, from: 0, to: now };
const plain = { head: '', row: (line: object) => `${JSON.stringify(line)}\n` };

describe('an export', () => {
  it('has every line once, whole, oldest first, over any number of pages', async () => {
    expect(expected.length).toBeGreaterThan(2 * pageLines);
    const before = pages;
    const lines = await linesOf();
    expect(lines.length).toBe(expected.length);
    expect(lines).toEqual(expected);
    // Long lines end a page before it is full.
    expect(pages - before).toBeGreaterThan(Math.ceil(expected.length / pageLines) + 1);
  });

  it.each([
    ['of one reason', '?reason=too_late', (line: QuarantineLine) => line.reason === 'too_late'],
    ['counted since', '?outcome=restated', (line: QuarantineLine) => line.outcome === 'restated'],
    ['waiting', '?outcome=waiting', (line: QuarantineLine) => line.outcome === 'waiting'],
    [
      'in no count',
      '?outcome=not_counted&ad_id=ad-2',
      (line: QuarantineLine) => {
        return line.outcome === 'not_counted' && line.ad_id === 'ad-2';
      },
    ],
    ['of one ad', '?ad_id=ad-2', (line: QuarantineLine) => line.ad_id === 'ad-2'],
    [
      'of a time, to the millisecond',
      `?from=${now - day}&to=${now - day / 2}`,
      (line: QuarantineLine) =>
        Date.parse(line.appended_at) >= now - day && Date.parse(line.appended_at) < now - day / 2,
    ],
    ['up to now at most', `?to=${now + day}`, () => true],
  ])('has only lines that pass its filter: %s', async (_, query, matches) => {
    const lines = await linesOf(query);
    expect(lines.length).toBeGreaterThan(0);
    expect(lines).toEqual(expected.filter(matches));
  });

  it('says what became of each line, as the list does', async () => {
    const exported = await linesOf();
    const told = (lines: readonly QuarantineLine[]) =>
      lines.map(({ partition, offset, line, outcome }) => `${partition}:${offset}/${line} ${outcome}`).toSorted();
    const listed: QuarantineLine[] = [];
    for (let cursor: string | null = ''; cursor !== null; ) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor)}`;
      const response = await fetch(`${url}/v1/quarantine?limit=1000${query}`);
      const answer = (await response.json()) as { lines: QuarantineLine[]; next_cursor: string | null };
      listed.push(...answer.lines);
      cursor = answer.next_cursor;
    }
    const isExported = new Set(exported.map(({ partition, offset, line }) => `${partition}:${offset}/${line}`));
    const both = listed.filter(({ partition, offset, line }) => isExported.has(`${partition}:${offset}/${line}`));
    expect(told(exported)).toEqual(told(both));
    const counts = Object.groupBy(exported, ({ outcome }) => outcome);
    expect(Object.keys(counts).toSorted()).toEqual(['not_counted', 'restated', 'waiting']);
  });

  it('can be continued from its last line', async () => {
    const half = expected[700];
    const rest = await linesOf(`?from=${half?.appended_at}`);
    expect(rest).toEqual(expected.filter(line => line.appended_at >= (half?.appended_at ?? '')));
  });

  it('is CSV with the same lines when that is asked for', async () => {
    const response = await ask('?reason=too_late', { accept: 'text/csv' });
    expect(response.headers).toMatchObject({
      'content-type': 'text/csv; charset=utf-8',
      'content-disposition': `attachment; filename="quarantine-${new Date(now).toISOString().slice(0, 10)}.csv"`,
    });
    const parsed: Record<string, string>[] = parseCsv(await text(response), { columns: true });
    const wanted = expected.filter(line => line.reason === 'too_late');
    const asText = (value: unknown) => (value === null ? '' : String(value));
    expect(parsed).toEqual(
      wanted.map(line => Object.fromEntries(Object.entries(line).map(([name, value]) => [name, asText(value)]))),
    );
    const other = await ask('?format=ndjson', { accept: 'text/csv' });
    expect(other.headers['content-type']).toMatch(/ndjson/);
    other.destroy();
  });

  it('refuses unknown parameters and values with field, value and rule', async () => {
    const detailOf = async (query: string) => {
      const response = await ask(query);
      expect([response.statusCode, response.headers['content-type']]).toEqual([400, 'application/problem+json']);
      return JSON.parse(await text(response)).detail;
    };
    expect(await detailOf('?format=xml')).toContain('format is "xml", but must be ');
    expect(await detailOf('?from=yesterday')).toContain('from is "yesterday", but must be a time');
    expect(await detailOf(`?from=${now}`)).toContain(', but must be before to and before now');
    expect(await detailOf('?limit=5')).toContain('limit is "5", but there is no such parameter here');
  });

  it('ends when its client goes, and its place is free again', async () => {
    for (let i = 0; i < 5; i++) {
      const response = await eventually('a place', async () => {
        const answer = await ask();
        return answer.statusCode === 200 && answer;
      });
      response.destroy();
    }
  });

  it('reads only as fast as its client: a page, and a piece of the next one', async () => {
    const queries = createQuarantineQueries(engine.clickhouse, { timeoutMs: 10_000, now: Date.now });
    let read = 0;
    const page: typeof queries.page = (filter, last) => {
      read++;
      return queries.page(filter, last);
    };
    const exports = createQuarantineExports({ ...exportLimits, minBytesPerSecond: 0 });
    const stream = await exports.open({ page }, everything, plain, () => undefined);
    const pieces = stream?.[Symbol.asyncIterator]();
    await pieces?.next();
    await new Promise(resolve => setTimeout(resolve, 500));
    expect(read).toBeLessThanOrEqual(2);
    stream?.destroy();
    await new Promise(resolve => setTimeout(resolve, 200));
    expect(read).toBeLessThanOrEqual(2);
  });

  it('may run twice at the same time, and a third one gets the time to wait', async () => {
    const taken = await Promise.all([ask(), ask()]);
    for (const response of taken) response.pause();
    const third = await ask();
    expect([third.statusCode, third.headers['retry-after']]).toEqual([503, '10']);
    third.resume();
    for (const response of taken) response.destroy();
    await eventually('there is room', async () => {
      const next = await ask('?ad_id=none');
      next.resume();
      return next.statusCode === 200;
    });
  });

  it('that is not read in time is cut off, so that the client knows that it is incomplete', async () => {
    const queries = createQuarantineQueries(engine.clickhouse, { timeoutMs: 10_000, now: Date.now });
    const exports = createQuarantineExports({ maxMs: 100, maxOpen: 1, minBytesPerSecond: 0 });
    const cut: string[] = [];
    const stream = await exports.open(queries, everything, plain, why => cut.push(why));
    expect(await exports.open(queries, everything, plain, () => undefined)).toBeUndefined();
    await once(stream ?? expect.fail('no stream'), 'close');
    expect(stream?.readableEnded).toBe(false);
    expect(cut).toEqual(['not taken within 100 ms']);
    const next = await exports.open(queries, { ...everything, adId: 'none' }, plain, () => undefined);
    expect(await text(next ?? expect.fail('no stream'))).toBe('');
  });
});

describe('a row of CSV', () => {
  it('can be read back unchanged, by the rule for all CSV', () => {
    const [line] = expected;
    if (!line) throw new Error('no line');
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', '=', "'", '@', ' ', '한') }), raw => {
        const [parsed]: { raw: string }[] = parseCsv(csvHead + csvRow({ ...line, raw }), { columns: true });
        expect(parsed?.raw).toBe(marked(raw));
      }),
    );
  });
});
