import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { finalityOf, stateAt } from '../../../query-api/store/finality.ts';

const progress = (partition: number, fields: Partial<Progress> = {}): Progress => ({
  partition,
  partitions: 2,
  position: 10,
  watermark: 200_000,
  final_until: 120_000,
  appended_at: 215_000,
  received: 0,
  counted: 0,
  duplicates: 0,
  quarantined: 0,
  acknowledged: 0,
  missing: 0,
  invalid: 0,
  ids_per_ad_from: null,
  ...fields,
});

describe('finalityOf', () => {
  it('uses the partition that is furthest behind, for the watermark and for finality separately', () => {
    const rows = [
      progress(0, { watermark: 300_000, final_until: 60_000 }),
      progress(1, { watermark: 100_000, final_until: 180_000 }),
    ];
    expect(finalityOf(rows)).toEqual({ watermark: 100_000, finalUntil: 60_000 });
  });

  it('is unknown without any progress', () => {
    expect(finalityOf([])).toEqual({ watermark: null, finalUntil: null });
  });

  it('is unknown while a partition has no progress', () => {
    expect(finalityOf([progress(1)])).toEqual({ watermark: null, finalUntil: null });
    expect(finalityOf([progress(0, { partitions: 2 }), progress(1, { partitions: 3 })]).watermark).toBeNull();
  });

  it('does not take a repeated row for another partition', () => {
    expect(finalityOf([progress(0), progress(0)]).finalUntil).toBeNull();
  });

  it('neither counts a partition that is not in use yet for another one, nor lets it make anything final', () => {
    expect(finalityOf([progress(0), progress(2)])).toEqual({ watermark: null, finalUntil: null });
    const all = finalityOf([progress(0), progress(1)]);
    expect(finalityOf([progress(0), progress(1), progress(2)])).toEqual(all);
  });

  it('waits for all partitions as soon as one row says that they have become more', () => {
    const grown = progress(1, { partitions: 3 });
    expect(finalityOf([progress(0), grown]).watermark).toBeNull();
    expect(finalityOf([progress(0), grown, progress(2)]).watermark).not.toBeNull();
  });

  it('reads 0 as not known yet', () => {
    expect(finalityOf([progress(0), progress(1, { watermark: 0, final_until: 0 })])).toEqual({
      watermark: null,
      finalUntil: null,
    });
  });

  it('is not final while a partition is not', () => {
    const time = fc.integer({ min: 0, max: 10 }).map(minutes => minutes * 60_000);
    fc.assert(
      fc.property(fc.array(time, { minLength: 1, maxLength: 8 }), time, (ends, end) => {
        const rows = ends.map((final_until, i) => progress(i, { final_until, partitions: ends.length }));
        const isFinal = ends.every(known => known !== 0 && end <= known);
        expect(stateAt(finalityOf(rows), end)).toBe(isFinal ? 'final' : 'provisional');
      }),
    );
  });
});

describe('stateAt', () => {
  it('is final up to and including the border, and provisional a minute later', () => {
    const finality = { watermark: 200_000, finalUntil: 120_000 };
    expect(stateAt(finality, 120_000)).toBe('final');
    expect(stateAt(finality, 180_000)).toBe('provisional');
  });

  it('is restated only when it would be final', () => {
    const finality = { watermark: 200_000, finalUntil: 120_000 };
    expect(stateAt(finality, 120_000, true)).toBe('restated');
    expect(stateAt(finality, 180_000, true)).toBe('provisional');
  });
});
