/** Long series as JSON and CSV: the same text as at once, made a few points at a time. */
import { createHash } from 'node:crypto';
import Fastify from 'fastify';
import { Type } from 'typebox';
import { afterEach, expect, it, vi } from 'vitest';
import type { Http } from '../../../infra/http.ts';
import { serializeLongSeries } from '../../../query-api/answers/long-series.ts';
import { pointsOfReading, SeriesPoint } from '../../../query-api/answers/series-points.ts';
import { tagAnswers } from '../../../query-api/http/etag.ts';
import { answerRows } from '../../../query-api/http/rows-hook.ts';

const noon = Date.parse('2026-03-01T12:00:00Z');
const minuteMs = 60_000;

const Series = Type.Object({ ad_id: Type.String(), points: Type.Array(SeriesPoint) });
const One = Type.Object({ note: Type.String(), ad_id: Type.String(), points: Type.Array(SeriesPoint) });
const Several = Type.Object({ note: Type.String(), series: Type.Array(Series), previous: Type.String() });

/** What looks like an empty list in a text is none. */
const note = 'x","points":[],"y';

let read = 0;
function point(i: number) {
  return {
    get start() {
      read++;
      return new Date(noon + i * minuteMs).toISOString();
    },
    ...{ count: i, duplicates: 1, late: 0, gross: i + 3, net: i, invalid: 2, state: 'final' as const },
    ...{ pending_late: 0, pending_split: 0, ...(i % 2 === 0 ? { invalid_by: { bot: 2 } } : {}) },
  };
}
const points = (length: number) => Array.from({ length }, (_, i) => point(i));

let http: Http | undefined;
afterEach(() => http?.close());

/** The routes of series, and beside them others with the same answers that are written at once. */
function app(lengths: readonly number[]): Http {
  const one = { note, ad_id: 'a', points: points(lengths[0] ?? 0) };
  const several = { note, series: lengths.map((n, i) => ({ ad_id: `${i}`, points: points(n) })), previous: note };
  const built = Fastify() as unknown as Http;
  tagAnswers(built);
  answerRows(built);
  serializeLongSeries(built);
  for (const url of ['/v1/ads/:ad_id/series', '/one'])
    built.get(url, { schema: { response: { 200: One } } }, async () => one);
  for (const url of ['/v1/ads/series', '/several'])
    built.get(url, { schema: { response: { 200: Several } } }, async () => several);
  http = built;
  return built;
}

/** Counts what is done in one turn of the event loop, at most. */
async function mostInTurn<T>(work: () => Promise<T>, done: () => number, begin: () => void): Promise<number> {
  let most = 0;
  let isOver = false;
  const turn = () => {
    most = Math.max(most, done());
    begin();
    if (!isOver) setImmediate(turn);
  };
  begin();
  setImmediate(turn);
  await work();
  isOver = true;
  return Math.max(most, done());
}

it.each([[[0]], [[1]], [[500]], [[501]], [[2_000]], [[501, 0, 499, 1_203]], [[0, 1_000, 0]]])(
  'of %j points are the same text as at once',
  async lengths => {
    const built = app(lengths);
    const body = async (url: string) => await built.inject(url);
    const [one, wholeOne] = [await body('/v1/ads/a/series'), await body('/one')];
    expect(one.body).toBe(wholeOne.body);
    const [several, wholeSeveral] = [await body('/v1/ads/series'), await body('/several')];
    expect(several.body).toBe(wholeSeveral.body);
    for (const name of ['etag', 'content-type', 'content-length'])
      expect(several.headers[name]).toBe(wholeSeveral.headers[name]);
    expect(JSON.parse(several.body).series[0].points).toHaveLength(lengths[0] ?? 0);
  },
);

it.each(['application/json', 'text/csv', 'application/x-ndjson'])(
  'are written as %s few at a time, however many there are',
  async accept => {
    const built = app([20_000]);
    await built.inject({ url: '/v1/ads/a/series', headers: { accept } });
    const asked = () => built.inject({ url: '/v1/ads/a/series', headers: { accept } });
    const most = await mostInTurn(
      asked,
      () => read,
      () => {
        read = 0;
      },
    );
    expect(most).toBeGreaterThan(0);
    // A row is copied before it is written.
    expect(most).toBeLessThanOrEqual(3_000);
  },
);

it('are hashed a megabyte at a time', async () => {
  const built = app([20_000]);
  const update = vi.spyOn(Object.getPrototypeOf(createHash('sha256')), 'update');
  const hashed = () => update.mock.calls.reduce((sum, [bytes]) => sum + Buffer.byteLength(bytes as Buffer), 0);
  const { body } = await built.inject('/v1/ads/a/series');
  expect(hashed()).toBeGreaterThanOrEqual(body.length);
  const asked = () => built.inject('/v1/ads/a/series');
  const most = await mostInTurn(asked, hashed, () => void update.mockClear());
  update.mockRestore();
  expect(body.length).toBeGreaterThan(2 << 20);
  expect(most).toBeLessThanOrEqual(1 << 20);
});

it('have another tag when only their last point differs', async () => {
  const tagOf = async (length: number) => (await app([length]).inject('/one')).headers['etag'];
  expect(await tagOf(20_000)).not.toBe(await tagOf(20_001));
});

it('are made of rows a thousand at a time', () => {
  const finality = { finalUntil: noon, watermark: noon };
  const range = { from: noon, to: noon + 10_000 * minuteMs };
  const none = () => ({ pending_late: 0, pending_split: 0 });
  const slices = pointsOfReading([], 'counts', range, minuteMs, finality as never, new Set(), none);
  let count = 1;
  let made = slices.next();
  for (; !made.done; made = slices.next()) count++;
  expect(made.value).toHaveLength(10_000);
  expect(count).toBeGreaterThanOrEqual(10);
});
