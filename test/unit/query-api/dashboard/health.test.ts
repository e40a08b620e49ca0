/** Which part has stopped when counts stand still: the records that the sink has not written show it. */
import { join } from 'node:path';
import { expect, it } from 'vitest';

type Said = readonly [boolean | 'wait', string];
interface Event {
  readonly watermark_age_ms: number | null;
  readonly stalled: readonly object[];
}
const path = join(import.meta.dirname, '../../../../query-api/dashboard/parts/health.js');
const { aggregatorText, sinkText } = (await import(path)) as {
  aggregatorText(event: Event | undefined, unwritten: number | undefined): Said;
  sinkText(event: Event | undefined, unwritten: number | undefined, failed?: string): Said;
};
const well = { watermark_age_ms: 20_000, stalled: [] };
const still = { watermark_age_ms: 120_000, stalled: [{}, {}] };

it('is the aggregator if all counts are written, and the sink if some are not', () => {
  expect([aggregatorText(still, 0), sinkText(still, 0)]).toEqual([
    [false, '2 partitions are not counted'],
    [true, 'has written all counts'],
  ]);
  expect([aggregatorText(still, 7), sinkText(still, 7)]).toEqual([
    ['wait', 'not known while the sink does not write'],
    [false, 'does not write: 7 records of counts behind'],
  ]);
});

it('is neither while counts go on, and is not known without a live event', () => {
  expect([aggregatorText(well, 1), sinkText(well, 1)]).toEqual([
    [true, 'counts all partitions'],
    [true, 'writes, 1 record of counts behind'],
  ]);
  const late = { ...well, watermark_age_ms: 101_000 };
  expect([aggregatorText(late, 9), sinkText(late, 9)]).toEqual([
    ['wait', 'counts, 101 s behind'],
    ['wait', 'writes, 9 records of counts behind'],
  ]);
  expect([aggregatorText(undefined, undefined), sinkText(undefined, undefined)]).toEqual([
    ['wait', 'not known at the moment'],
    ['wait', 'not known at the moment'],
  ]);
  expect(sinkText(well, 0, 'halted')).toEqual([false, 'halted']);
});
