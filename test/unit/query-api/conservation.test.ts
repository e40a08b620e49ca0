import { pino } from 'pino';
import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import {
  countEntries,
  differenceOf,
  type Entry,
  isExact,
  quarantineEntry,
  receivedEntries,
  Suspicions,
  sumOf,
} from '../../../query-api/jobs/conservation/conservation.ts';
import { createConservationCheck, type Finding } from '../../../query-api/jobs/conservation/conservation-check.ts';
import { createBooks } from '../../../query-api/jobs/conservation/conservation-watch.ts';
import { QuarantineReferences } from '../../../query-api/jobs/conservation/quarantine-reference.ts';
import type { SinkPosition } from '../../../query-api/log/counted-log.ts';

const progress = (position: number, fields: Partial<Progress> = {}): Progress => ({
  partition: 0,
  partitions: 1,
  position,
  watermark: 0,
  final_until: 0,
  appended_at: 0,
  received: position,
  counted: position,
  duplicates: 0,
  quarantined: 0,
  acknowledged: 0,
  missing: 0,
  invalid: 0,
  ids_per_ad_from: null,
  ...fields,
});
const byPartition = (row: Progress) => new Map([[row.partition, row]]);

/** The difference of counted clicks: rows, of which the newest has `version`, between two readings of progress. */
function counted(found: number, version: number, before: number, after = before) {
  const rows = new Map([[0, { counted: found, duplicates: 0, invalid: 0, version }]]);
  const [entry] = countEntries(rows, byPartition(progress(before)), byPartition(progress(after)));
  return entry && { difference: differenceOf(entry), exact: isExact(entry) };
}

describe('rows against counters', () => {
  it.each([
    ['as counted, and none newer', 100, 100, 100, 100, { difference: 0, exact: true }],
    ['as counted, while progress goes on without them', 100, 90, 100, 120, { difference: 0, exact: true }],
    ['one less', 99, 100, 100, 100, { difference: -1, exact: false }],
    ['one more, and none newer than progress', 101, 100, 100, 120, { difference: 1, exact: false }],
    ['ahead of progress that has not come yet', 110, 110, 100, 100, { difference: undefined, exact: false }],
    ['ahead of progress that came meanwhile', 110, 110, 100, 120, { difference: 0, exact: false }],
    ['ahead by more than there is', 121, 110, 100, 120, { difference: 1, exact: false }],
    ['ahead, but less than there was', 99, 110, 100, 120, { difference: -1, exact: false }],
  ])('are %s', (_what, found, version, before, after, expected) => {
    expect(counted(found, version, before, after)).toEqual(expected);
  });

  it('are missing when a partition has progress and no rows, and too many when it has rows and no progress', () => {
    const [lost] = countEntries(new Map(), byPartition(progress(5)), byPartition(progress(5)));
    expect(lost && differenceOf(lost)).toBe(-5);
    const rows = new Map([[3, { counted: 2, duplicates: 1, invalid: 0, version: 0 }]]);
    expect(countEntries(rows, new Map(), new Map()).map(differenceOf)).toEqual([2, 1, 0]);
  });

  it('are added up over stretches, with the newest version of all stretches', () => {
    const stretch = (n: number) => new Map([[n % 2, { counted: n, duplicates: 10 * n, invalid: 100 * n, version: n }]]);
    expect([...sumOf(stretch(1), stretch(2), stretch(3))]).toEqual([
      [1, { counted: 4, duplicates: 40, invalid: 400, version: 3 }],
      [0, { counted: 2, duplicates: 20, invalid: 200, version: 2 }],
    ]);
  });
});

describe('counters among themselves', () => {
  it('differ by the lines that were received and have no outcome', () => {
    const rows = [progress(9), progress(9, { partition: 1, received: 12, duplicates: 1, quarantined: 1 })];
    expect(receivedEntries(rows).map(differenceOf)).toEqual([0, -1]);
  });
});

describe('quarantined lines', () => {
  const entry = (found: number, hasPassed: boolean) => quarantineEntry(0, found, { quarantined: 7, hasPassed });
  it.each([
    ['all there', 7, false, 0],
    ['fewer, and more may come', 6, false, undefined],
    ['fewer, and no more will come', 6, true, -1],
    ['more than there are', 8, false, 1],
  ])('are %s', (_what, found, hasPassed, expected) => {
    expect(differenceOf(entry(found, hasPassed))).toBe(expected);
  });
});

describe('lines that are missing', () => {
  const sink = (position: number, end: number): SinkPosition[] => [
    { group: 'g', topic: 'q', topicName: 'quarantine', partition: 0, position, end },
    { group: 'g', topic: 'a', topicName: 'aggregates', partition: 0, position: 99, end: 99 },
  ];
  const next = (references: QuarantineReferences, position: number, sinks?: SinkPosition[]) =>
    references.next([progress(position, { quarantined: position })], sinks).get(0);

  it('will not come once the sink has passed an end that was asked for after later progress', () => {
    const references = new QuarantineReferences();
    expect(next(references, 10)).toMatchObject({ position: 10, quarantined: 10, hasPassed: false });
    // The same progress: its transaction may still be incomplete in the other topic.
    expect(next(references, 10, sink(5, 5))?.hasPassed).toBe(false);
    expect(next(references, 11, sink(6, 8))?.hasPassed).toBe(false);
    expect(next(references, 12, sink(7, 20))?.hasPassed).toBe(false);
    expect(next(references, 13)?.hasPassed).toBe(false);
    expect(next(references, 14, sink(8, 30))).toMatchObject({ position: 10, quarantined: 10, hasPassed: true });
  });

  it('are forgotten when they have come, and newer progress is compared then', () => {
    const references = new QuarantineReferences();
    next(references, 10);
    references.settle(0);
    expect(references.areAwaited).toBe(false);
    expect(next(references, 20)).toMatchObject({ position: 20, hasPassed: false });
  });
});

describe('a difference', () => {
  const loose = (found: number): Entry => ({ partition: 0, outcome: 'counted', found, atLeast: 100, atMost: 110 });
  const exact = (found: number): Entry => ({ ...loose(found), atMost: 100 });
  const judged = (...entries: readonly Entry[]) => {
    const suspicions = new Suspicions();
    return entries.map(entry => suspicions.judge(entry));
  };

  it('counts once it was found twice with the same sign', () => {
    expect(judged(exact(99), exact(98))).toEqual([undefined, -2]);
    expect(judged(exact(99), loose(111), loose(112))).toEqual([undefined, undefined, 2]);
  });

  it('stays suspected until an exact reading refutes it, which a reading within bounds does not', () => {
    expect(judged(exact(99), loose(105), exact(99))).toEqual([undefined, undefined, -1]);
    expect(judged(exact(99), exact(100), exact(99))).toEqual([undefined, 0, undefined]);
    expect(judged(loose(105))).toEqual([0]);
  });
});

describe('a comparison', () => {
  /** A store that gets five more clicks, with their progress, each time after its rows were read. */
  function busyStore(lost: number) {
    let clicks = 100;
    return createConservationCheck({
      queries: {
        async liveRows() {
          const rows = [
            { partition: 0, counted: clicks - lost, duplicates: 0, invalid: 0, version: clicks, untold: 0 },
          ];
          clicks += 5;
          return rows;
        },
        firstMinute: async () => undefined,
        quarantinedLines: async () => new Map(),
      },
      store: { totals: async () => new Map(), save: async () => undefined, stalest: async () => [] },
      progress: async () => [progress(clicks)],
      countedLog: { sinkPositions: () => Promise.reject(new Error('no broker')) },
      now: () => 0,
      log: pino({ level: 'silent' }),
      closing: new AbortController().signal,
      pauseMs: 1,
    });
  }

  it.each([0, 1])('reads progress before rows: in a store that never rests it finds %i lost clicks', async lost => {
    const { findings, isComplete } = await busyStore(lost)();
    const found = findings.find(({ outcome }) => outcome === 'counted');
    expect([isComplete, found?.difference]).toEqual([true, 0 - lost]);
  });
});

describe('the books', () => {
  const finding = (difference: number): Finding => {
    return { partition: 2, outcome: 'counted', expected: 10, found: 10 + difference, difference };
  };

  function open() {
    const lines: string[] = [];
    const log = pino({ base: null, timestamp: false }, { write: line => lines.push(line) });
    return { books: createBooks(() => 5_000, log), lines };
  }

  it('report a difference in one log line when it appears, when it changes and when it ends', () => {
    const { books, lines } = open();
    for (const difference of [0, -1, -1, -3, 0, 0]) books.enter([finding(difference)], true);
    const fields = { partition: 2, outcome: 'counted', expected: 10 };
    expect(lines.map(line => JSON.parse(line))).toEqual([
      { level: 50, ...fields, found: 9, difference: -1, msg: 'conservation: rows DIFFER from counters' },
      { level: 50, ...fields, found: 7, difference: -3, msg: 'conservation: rows DIFFER from counters' },
      { level: 30, ...fields, found: 10, difference: 0, msg: 'conservation: rows agree with counters again' },
    ]);
  });

  it('keep a difference until the same rows and counters agree', () => {
    const { books } = open();
    expect(books.latest()).toBeUndefined();
    books.enter([finding(-1)], false);
    expect(books.latest()).toEqual({ checkedAt: undefined, differences: [finding(-1)] });
    books.enter([], true);
    expect(books.latest()).toEqual({ checkedAt: 5_000, differences: [finding(-1)] });
    books.enter([finding(0)], true);
    expect(books.latest()).toEqual({ checkedAt: 5_000, differences: [] });
  });
});
