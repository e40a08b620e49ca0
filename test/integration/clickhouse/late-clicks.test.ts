/** Which late clicks wait, and which are in no count, found in the rows of a real ClickHouse whatever jobs there are. */

import { readFileSync } from 'node:fs';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import { migrate, statementsOf } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { trailOf } from '../../../query-api/answers/click-trail.ts';
import { createUncountedCheck } from '../../../query-api/jobs/conservation/uncounted-clicks.ts';
import { createRestater } from '../../../query-api/jobs/recount/apply-changes.ts';
import { runRecount } from '../../../query-api/jobs/recount/recount-job.ts';
import { createAuditQueries } from '../../../query-api/store/click-copies.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { createRecountQueries } from '../../../query-api/store/jobs/recount-rows.ts';
import { createLateClicks } from '../../../query-api/store/late-clicks.ts';
import { click } from '../../support/clicks.ts';
import { jobsIn, logInto } from '../../support/log-into.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const minuteMs = 60_000;
const now = Math.floor(Date.now() / minuteMs) * minuteMs;
const hour = 60 * minuteMs;
/** The clicks' minute, long final. */
const start = now - 30 * hour;
const tables = [
  'click_raw',
  'ad_minute',
  'quarantine',
  'restatement',
  'recounted_minute',
  'replay_job',
  'minute_recount',
];

let engine: TemporaryClickHouse;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, pino({ level: 'silent' }));
  await engine.clickhouse.command('SYSTEM STOP MERGES');
});
beforeEach(async () => {
  for (const table of tables) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
});
afterAll(() => engine[Symbol.asyncDispose]());

const insert = (table: string, ...rows: readonly object[]) =>
  engine.clickhouse.insert(table, rows.map(row => JSON.stringify(row)).join('\n'));

/** Accepted, in raw, and set aside at (partition 2, offset): twice, as a sink repeats itself. */
async function comeTooLate(clicks: readonly Click[], offset: number, appendedAt = now - hour): Promise<void> {
  const rows = clicks.map((c, line) => ({
    ...{ partition: 2, offset, line, reason: 'too_late', detail: '', appended_at: appendedAt },
    ...{ ad_id: c.adId, event_id: c.eventId, clicked_at: c.clickedAt, raw: formatLine(c) },
  }));
  for (const _ of [1, 2]) {
    await engine.clickhouse.insert('click_raw', clicks.map(formatLine).join('\n'));
    await insert('quarantine', ...rows);
  }
}

const counted = (adId: string, clicks: number) =>
  insert('ad_minute', {
    ...{ minute: start / 1_000, ad_id: adId, country: 'KR', partition: 2, version: 50, clicks, duplicates: 0, late: 0 },
  });

const late = (adId: string, fields: Partial<Click> = {}) => click({ adId, clickedAt: start + 5, ...fields });

/** A recount of the minute that has read raw up to `offset` of partition 2, and finds so many clicks of ad `a`. */
async function recount(offset: number, clicks: number, before = 0): Promise<void> {
  const readUntil = new Map([[2, offset]]);
  const restater = createRestater({ job: 'j', reason: 'late', readUntil, now: () => now });
  const cell = { minute: start / 1_000, ad_id: 'a', country: 'KR', partition: 2, clicks, duplicates: 0, ...notJudged };
  const change = changeOf(cell, [{ ...cell, clicks: before, late: 0, revision: 0 }]);
  restater.stage(change ? [change] : [], [start]);
  await logInto(engine.clickhouse).jobLog.write(restater.take());
}

const waiting = async (at = now) => await createLateClicks({ clickhouse: engine.clickhouse, now: () => at })();
const range = { from: start, to: start + minuteMs };

describe('late clicks', () => {
  it('wait, by ad and minute, until a recount of their minute is visible that began after raw had them', async () => {
    await comeTooLate([late('a'), late('a'), late('b')], 70);
    await comeTooLate([late('a', { clickedAt: start + minuteMs })], 71, now - minuteMs);
    const before = await waiting();
    expect([before.clicks, before.minutes, before.since]).toEqual([4, 2, now - hour]);
    expect(['a', 'b', 'c'].map(ad => before.of([ad])(range))).toEqual([2, 1, 0]);
    expect([before.of([])(range), before.of(['a', 'b'])({ from: start, to: start + 2 * minuteMs })]).toEqual([3, 4]);
    // Raw did not have them yet when this one began.
    await recount(70, 2);
    expect((await waiting()).clicks).toBe(4);
    await recount(71, 2, 2);
    const after = await waiting();
    expect([after.clicks, after.minutes, after.since]).toEqual([1, 1, now - minuteMs]);
    // One more of that minute, further on in the log.
    await comeTooLate([late('b')], 90);
    expect((await waiting()).of(['b'])(range)).toBe(1);
  });

  it('are counted by a job that says how far raw was when it began to read, however far it is when it ends', async () => {
    await comeTooLate([late('a')], 70);
    let position = 71;
    const queries = createRecountQueries(engine.clickhouse);
    const job = newJob({ kind: 'restate', reason: 'late', apply: true, ...range, minutes: [start] }, now);
    await runRecount(job, 4, {
      ...{ now: () => now, mayGoOn: async () => true },
      store: jobsIn(engine.clickhouse),
      queries: {
        ...queries,
        async stated(asked) {
          // This one comes when the clicks have been read.
          if (position === 71) await comeTooLate([late('a')], 80);
          position = 81;
          return await queries.stated(asked);
        },
      },
      partitionRules: async () => [],
      idsPerAdFrom: async () => [],
      rawPositions: async () => new Map([[2, position]]),
    });
    expect((await waiting()).of(['a'])(range)).toBe(1);
    const [row] = await engine.clickhouse.query(
      'SELECT sum(clicks) AS n FROM ad_minute FINAL SETTINGS output_format_json_quote_64bit_integers=0',
    );
    expect(row).toEqual({ n: 1 });
  });

  it('have a trail that names the recount that has read them, once it is visible, and no other', async () => {
    const [one, other] = [late('a', { eventId: 'one' }), late('a', { eventId: 'other' })];
    await comeTooLate([one], 50);
    // It came while the recount was reading, and before its counts held.
    await comeTooLate([other], 60);
    const audit = createAuditQueries(engine.clickhouse, { timeoutMs: 10_000 });
    const outcomes = async () =>
      await Promise.all(
        ['one', 'other'].map(async eventId => {
          const [raw, aside] = [await audit.rawClicks(eventId), await audit.quarantinedLines(eventId)];
          const copies = trailOf(raw.rows, aside.rows, await audit.restatements(['a'], [start]), () => 2);
          return copies.map(({ outcome, job }) => [outcome, job]);
        }),
      );
    const restater = createRestater({ job: 'j', reason: 'late', readUntil: new Map([[2, 55]]), now: () => now });
    const cell = {
      minute: start / 1_000,
      ad_id: 'a',
      country: 'KR',
      partition: 2,
      clicks: 1,
      duplicates: 0,
      ...notJudged,
    };
    const change = changeOf(cell, []);
    restater.stage(change ? [change] : [], [start]);
    const said = restater.take();
    await logInto(engine.clickhouse).jobLog.write(said.filter(({ kind }) => kind === 'restatement'));
    expect(await outcomes()).toEqual([[['quarantined', null]], [['quarantined', null]]]);
    await logInto(engine.clickhouse).jobLog.write(said);
    expect(await outcomes()).toEqual([[['restated', 'j']], [['quarantined', null]]]);
  });

  it('wait whatever is said of jobs: done, cancelled, gone', async () => {
    await comeTooLate([late('a')], 70);
    const taken = {
      day: new Date(now - hour).toISOString().slice(0, 10),
      minute: start / 1_000,
      lines: 1,
      at: now / 1_000,
    };
    const job = {
      ...{
        id: 'j',
        kind: 'restate',
        reason: 'late',
        apply: 1,
        from_minute: start / 1_000,
        to_minute: start / 1_000 + 60,
      },
      ...{ minutes: [start / 1_000], position: 0, minutes_done: 1, minutes_total: 1, clicks_read: 1, cells_changed: 1 },
      ...{ result: '', error: '', created_at: now, updated_at: now },
    };
    await insert('minute_recount', { ...taken, job: 'j' });
    for (const [seq, state] of ['queued', 'running', 'failed', 'cancelled', 'done'].entries()) {
      await insert('replay_job', { ...job, state, seq });
      expect([state, (await waiting()).of(['a'])(range)]).toEqual([state, 1]);
    }
  });

  it('of minutes that cannot be recounted any more are not waited for', async () => {
    await comeTooLate([late('a', { clickedAt: now - 34 * 24 * hour - minuteMs })], 70);
    expect((await waiting()).clicks).toBe(0);
  });

  it('are told again as long as nobody knows better: an answer is kept for a second, and no failure is', async () => {
    await comeTooLate([late('a')], 70);
    let time = now;
    const ask = createLateClicks({ clickhouse: engine.clickhouse, now: () => now, clock: () => time });
    expect((await ask()).clicks).toBe(1);
    await recount(71, 1);
    expect((await ask()).clicks).toBe(1);
    time += 1_001;
    expect((await ask()).clicks).toBe(0);
  });

  it('that were restated before recounts said how far they had read do not wait after the migration', async () => {
    await comeTooLate([late('a'), late('a')], 70);
    await comeTooLate([late('a', { clickedAt: start + minuteMs })], 71);
    const day = new Date(now - hour).toISOString().slice(0, 10);
    const taken = (minute: number, job: string) => ({ day, minute: minute / 1_000, lines: 2, job, at: now / 1_000 });
    await insert('minute_recount', taken(start, 'done'), taken(start + minuteMs, 'failed'));
    for (const state of ['done', 'failed'])
      await insert('replay_job', {
        ...{ id: state, kind: 'restate', state, created_at: now, updated_at: now, seq: 1 },
      });
    const file = new URL('../../../infra/clickhouse/020_recounted_minute.sql', import.meta.url);
    for (const _ of [1, 2]) {
      for (const sql of statementsOf(readFileSync(file, 'utf8'))) await engine.clickhouse.command(sql);
    }
    const after = await waiting();
    expect([after.of([])(range), after.clicks]).toEqual([0, 1]);
    // Those that come later do.
    await comeTooLate([late('a')], 72);
    expect((await waiting()).of([])(range)).toBe(1);
  });
});

describe('the law that what was accepted is counted', () => {
  const lawFrom = (idsPerAdFrom: number, at = () => now) =>
    createUncountedCheck({ clickhouse: engine.clickhouse, now: at, idsPerAdFrom: async () => idsPerAdFrom });
  const uncounted = async () => await lawFrom(0).run();

  it('finds clicks in no count, also where a job is done and a recount says that it has read them', async () => {
    await counted('a', 4);
    const others = Array.from({ length: 4 }, () => late('a'));
    await engine.clickhouse.insert('click_raw', others.map(formatLine).join('\n'));
    await comeTooLate([late('a'), late('a')], 70);
    const found = [{ minute: start, ad_id: 'a', raw: 6, counted: 4, clicks: 2 }];
    expect(await uncounted()).toEqual(found);
    // As a fault would leave it: read, says the recount, and it has changed nothing.
    await insert('recounted_minute', {
      ...{ minute: start / 1_000, at: now, job: 'claims', cells: 0, read_until: { 2: 1_000 }, settled: 1 },
    });
    expect((await waiting()).clicks).toBe(0);
    expect(await uncounted()).toEqual(found);
    await recount(1_000, 6, 4);
    expect(await uncounted()).toEqual([]);
  });

  it('holds for copies, of counted clicks and of each other', async () => {
    const one = late('a');
    await counted('a', 2);
    await engine.clickhouse.insert('click_raw', formatLine(one));
    const copy = (eventId: string) => late('a', { eventId });
    await comeTooLate([copy(one.eventId), copy('x'), copy('x')], 70);
    expect(await uncounted()).toEqual([]);
  });

  it('waits for those that came a moment ago, without losing sight of an older one of the same ad and minute', async () => {
    await comeTooLate([late('a'), late('b')], 70, now - 5 * minuteMs);
    expect(await uncounted()).toEqual([]);
    await comeTooLate([late('a')], 60, now - 20 * minuteMs);
    expect(await uncounted()).toMatchObject([{ ad_id: 'a', raw: 2, counted: 0, clicks: 1 }]);
  });

  it('leaves out minutes that were counted when two ads still shared their ids', async () => {
    await comeTooLate([late('a')], 70, now - 20 * minuteMs);
    for (const from of [start + minuteMs, Number.POSITIVE_INFINITY]) expect(await lawFrom(from).run()).toEqual([]);
    expect(await lawFrom(start).run()).toMatchObject([{ ad_id: 'a', clicks: 1 }]);
  });

  it('sees all of eight days some looks after a start, and forgets what is counted since', async () => {
    let time = now;
    const check = lawFrom(0, () => time);
    await comeTooLate([late('a')], 70, now - 7 * 24 * hour);
    const look = async () => {
      time += minuteMs;
      return (await check.run()).length;
    };
    const looks: number[] = [];
    for (let i = 0; i < 8; i++) looks.push(await look());
    expect(looks.at(-1)).toBe(1);
    await recount(71, 1);
    expect(await look()).toBe(0);
  });
});
