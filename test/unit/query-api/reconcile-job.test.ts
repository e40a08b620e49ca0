import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { Corrupt } from '../../../infra/errors.ts';
import { runReconcile } from '../../../query-api/jobs/reconcile/reconcile-job.ts';
import { resultOf } from '../../../query-api/jobs/reconcile/reconcile-result.ts';
import { rememberSuspicions } from '../../../query-api/jobs/reconcile/suspicions.ts';
import { drift, driftingCells } from '../../../query-api/jobs/writing/metrics.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';
import type { InvalidCompared } from '../../../query-api/store/jobs/sql-invalid.ts';
import type { AdDrift } from '../../../query-api/store/jobs/sql-recount.ts';
import type { TimeRange } from '../../../query-api/time/time-range.ts';

const minuteMs = 60_000;
const begin = Date.parse('2025-11-22T08:00:00Z');
const waitMs = 600_000;

/** An hour in steps of ten minutes. Every minute has one cell. Minutes in `pending` always have one more late click. */
function world({
  pending = [] as number[],
  differing = 0,
  ads = [] as AdDrift[],
  invalid = [] as InvalidCompared[],
} = {}) {
  const state = { at: begin };
  const compared: TimeRange[] = [];
  const hours: number[] = [];
  let job: Job = newJob(
    { kind: 'reconcile', reason: 'hourly', apply: false, from: begin, to: begin + 60 * minuteMs },
    begin,
  );
  const found = ({ from, to }: TimeRange) => {
    const cells = (to - from) / minuteMs;
    return { cells, differing, off: differing, conflicts: 0, ads, minutes: differing > 0 ? [from] : [] };
  };
  const firstSeen = rememberSuspicions();
  const run = async (mayGoOn = true) => {
    job = await runReconcile(job, {
      store: { save: async () => undefined },
      reconciliation: {
        stepEnd: async ({ from, to }) => Math.min(to, from + 10 * minuteMs),
        compare: async range => {
          compared.push(range);
          return found(range);
        },
      },
      hours: {
        compare: async from => {
          hours.push((from - begin) / minuteMs);
          return { cells: 0, differing: 0, off: 0, conflicts: 0, ads: [], minutes: [] };
        },
      },
      invalid: {
        compare: async ({ from }) => invalid.map(each => ({ ...each, minutes: each.minutes.map(() => from) })),
      },
      pending: async (from, to) =>
        pending.map(n => begin + n * minuteMs).filter(minute => minute >= from && minute < to),
      now: () => state.at,
      log: pino({ level: 'silent' }),
      mayGoOn: async () => mayGoOn,
      firstSeen,
    });
    return job;
  };
  const minutesOf = () => compared.flatMap(({ from, to }) => [(from - begin) / minuteMs, (to - begin) / minuteMs]);
  return { state, run, minutesOf, hours };
}

describe('a reconciliation', () => {
  it('compares each minute once, also when its turn is over after each step', async () => {
    const w = world();
    for (let i = 0; i < 6; i++) await w.run(false);
    const job = await w.run();
    expect(job.position).toBe(job.to);
    expect(resultOf(job)).toMatchObject({ cells: 60, leftOut: 0 });
    expect(w.minutesOf()).toEqual([0, 10, 10, 20, 20, 30, 30, 40, 40, 50, 50, 60]);
  });

  it('compares the hour of the roll-up at its end, and once', async () => {
    const w = world();
    for (let i = 0; i < 5; i++) await w.run(false);
    expect(w.hours).toEqual([]);
    await w.run();
    expect(w.hours).toEqual([0]);
  });

  it('does not compare the hour of minutes that differ: it is worked out again when they are restated', async () => {
    const w = world({ differing: 1 });
    for (let step = 0; step < 7; step++) {
      await w.run();
      w.state.at += 10_000;
    }
    expect((await w.run()).position).toBe(begin + 60 * minuteMs);
    expect(w.hours).toEqual([]);
  });

  it('waits for late clicks', async () => {
    const w = world({ pending: [15] });
    expect((await w.run()).position).toBe(begin + 10 * minuteMs);
    w.state.at += waitMs - 1;
    expect((await w.run()).position).toBe(begin + 10 * minuteMs);
  });

  it('leaves out a minute to which late clicks keep coming, and says so, instead of waiting forever', async () => {
    const w = world({ pending: [15, 19, 20] });
    await w.run();
    w.state.at += waitMs;
    await w.run();
    w.state.at += waitMs;
    const job = await w.run();
    expect(job.position).toBe(job.to);
    expect(resultOf(job)).toMatchObject({ cells: 57, leftOut: 3 });
    expect(w.minutesOf()).toEqual([0, 10, 10, 15, 16, 19, 21, 30, 30, 40, 40, 50, 50, 60]);
  });

  it('reports a difference as drift only if it lasts', async () => {
    const w = world({ differing: 1 });
    expect((await w.run()).position).toBe(begin);
    w.state.at += 10_000;
    expect((await w.run()).position).toBe(begin + 10 * minuteMs);
  });

  it('waits for a difference to last also where it has stood for long before, as while late clicks wait', async () => {
    const w = world({ differing: 1 });
    w.state.at += waitMs;
    expect((await w.run()).position).toBe(begin);
    w.state.at += 9_999;
    expect((await w.run()).position).toBe(begin);
    w.state.at += 1;
    expect((await w.run()).position).toBe(begin + 10 * minuteMs);
  });
});

describe('the metric of drift', () => {
  const valueIn = async (metric: typeof drift | typeof driftingCells) => (await metric.get()).values[0]?.value ?? 0;

  it('rings for clicks that are counted for another ad, though no click is too many', async () => {
    const ads = [
      { ad_id: 'a', cells: 1, counted: 3, raw: 2 },
      { ad_id: 'b', cells: 1, counted: 1, raw: 2 },
    ];
    const w = world({ differing: 2, ads });
    const before = await valueIn(driftingCells);
    for (let step = 0; step < 6; step++) {
      await w.run();
      w.state.at += 10_000;
    }
    await w.run();
    expect(await valueIn(drift)).toBe(12);
    expect((await valueIn(driftingCells)) - before).toBe(12);
    await world().run();
    expect(await valueIn(drift)).toBe(0);
    expect((await valueIn(driftingCells)) - before).toBe(12);
  });
});

describe('invalid clicks', () => {
  const equal: InvalidCompared = { cells: 3, differing: 0, split: 1, unsure: 2, reasons: [], ads: [], minutes: [] };
  const other: InvalidCompared = {
    ...{ cells: 2, differing: 1, split: 0, unsure: 0, minutes: [0] },
    reasons: [{ reason: 'double_click', cells: 1, counted: 5, raw: 3, off: 2 }],
    ads: [{ ad_id: 'a', reason: 'double_click', cells: 1, counted: 5, raw: 3 }],
  };

  it('that are the same are no difference, by however many versions of the rules', async () => {
    const job = await world({ invalid: [equal, equal] }).run();
    expect(resultOf(job).invalid).toEqual({ cells: 36, differing: 0, split: 12, unsure: 24, reasons: [], ads: [] });
    expect(job).toMatchObject({ position: job.to, cellsChanged: 0 });
  });

  it('that differ are drift if it lasts, summed up by reason and by ad, in minutes that can be repaired', async () => {
    const w = world({ invalid: [equal, other] });
    expect((await w.run()).position).toBe(begin);
    for (let i = 0; i < 6; i++) {
      w.state.at += 10_000;
      await w.run();
    }
    const job = await w.run();
    const sum = { reason: 'double_click', cells: 6, counted: 30, raw: 18 };
    expect(resultOf(job)).toMatchObject({
      differing: 0,
      invalid: { cells: 30, differing: 6, reasons: [{ ...sum, off: 12 }], ads: [{ ad_id: 'a', ...sum }] },
      minutes: [0, 10, 20, 30, 40, 50].map(n => begin + n * minuteMs),
    });
    expect(job.cellsChanged).toBe(6);
  });
});

describe('the stored result of a reconciliation', () => {
  const job = { id: '01JD9ZJ6E0000000000000000J' };
  const full = {
    cells: 9,
    differing: 1,
    conflicts: 0,
    ads: [{ ad_id: 'a', cells: 1, counted: 2, raw: 3 }],
    minutes: [0],
  };

  it('is read as it was written, also with fields of a newer release', () => {
    expect(resultOf({ ...job, result: JSON.stringify({ ...full, newer: true }) })).toMatchObject(full);
    expect(resultOf({ ...job, result: '' })).toMatchObject({ cells: 0, ads: [], minutes: [] });
  });

  it.each([
    ['half', 'result of job 01JD9ZJ6E0000000000000000J is "half", but must be JSON'],
    ['[]', 'must be an object'],
    [JSON.stringify({ ...full, minutes: undefined }), 'minutes is not given, but must be'],
    [JSON.stringify({ ...full, cells: 'nine' }), 'cells is "nine", but must be a whole number'],
    [JSON.stringify({ ...full, minutes: 7 }), 'minutes is 7, but must be a list'],
  ])('is refused where it is something else: %s', (result, why) => {
    expect(() => resultOf({ ...job, result })).toThrow(why);
    expect(() => resultOf({ ...job, result })).toThrow(Corrupt);
  });
});
