/**
 * An erasure changes no number that is billed: whenever it comes, a recount of the rows as they are kept finds what the
 * stream has counted, for clicks of before and after, late ones, and ones whose clock runs ahead.
 */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { rawRows } from '../../../aggregator/sink/raw-rows.ts';
import { formatLine, limits } from '../../../ingest/click.ts';
import { ErasureBook } from '../../../ingest/privacy/erasure-book.ts';
import { noRules } from '../../../ingest/validity/rules.ts';
import { click, minute0 } from '../../support/clicks.ts';
import { eraseInto } from '../../support/erased-book.ts';
import { rowsOf } from '../../support/outputs.ts';

const minuteMs = 60_000;
const rules = { ...noRules.rules, double_click_seconds: 2, user_clicks_per_minute: 3 };

/** The last row of each cell. */
function counted(lines: readonly string[]) {
  const aggregator = new PartitionAggregator(
    {
      ...{ partition: 0, outOfOrdernessMs: 60 * minuteMs, allowedLatenessMs: minuteMs, hashSeed: 7 },
      rulesAt: () => ({ version: 1, rules }),
    },
    freshCheckpoint(0),
  );
  for (const [i, line] of lines.entries()) aggregator.process(i, minute0 + 60 * minuteMs, Buffer.from(line));
  return rowsOf(aggregator.drain());
}

const time = fc.integer({ min: minute0, max: minute0 + 15 * minuteMs });
const aClick = fc.record({
  userId: fc.constantFrom('u-1', 'u-2', 'stays'),
  ip: fc.constantFrom('203.0.113.7', '203.0.113.8'),
  clickedAt: time,
  /** From a clock that runs ahead to a click of days ago. */
  delay: fc.oneof(fc.integer({ min: -limits.maxAheadMs, max: 2_000 }), fc.constant(86_400_000)),
});

it('whatever was clicked and received when', () => {
  let invalid = 0;
  fc.assert(
    fc.property(
      fc.array(aClick, { minLength: 100, maxLength: 200 }),
      fc.array(fc.record({ at: time, who: fc.subarray(['u-1', 'u-2'], { minLength: 1 }) }), { maxLength: 3 }),
      (given, erasures) => {
        const lines = given.map(({ delay, ...one }, i) =>
          formatLine(click({ ...one, eventId: `e-${i}`, receivedAt: one.clickedAt + delay })),
        );
        const book = new ErasureBook();
        for (const { at, who } of erasures.toSorted((a, b) => a.at - b.at)) eraseInto(book, at, ...who);
        const record = { offset: 0, timestamp: minute0 + 60 * minuteMs, value: Buffer.from(lines.join('\n')) };
        const kept = Buffer.concat(rawRows(0, [record], book))
          .toString()
          .trim()
          .split('\n');
        const before = counted(lines);
        expect(counted(kept)).toEqual(before);
        invalid += before.reduce((sum, row) => sum + row.invalid, 0);
      },
    ),
  );
  expect(invalid).toBeGreaterThan(0);
});
