import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import { createLateQueue, fairOrder } from '../../../query-api/jobs/restate/late-queue.ts';
import type { WaitingMinute } from '../../../query-api/store/jobs/late-minute-rows.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';

const minuteMs = 60_000;
const waiting = (n: number, place: number, since: number, lines = 1): WaitingMinute => ({
  ...{ minute: n * minuteMs, place, since, lines },
});
const minutes = (order: readonly number[]) => order.map(minute => minute / minuteMs);

describe('the order of late minutes', () => {
  it('lets the ads take turns: the first minute of one ad comes before the second of another', () => {
    const scattered = Array.from({ length: 50 }, (_, i) => waiting(i, i + 1, 0));
    const order = minutes(fairOrder([...scattered, waiting(99, 1, 1_000)]));
    expect(order.slice(0, 2)).toEqual([0, 99]);
    expect(order.length).toBe(51);
  });

  it('takes alternately the minute that has waited longest and the one with the most clicks', () => {
    const single = Array.from({ length: 10 }, (_, i) => waiting(i, 1, i));
    expect(minutes(fairOrder([...single, waiting(50, 1, 1_000, 500), waiting(51, 1, 1_001, 400)])).slice(0, 4)).toEqual(
      [0, 50, 1, 51],
    );
  });

  it('leaves no minute behind forever, although there are always others with more clicks', () => {
    const order = minutes(
      fairOrder([waiting(0, 1, 0), ...Array.from({ length: 99 }, (_, i) => waiting(i + 1, 1, 1, 9))]),
    );
    expect(order.indexOf(0)).toBeLessThan(2);
  });
});

describe('the queue of late minutes', () => {
  const due = (...of: readonly number[]) => of.map(n => ({ day: 20_000, minute: n * minuteMs, lines: 1 }));
  const log = pino({ level: 'silent' });
  const queueOf = (query: () => Promise<unknown[]>, clock: () => number = () => 0) =>
    createLateQueue({ clickhouse: clickHouseThatAnswers(query), clock, log, minutesPerJob: 3 });

  it('takes all minutes when they are few, without a query', async () => {
    const queue = queueOf(() => Promise.reject(new Error('was asked')));
    expect(await queue.next(due(1, 2, 3))).toEqual(due(1, 2, 3));
  });

  it('takes a limited number of many minutes, in fair order, with the lines of every day of arrival', async () => {
    const rows = [waiting(9, 1, 0), waiting(2, 2, 0), waiting(7, 3, 0), waiting(1, 4, 0)];
    const queue = queueOf(async () => rows);
    const all = [...due(1, 2, 7, 9), { day: 20_001, minute: 9 * minuteMs, lines: 4 }];
    const taken = await queue.next(all);
    expect(taken.map(({ minute }) => minute / minuteMs)).toEqual([2, 7, 9, 9]);
  });

  it('takes them in the order of time when the fair order cannot be found', async () => {
    const queue = queueOf(() => Promise.reject(new Error('too slow')));
    expect((await queue.next(due(4, 1, 3, 2))).map(({ minute }) => minute / minuteMs)).toEqual([1, 3, 2]);
  });
});
