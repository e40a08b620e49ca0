import { expect, it } from 'vitest';
import { StallWatch } from '../../../infra/kafka/stall-watch.ts';

const at = (position: number, end: number) => new Map([['clicks[0]', { position, end }]]);

it('tells a reader that stands still though there is something to read, once the time is over', () => {
  const watch = new StallWatch(20_000);
  expect(watch.check(at(5, 9), 0)).toBeUndefined();
  expect(watch.check(at(5, 12), 19_999)).toBeUndefined();
  expect(watch.check(at(5, 12), 20_000)).toBe('clicks[0] stands at 5 for 20 s, though the log reaches 12');
});

it('is content with any progress, and with nothing to read', () => {
  const watch = new StallWatch(20_000);
  watch.check(at(5, 9), 0);
  expect(watch.check(at(6, 9), 20_000)).toBeUndefined();
  expect(watch.check(at(9, 9), 40_000)).toBeUndefined();
  expect(watch.check(at(9, 10), 80_000)).toBeUndefined();
});

it('begins anew after a reset, and forgets what is no longer read here', () => {
  const watch = new StallWatch(20_000);
  watch.check(at(5, 9), 0);
  watch.reset();
  expect(watch.check(at(5, 9), 30_000)).toBeUndefined();
  watch.check(new Map(), 40_000);
  expect(watch.check(at(5, 9), 60_000)).toBeUndefined();
});
