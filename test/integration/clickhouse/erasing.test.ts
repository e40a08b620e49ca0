/** What finds and changes the rows of erased persons, on a real ClickHouse, and the loop of the sink around it. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { erasedClick, erasedLine } from '../../../aggregator/sink/erased-rows.ts';
import { openRowEraser } from '../../../aggregator/sink/row-eraser.ts';
import { donePartsOf } from '../../../infra/clickhouse/erasing.ts';
import { createLog } from '../../../infra/log.ts';
import { migrate } from '../../../infra/migrate.ts';
import { ErasureBook } from '../../../ingest/privacy/erasure-book.ts';
import { erasedUntil } from '../../../ingest/privacy/erasure-record.ts';
import { eraseInto } from '../../support/erased-book.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = createLog('test', 'fatal');
const day = 86_400_000;
const now = Date.now();
let opened: TemporaryClickHouse;
beforeAll(async () => {
  opened = await openTemporaryClickHouse();
  await migrate(opened.clickhouse, log);
});
afterAll(async () => await opened?.[Symbol.asyncDispose]());
beforeEach(async () => {
  for (const table of ['click_raw', 'quarantine', 'erasure_done'])
    await opened.clickhouse.command(`TRUNCATE TABLE ${table}`);
});

function erasing(book: ErasureBook, at: number, ...userIds: readonly string[]): ErasureBook {
  eraseInto(book, at, ...userIds);
  return book;
}

const click = (i: number, user_id: string, clickedAt = now - 60_000, receivedAt = clickedAt) => ({
  ...{ click_id: `c-${i}`, event_id: `e-${i}`, ad_id: 'ad-1', clicked_at: clickedAt, received_at: receivedAt },
  ...{ country: 'KR', user_id, ip: `198.51.100.${i % 3}` },
});
const line = (i: number, raw: string, others: object = {}) => ({
  ...{ partition: 0, offset: 1, line: i, reason: 'malformed', detail: 'of the line', appended_at: now - 60_000 },
  ...{ ad_id: '', event_id: '', clicked_at: 0, raw, ...others },
});
const insert = async (table: string, rows: readonly object[]) =>
  await opened.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));
const usersOf = async () =>
  await opened.clickhouse.query<{ user_id: string; ip: string }>('SELECT user_id, ip FROM click_raw ORDER BY click_id');

async function until(book: ErasureBook, settleMs = 0) {
  await using _ = openRowEraser({ clickhouse: opened.clickhouse, book, node: 'n', settleMs, now: Date.now, log });
  await eventually('it is done', async () => {
    const done = await donePartsOf(opened.clickhouse);
    return book.names.every(name => done.has(name));
  });
}

describe('clicks', () => {
  it('become those of a token, one for each text, and are the rows that the sink would insert', async () => {
    const users = ["it's", 'ü-17', 'hashed:abc', 'stays'];
    const clicks = Array.from({ length: 400 }, (_, i) => click(i, users[i % 4] ?? '', now - 60_000 - (i % 5) * day));
    await insert('click_raw', clicks);
    const book = erasing(new ErasureBook(), now, "it's", 'ü-17', 'hashed:abc');
    await until(book);
    const expected = clicks
      .toSorted((a, b) => (a.click_id < b.click_id ? -1 : 1))
      .map(row => {
        const kept: typeof row = JSON.parse(erasedClick(JSON.stringify(row), book) ?? JSON.stringify(row));
        return { user_id: kept.user_id, ip: kept.ip };
      });
    expect(await usersOf()).toEqual(expected);
    expect(new Set(expected.map(({ user_id }) => user_id)).size).toBe(4);
    expect(new Set(expected.map(({ ip }) => ip)).size).toBe(3 + 3);
    expect(expected.filter(({ user_id }) => user_id === 'stays')).toHaveLength(100);
  });

  it('of after the request stay, by the minute of the click, whenever it was received', async () => {
    const end = erasedUntil(now);
    const times = [now - 1, now + 1, now + 60_000, end - 60_001, end - 60_000, end - 1, end, end + 1];
    const clicks = times.flatMap((at, i) => [now - 1, at, at + 9e7].map((seen, j) => click(3 * i + j, 'u', at, seen)));
    await insert('click_raw', clicks);
    const book = erasing(new ErasureBook(), now, 'u');
    await until(book);
    const rows = await opened.clickhouse.query<{ user_id: string; at: number }>(
      'SELECT user_id, toUnixTimestamp64Milli(clicked_at)::Float64 AS at FROM click_raw',
    );
    const [token = ''] = book.formsOf(new Set(book.names)).map(form => form.token);
    expect(rows).toHaveLength(clicks.length);
    for (const row of rows) expect(row).toEqual({ ...row, user_id: row.at < end ? token : 'u' });
  });

  it('of who is erased twice get a token of each time, in whatever order a node does it', async () => {
    await insert('click_raw', [click(1, 'u', now - 2 * day), click(2, 'u', now - 1_000)]);
    const book = erasing(erasing(new ErasureBook(), now - day, 'u'), now, 'u');
    await until(book);
    const [first, second] = await usersOf();
    expect(first?.user_id).toMatch(/^erased:/);
    expect(second?.user_id).toMatch(/^erased:/);
    expect(first?.user_id).not.toBe(second?.user_id);
  });
});

it('quarantined lines lose the fields of the person, or everything where these cannot be told apart', async () => {
  const raws = [
    '{"user_id":"u","ip":"198.51.100.1","user_agent":"x","ad_id":"no ad!"}',
    '{"user_id": "u", oops',
    '{"user_id":"\\u0075"}',
    '{"user_id":"other","of":{"user_id":"u"}}',
    `base64:${Buffer.concat([Buffer.from([0xff]), Buffer.from('"user_id":"u"')]).toString('base64')}`,
    '{"user_id":17}',
    '{"user_id":"other"}',
  ];
  await insert('quarantine', [
    ...raws.map((raw, i) => line(i, raw)),
    line(100, '{"user_id":"u","ad_id":"a"}', { reason: 'future', clicked_at: now + 9 * day }),
    line(101, '{"user_id":"u"}', { appended_at: erasedUntil(now) }),
  ]);
  const book = erasing(new ErasureBook(), now, 'u', '17');
  await until(book);
  const rows = await opened.clickhouse.query<{ raw: string; detail: string }>(
    'SELECT raw, detail FROM quarantine ORDER BY line',
  );
  const token = /^erased:.{22}$/;
  const [whole, broken, escaped, nested, binary, number, other, future, later] = rows.map(({ raw }) => JSON.parse(raw));
  expect(whole).toEqual({ user_id: expect.stringMatching(token), ip: expect.stringMatching(/^fd/), ad_id: 'no ad!' });
  expect(escaped).toEqual({ user_id: expect.stringMatching(token) });
  for (const each of [broken, nested, binary, number]) expect(each).toEqual({ erased: expect.stringMatching(token) });
  expect(other).toEqual({ user_id: 'other' });
  expect(future).toEqual({ user_id: expect.stringMatching(token), ad_id: 'a' });
  expect(later).toEqual({ user_id: 'u' });
  expect(rows.map(({ detail }) => detail)).toEqual([...Array(6).fill('erased'), ...Array(3).fill('of the line')]);
  // What the sink would insert is the same.
  const given = line(0, raws[0] ?? '');
  expect(erasedLine(given, book)).toEqual({ raw: rows[0]?.raw, detail: 'erased' });
});

describe('an erasure', () => {
  it('of a thousand persons with hashes of all days is done in a few statements', async () => {
    const users = Array.from({ length: 1_000 }, (_, i) => `u-${i}`);
    await insert(
      'click_raw',
      users.map((user, i) => click(i, user)),
    );
    await until(erasing(new ErasureBook(), now, ...users, ...Array.from({ length: 7_000 }, (_, i) => `h-${i}`)));
    const [row] = await opened.clickhouse.query<{ users: number; erased: number }>(
      "SELECT uniqExact(user_id) AS users, countIf(startsWith(user_id, 'erased:')) AS erased FROM click_raw",
    );
    expect(row).toEqual({ users: 1_000, erased: 1_000 });
  });

  it('is not done while rows may still come from who does not know of it, and those are erased too', async () => {
    const book = erasing(new ErasureBook(), now, 'u');
    await using _ = openRowEraser({
      clickhouse: opened.clickhouse,
      book,
      node: 'n',
      settleMs: 3_000,
      now: Date.now,
      log,
    });
    await insert('click_raw', [click(1, 'u')]);
    await eventually('the first row', async () => (await usersOf())[0]?.user_id !== 'u');
    await insert('click_raw', [click(2, 'u')]);
    expect(await donePartsOf(opened.clickhouse)).toEqual(new Map());
    await eventually('it is done', async () => (await donePartsOf(opened.clickhouse)).size > 0);
    expect((await usersOf()).map(({ user_id }) => user_id)).not.toContain('u');
  });

  it('is looked after when it is done: rows that come back are erased again', async () => {
    const book = erasing(new ErasureBook(), now, 'u');
    await until(book);
    await insert('click_raw', [click(1, 'u')]);
    await using _ = openRowEraser({
      ...{ clickhouse: opened.clickhouse, book, node: 'n', settleMs: 0, lookEveryMs: 100, now: Date.now, log },
    });
    await eventually('it is erased', async () => (await usersOf())[0]?.user_id !== 'u');
  });

  it.each([-3 * day, 3 * day])('is looked after though the clock of the sink is wrong by %d ms', async wrongMs => {
    const book = erasing(new ErasureBook(), now, 'u');
    await until(book);
    await using _ = openRowEraser({
      ...{ clickhouse: opened.clickhouse, book, node: 'n', settleMs: 0, lookEveryMs: 100, log },
      now: () => Date.now() + wrongMs,
    });
    await eventually('it has looked once', async () => (await donePartsOf(opened.clickhouse)).has(''));
    await insert('click_raw', [click(1, 'u')]);
    await eventually('it is erased', async () => (await usersOf())[0]?.user_id !== 'u');
  });

  it('goes on where somebody was killed', async () => {
    await insert('click_raw', [click(1, 'u'), click(2, 'v')]);
    const book = erasing(new ErasureBook(), now, 'u', 'v');
    for (let killed = 0; killed < 5; killed++) {
      const eraser = openRowEraser({
        clickhouse: opened.clickhouse,
        book,
        node: 'n',
        settleMs: 60_000,
        now: Date.now,
        log,
      });
      await sleep(30 * killed);
      await eraser[Symbol.asyncDispose]();
    }
    await until(book);
    expect((await usersOf()).every(({ user_id }) => user_id.startsWith('erased:'))).toBe(true);
  });
});
