/** The order of jobs and of late minutes on a real ClickHouse: what its statements say of rows that were put there. */
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { type Click, formatLine } from '../../../ingest/click.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { createLateQueue } from '../../../query-api/jobs/restate/late-queue.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';
import { click } from '../../support/clicks.ts';
import { jobsIn } from '../../support/log-into.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';

const log = pino({ level: process.env['TEST_LOG_LEVEL'] ?? 'silent' });
const minuteMs = 60_000;
const hourMs = 60 * minuteMs;
const dayMs = 24 * hourMs;
const midnight = Math.floor(Date.now() / dayMs) * dayMs;
const [start, end] = [midnight - 2 * minuteMs, midnight + 2 * minuteMs];

let engine: TemporaryClickHouse;
let store: ReturnType<typeof jobsIn>;
let http: Http;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  store = jobsIn(engine.clickhouse);
  const countedLog = { endOffsets: async () => new Map<number, number>(), sinkPositions: async () => [] };
  const deps = { clickhouse: engine.clickhouse, log, now: Date.now, countedLog };
  http = await buildQueryApi({ config: loadConfig(QueryApiConfig, {}), ...deps });
});
beforeEach(async () => {
  for (const table of ['replay_job', 'quarantine']) await engine.clickhouse.command(`TRUNCATE TABLE ${table}`);
});
afterAll(async () => {
  await http?.close();
  await engine?.[Symbol.asyncDispose]();
});

const save = async (asked: Parameters<typeof newJob>[0], given: Partial<Job>, at: number) => {
  const job = { ...newJob(asked, at), updatedAt: at, ...given };
  await store.save(job);
  return job;
};
const replay = { kind: 'replay', reason: 'replay', apply: false, from: start, to: end } as const;

describe('lists of jobs', () => {
  it('begin with what runs, then what is queued, then what has ended; of each the newest, page by page', async () => {
    const states = ['done', 'queued', 'failed', 'running', 'queued', 'done', 'cancelled'] as const;
    const jobs: Job[] = [];
    for (const [i, state] of states.entries()) jobs.push(await save(replay, { state }, Date.now() - 60_000 + i));
    const listed: string[] = [];
    for (let cursor = ''; ; ) {
      const body = (await http.inject(`/v1/replays?limit=2${cursor}`)).json();
      listed.push(...body.replays.map((job: { id: string }) => job.id));
      if (body.next_cursor === null) break;
      cursor = `&cursor=${body.next_cursor}`;
    }
    expect(listed).toEqual([3, 4, 1, 6, 5, 2, 0].map(i => jobs[i]?.id));
    const others = await http.inject('/v1/reconciliations');
    expect(others.json()).toEqual({ reconciliations: [], next_cursor: null });
    const { next_cursor } = (await http.inject('/v1/replays?limit=2')).json();
    for (const cursor of ['abc', next_cursor]) {
      const refused = await http.inject(`/v1/reconciliations?cursor=${cursor}`);
      expect(refused.json()).toMatchObject({ status: 400, field: 'cursor' });
    }
  });
});

describe('a job that this release does not understand', () => {
  it.each([{ kind: 'compact' }, { reason: 'mystery' }, { state: 'paused' }])(
    'is left to a newer release, and does not stop or hide other jobs: %j',
    async unknown => {
      const known = await save(replay, {}, Date.now() - 2 * minuteMs);
      const { id } = await save(replay, unknown as object, Date.now() - minuteMs);
      expect((await store.open(10)).map(job => job.id)).toEqual([known.id]);
      expect((await store.list(['replay'], undefined, 1)).map(job => job.id)).toEqual([known.id]);
      expect(await store.get(id, ['replay'])).toBeUndefined();
    },
  );
});

describe('open jobs', () => {
  it('are told with those first that must not wait, so that no number of others hides them', async () => {
    const at = Date.now() - minuteMs;
    for (let i = 0; i < 5; i++) await save(replay, {}, at + i);
    const hourly = await save({ ...replay, kind: 'reconcile', reason: 'hourly' }, {}, at + 10);
    const late = await save({ ...replay, kind: 'restate', reason: 'late' }, {}, at + 11);
    expect((await store.open(2)).map(({ id }) => id)).toEqual([late.id, hourly.id]);
    await save({ ...replay, reason: 'rules' }, {}, at + 12);
    expect(await store.openAsked('replay')).toBe(6);
    expect(await store.openAsked('reconcile')).toBe(0);
  });
});

describe('what has failed', () => {
  const at = Math.floor(Date.now() / 1_000) * 1_000 - 10 * minuteMs;

  it('is told of hours all of whose reconciliations have failed, with how often and since when', async () => {
    const hour = (back: number, state: Job['state'], when = at) => {
      const from = midnight - back * hourMs;
      return save({ kind: 'reconcile', reason: 'hourly', apply: false, from, to: from + hourMs }, { state }, when);
    };
    const found = () => store.failedHours(midnight - 100 * hourMs);
    for (const [back, state] of [
      [5, 'done'],
      [4, 'failed'],
      [3, 'failed'],
      [2, 'failed'],
      [1, 'queued'],
    ] as const) {
      await hour(back, state, at - back);
    }
    await hour(3, 'failed', at + 1_000);
    await hour(2, 'running', at + 1_000);
    expect(await found()).toEqual([
      { from: midnight - 4 * hourMs, attempts: 1, ended_at: at - 4 },
      { from: midnight - 3 * hourMs, attempts: 2, ended_at: at + 1_000 },
    ]);
    await hour(4, 'done', at + 2_000);
    expect(await found()).toMatchObject([{ from: midnight - 3 * hourMs }]);
  });

  it('is told of late minutes that a failed restatement has not come to', async () => {
    const minutes = [0, 1, 2].map(n => start + n * minuteMs);
    const late = { kind: 'restate', reason: 'late', apply: true, from: start, to: end, minutes } as const;
    await save(late, { state: 'failed', position: start + minuteMs }, at);
    await save(late, { state: 'done' }, at);
    expect(await store.failedLateMinutes(at - hourMs)).toEqual(minutes.slice(1));
    expect(await store.failedLateMinutes(at + minuteMs)).toEqual([]);
  });

  it('is told of drift without a repair that was done or is on its way', async () => {
    const range = { from: start, to: end };
    const asked = { kind: 'reconcile', reason: 'asked', apply: false, ...range } as const;
    const repair = (id: string) => {
      const result = JSON.stringify({ repairs: id });
      return { kind: 'restate', reason: 'reconcile', apply: true, ...range, result } as const;
    };
    const found = () => store.unrepaired(start - 100 * hourMs, 10);
    await save(asked, { state: 'done', cellsChanged: 0 }, at);
    await save(asked, { state: 'running', cellsChanged: 3 }, at);
    const drift = await save(asked, { state: 'done', cellsChanged: 3 }, at + 1);
    expect(await found()).toEqual([{ id: drift.id, attempts: 0, ended_at: 0 }]);
    await save(repair(drift.id), { state: 'failed' }, at + 2);
    const second = await save(repair(drift.id), { state: 'failed' }, at + 3);
    expect(await found()).toEqual([{ id: drift.id, attempts: 2, ended_at: at + 3 }]);
    await store.save({ ...second, state: 'running', seq: 2 });
    expect(await found()).toEqual([]);
    await store.save({ ...second, state: 'done', seq: 3 });
    expect(await found()).toEqual([]);
  });
});

describe('late clicks of many minutes', () => {
  const spread = (ad: string, minutes: number, from = start - 3 * dayMs) =>
    Array.from({ length: minutes }, (_, i) => click({ clickedAt: from + 2 * i * minuteMs, adId: ad }));
  const due = (clicks: readonly Click[]) =>
    clicks.map(({ clickedAt }) => ({ day: 0, minute: clickedAt - (clickedAt % minuteMs), lines: 1 }));
  const queueOf = (minutesPerJob: number) => createLateQueue({ clickhouse: engine.clickhouse, log, minutesPerJob });

  const tooLate = (clicks: readonly Click[], fromOffset = 0) =>
    engine.clickhouse.insert(
      'quarantine',
      clicks
        .map((c, i) => ({
          ...{ partition: 0, offset: fromOffset + i, line: 0, reason: 'too_late', detail: 'its minute was final' },
          ...{
            appended_at: Date.now(),
            ad_id: c.adId,
            event_id: c.eventId,
            clicked_at: c.clickedAt,
            raw: formatLine(c),
          },
        }))
        .map(row => JSON.stringify(row))
        .join('\n'),
    );

  it('are taken in bounded jobs, in which no ad stands behind all the minutes of another', async () => {
    const scattered = spread('scattered', 400);
    const [other] = spread('other', 1, start - 86_400_000);
    const many = Array.from({ length: 7 }, () => click({ clickedAt: start, adId: 'many' }));
    if (other === undefined) throw new Error('no click');
    await tooLate(scattered);
    await tooLate([other, ...many], 1_000);
    const queue = queueOf(5);
    let left = due([...scattered, other, ...many.slice(0, 1)]);
    const taken = await queue.next(left);
    const minutes = new Set(taken.map(({ minute }) => minute));
    expect(minutes.size).toBe(5);
    expect([minutes.has(other.clickedAt), minutes.has(start)]).toEqual([true, true]);
    // None is left for ever, and none is taken that is not due.
    const all = [...taken];
    while (left.length > 0) {
      const gone = new Set(all);
      left = left.filter(one => !gone.has(one));
      all.push(...(await queue.next(left)));
    }
    expect(new Set(all).size).toBe(402);
  });
});
