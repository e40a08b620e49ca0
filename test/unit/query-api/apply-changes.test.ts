import { describe, expect, it } from 'vitest';
import { notJudged } from '../../../aggregator/ad-minute.ts';
import { changeOf } from '../../../aggregator/replay/cell-change.ts';
import { type CellChange, versionOf } from '../../../aggregator/restatement.ts';
import { createRestater, diffOf } from '../../../query-api/jobs/recount/apply-changes.ts';

/** A cell of a hot ad whose count is too low by one. */
function changeAt(minute: number, partitions = 12): CellChange {
  const cell = {
    minute,
    ad_id: 'ad-hot',
    country: 'KR',
    partition: 3,
    clicks: partitions + 1,
    duplicates: 0,
    ...notJudged,
  };
  const stated = Array.from({ length: partitions }, (_, partition) => {
    return {
      minute,
      ad_id: 'ad-hot',
      country: 'KR',
      partition,
      revision: 0,
      clicks: 1,
      duplicates: 0,
      late: 0,
      ...notJudged,
    };
  });
  return changeOf(cell, stated)!;
}

const restaterOf = () => createRestater({ job: 'j', reason: 'late', readUntil: new Map([[3, 70]]), now: () => 5 });

describe('what a recount has found', () => {
  it('is written completely before it becomes visible, and is copied into the counts after that', () => {
    const restater = restaterOf();
    const changes = [changeAt(60), changeAt(60), changeAt(120)];
    restater.stage(changes, []);
    const said = restater.take();
    expect(said.map(({ kind }) => kind)).toEqual(['restatement', 'recounted-minute', 'ad-minute', 'settled-minute']);
    const [restatement, recounted, counts, settled] = said.map(({ rows }) => rows);
    // The process may have said something before, at a later moment than the clock of this test has.
    const { at } = recounted![0] as { at: number };
    expect(at).toBeGreaterThanOrEqual(5);
    expect(restatement).toEqual(changes.map(change => ({ ...change, job: 'j', reason: 'late', at })));
    const minutes = [
      { minute: 60, at, job: 'j', cells: 2, read_until: { 3: 70 }, settled: 0 },
      { minute: 120, at, job: 'j', cells: 1, read_until: { 3: 70 }, settled: 0 },
    ];
    expect(recounted).toEqual(minutes);
    expect(settled).toEqual(minutes.map(minute => ({ ...minute, settled: 1 })));
    expect(counts?.length).toBe(36);
    expect(counts?.slice(0, 12)).toEqual(
      changes[0]?.rows.map(row => ({
        minute: 60,
        ad_id: 'ad-hot',
        country: 'KR',
        version: versionOf(1, at),
        ...row,
        ...notJudged,
      })),
    );
    // It has another moment although the clock stands still.
    restater.stage([changeAt(60)], []);
    expect(restater.take()[1]?.rows).toMatchObject([{ minute: 60, at: at + 1 }]);
    expect(restater.take().flatMap(({ rows }) => rows)).toEqual([]);
  });

  it('says how far a minute without changes was read, and copies nothing', () => {
    const restater = restaterOf();
    restater.stage([], [180_000]);
    const rows = Object.fromEntries(restater.take().map(entry => [entry.kind, entry.rows]));
    expect(rows).toMatchObject({
      restatement: [],
      'recounted-minute': [],
      'ad-minute': [],
      'settled-minute': [{ minute: 180, cells: 0, read_until: { 3: 70 }, settled: 1 }],
    });
  });

  it('is shown to people who ask about the job, whether it is applied or not', () => {
    const { before, after } = changeAt(60);
    const counts = { before, after, before_invalid: 0, after_invalid: 0 };
    const row = { job: 'j', minute: 60, ad_id: 'ad-hot', country: 'KR', ...counts, at: 7 };
    expect(diffOf([changeAt(60)], { job: 'j', at: 7_900 })).toEqual({ kind: 'diff', rows: [row] });
  });
});
