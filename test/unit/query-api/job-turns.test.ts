import { describe, expect, it } from 'vitest';
import { createJobTurns, type JobTurns } from '../../../query-api/jobs/runner/job-turns.ts';
import { type Job, newJob } from '../../../query-api/store/jobs/job.ts';

const job = (id: string, kind: Job['kind'], reason: Job['reason']): Job => ({
  ...newJob({ kind, reason, apply: false, from: 0, to: 60_000 }, 0),
  id,
});
const replay = (id: string) => job(id, 'replay', 'replay');
const late = (id: string) => job(id, 'restate', 'late');
const repair = (id: string) => job(id, 'restate', 'reconcile');
const hourly = (id: string) => job(id, 'reconcile', 'hourly');

/** Returns which jobs get the next `n` turns. `turnsOf` says after how many turns a job ends. Other jobs never end. */
function play(turns: JobTurns, jobs: readonly Job[], n: number, turnsOf: Record<string, number> = {}): string[] {
  const played: string[] = [];
  const hadOf = (id: string) => played.filter(one => one === id).length;
  for (let i = 0; i < n; i++) {
    const open = jobs.filter(({ id }) => hadOf(id) < (turnsOf[id] ?? Number.POSITIVE_INFINITY));
    const next = turns.next(open, () => true, 0);
    if (next === undefined) break;
    turns.record(next);
    played.push(next.id);
  }
  return played;
}

describe('turns of jobs', () => {
  it('go round all jobs, so that a short job ends after as many turns as there are jobs', () => {
    const jobs = ['long-1', 'long-2', 'long-3', 'short'].map(replay);
    expect(play(createJobTurns(), jobs, 8, { short: 1 })).toEqual([
      ...['long-1', 'long-2', 'long-3', 'short'],
      ...['long-1', 'long-2', 'long-3', 'long-1'],
    ]);
  });

  it('go to jobs that wait before new jobs, however many new jobs there are', () => {
    const turns = createJobTurns();
    const served: string[] = [];
    for (let i = 0; i < 12; i++) {
      // The job that was new in the previous round has ended.
      const next = turns.next([replay('long'), replay(`short-${i}`)], () => true, 0);
      if (next === undefined) throw new Error('nobody');
      turns.record(next);
      served.push(next.id);
    }
    expect(served.filter(id => id === 'long').length).toBeGreaterThanOrEqual(5);
  });

  it('go to late clicks after at most one turn of another job', () => {
    const turns = createJobTurns();
    const long = Array.from({ length: 20 }, (_, i) => replay(`replay-${i}`));
    expect(play(turns, long, 3)).toEqual(['replay-0', 'replay-1', 'replay-2']);
    const withLate = [...long, hourly('hour'), repair('repair'), late('late')];
    expect(play(turns, withLate, 1, { late: 1 })).toEqual(['late']);
  });

  it('are not all for late clicks: another job gets one between any two of these', () => {
    const jobs = [late('late'), replay('a'), replay('b')];
    expect(play(createJobTurns(), jobs, 6)).toEqual(['late', 'a', 'late', 'b', 'late', 'a']);
    expect(play(createJobTurns(), [late('late')], 3)).toEqual(['late', 'late', 'late']);
  });

  it('go to the pipeline’s own jobs as often as to all jobs that people have asked for', () => {
    const jobs = [...Array.from({ length: 20 }, (_, i) => replay(`replay-${i}`)), hourly('hour'), repair('repair')];
    const owed = play(createJobTurns(), jobs, 40).filter(id => !id.startsWith('replay'));
    expect(owed.length).toBe(20);
    expect(owed.filter(id => id === 'hour').length).toBe(10);
  });

  it('pass over a job that rests or is not ready, and come back to it', () => {
    const turns = createJobTurns();
    const jobs = [replay('a'), replay('b')];
    const first = turns.next(jobs, () => true, 0);
    expect(first?.id).toBe('a');
    turns.record(replay('a'), 100);
    turns.record(replay('b'));
    expect(turns.next(jobs, () => true, 99)?.id).toBe('b');
    expect(turns.next(jobs, ({ id }) => id === 'a', 99)).toBeUndefined();
    expect(turns.next(jobs, () => true, 100)?.id).toBe('a');
  });
});
