import { describe, expect, it } from 'vitest';
import { rangesOf } from '../../../query-api/jobs/recount/recount-job.ts';
import { createLateMinutes } from '../../../query-api/jobs/restate/late-minutes.ts';
import { existing } from '../../../query-api/routes/jobs/job-answer.ts';
import { type Job, jobIdPattern, newJob } from '../../../query-api/store/jobs/job.ts';
import type { LateMinute } from '../../../query-api/store/jobs/late-minute-rows.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';

const minuteMs = 60_000;

describe('what is left of a job', () => {
  it('is its range from its position', () => {
    const job = { minutes: [], from: 0, to: 10 * minuteMs };
    expect(rangesOf({ ...job, position: 0 })).toEqual([{ from: 0, to: 10 * minuteMs }]);
    expect(rangesOf({ ...job, position: 4 * minuteMs })).toEqual([{ from: 4 * minuteMs, to: 10 * minuteMs }]);
    expect(rangesOf({ ...job, position: 10 * minuteMs })).toEqual([]);
  });

  it('is its minutes that are not done, with neighbouring minutes in one range', () => {
    const minutes = [1, 2, 3, 7, 9].map(n => n * minuteMs);
    expect(rangesOf({ minutes, from: minuteMs, to: 10 * minuteMs, position: 2 * minuteMs })).toEqual([
      { from: 2 * minuteMs, to: 4 * minuteMs },
      { from: 7 * minuteMs, to: 8 * minuteMs },
      { from: 9 * minuteMs, to: 10 * minuteMs },
    ]);
  });

  it('has an id that sorts by time', () => {
    const job = (at: number) => newJob({ kind: 'replay', reason: 'replay', apply: false, from: 0, to: minuteMs }, at);
    expect(job(1_763_800_000_000).id).toMatch(jobIdPattern);
    expect(job(1_763_800_000_000).id < job(1_763_800_000_001).id).toBe(true);
  });
});

it('a job that ClickHouse does not have is not denied: it may not be stored yet', () => {
  expect(() => existing(undefined, '01KCQ0Z0000000000000000000')).toThrow(
    /ClickHouse has no job .* it is not stored yet/,
  );
});

describe('late minutes', () => {
  const minute = (lines: number): LateMinute => ({ day: 20_000, minute: 60 * minuteMs, lines });

  it('are due when no more lines came for a while, or when they have waited long', async () => {
    let time = 0;
    let lines = 1;
    const clickhouse = clickHouseThatAnswers(() => [{ ...minute(lines), taken_lines: 0, state: '', updated_at: 0 }]);
    const late = createLateMinutes({
      clickhouse,
      now: () => 0,
      clock: () => time,
      timeoutMs: 1_000,
      quietMs: 10,
      longestWaitMs: 60,
    });
    const due = async (at: number) => {
      time = at;
      return (await late.due(1e15, 0)).length;
    };
    expect([await due(0), await due(9), await due(10)]).toEqual([0, 0, 1]);
    lines = 2;
    expect(await due(11)).toBe(0);
    for (let at = 12; at < 60; at += 5) {
      lines++;
      expect(await due(at)).toBe(0);
    }
    lines++;
    expect(await due(60)).toBe(1);
  });

  it.each([
    ['back', -600_000],
    ['forward', 600_000],
  ])('wait as long as otherwise when the clock is put %s meanwhile', async (_, stepMs) => {
    const time = { wall: Date.now(), monotonic: 0 };
    const clickhouse = clickHouseThatAnswers(() => [{ ...minute(1), taken_lines: 0, state: '', updated_at: 0 }]);
    const late = createLateMinutes({
      ...{ clickhouse, now: () => time.wall, clock: () => time.monotonic },
      ...{ timeoutMs: 1_000, quietMs: 10, longestWaitMs: 60 },
    });
    const due = async (at: number) => {
      time.monotonic = at;
      return (await late.due(1e15, 0)).length;
    };
    await due(0);
    time.wall += stepMs;
    expect([await due(9), await due(10)]).toEqual([0, 1]);
  });
});

describe('late minutes that a job holds and has not counted', () => {
  const pauseMs = 600_000;
  const now = 10 * pauseMs;
  const answers = async (state: Job['state'] | '', updatedAt = now, lines = 3) => {
    const row = { day: 20_000, minute: 60 * minuteMs, lines, taken_lines: 3, state, updated_at: updatedAt };
    const clickhouse = clickHouseThatAnswers(() => [row]);
    const late = createLateMinutes({ clickhouse, now: () => now, timeoutMs: 1_000, quietMs: 0, pauseMs });
    return { due: (await late.due(1e15, 0)).length, pending: (await late.pending(0, 1e15)).length };
  };

  it.each(['cancelled', ''] as const)('are due at once if that job is "%s"', async state => {
    expect(await answers(state)).toEqual({ due: 1, pending: 1 });
  });

  it.each(['queued', 'running'] as const)(
    'are not due for another job while that job is %s, but not counted either',
    async state => {
      expect(await answers(state)).toEqual({ due: 0, pending: 1 });
      expect(await answers(state, 0)).toEqual({ due: 0, pending: 1 });
      expect(await answers(state, now, 4)).toEqual({ due: 1, pending: 1 });
    },
  );

  it('are due after a pause if that job has failed, and delay no reconciliation until then', async () => {
    expect(await answers('failed', now - pauseMs + 1)).toEqual({ due: 0, pending: 0 });
    expect(await answers('failed', now - pauseMs)).toEqual({ due: 1, pending: 1 });
    expect(await answers('failed', now, 4)).toEqual({ due: 1, pending: 1 });
  });

  it('wait no longer than the pause if the runner whose job has failed had a clock that was days ahead', async () => {
    expect(await answers('failed', now + pauseMs - 1)).toEqual({ due: 0, pending: 0 });
    expect(await answers('failed', now + 3 * 86_400_000)).toEqual({ due: 1, pending: 1 });
  });

  it('are recorded again with no fewer lines than before, so that the row of the new job is valid', async () => {
    const row = { day: 20_000, minute: 0, lines: 2, taken_lines: 3, state: 'cancelled', updated_at: 0 };
    const clickhouse = clickHouseThatAnswers(() => [row]);
    const late = createLateMinutes({ clickhouse, now: () => now, timeoutMs: 1_000, quietMs: 0 });
    const said = late.taken(await late.due(1e15, 0), 'next');
    expect(said).toMatchObject({ kind: 'minute-recount', rows: [{ lines: 3, job: 'next' }] });
  });
});
