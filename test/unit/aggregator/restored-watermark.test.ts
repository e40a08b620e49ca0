import { expect, it } from 'vitest';
import { freshCheckpoint } from '../../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../../aggregator/core/partition-aggregator.ts';
import { click, minute0, ndjson } from '../../support/clicks.ts';

const settings = { partition: 0, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 7 };
const second = 1_000;

/** Append time and event time, s after minute0; a tick has no event time. */
const log: readonly (readonly [appended: number, clicked?: number])[] = [[30, 70], [50, 45], [55, 200], [145], [195]];

function run(aggregator: PartitionAggregator, from: number, to: number): void {
  for (const [offset, [appended, clicked]] of log.entries()) {
    if (offset < from || offset >= to) continue;
    const value = clicked === undefined ? null : ndjson(click({ clickedAt: minute0 + clicked * second }));
    aggregator.process(offset, minute0 + appended * second, value);
  }
}

it('has after a restore the same checkpoint as without, where clicks ahead of time keep an early record needed', () => {
  const whole = new PartitionAggregator(settings, freshCheckpoint(0));
  run(whole, 0, 4);
  const { checkpoint, position } = whole.drain();
  expect([checkpoint.restoreFrom, position]).toEqual([0, 4]);

  const revived = new PartitionAggregator(settings, checkpoint);
  run(revived, 0, 4);
  revived.endRestore();
  run(whole, 4, 5);
  run(revived, 4, 5);
  const expected = whole.drain().checkpoint;
  expect(expected).toMatchObject({ restoreFrom: 2, watermarkAtRestoreFrom: minute0 + 30 * second });
  expect(revived.drain().checkpoint).toEqual(expected);
});
