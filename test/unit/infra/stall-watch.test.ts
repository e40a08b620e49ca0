import { expect, it, vi } from 'vitest';
import { noteTrouble } from '../../../infra/kafka/reading-trouble.ts';
import { StallWatch, watchStalls } from '../../../infra/kafka/stall-watch.ts';
import { createLog } from '../../../infra/log.ts';

const limits = { silentMs: 20_000, troubledMs: 60_000 };
const at = (position: number, end: number, isWaiting = false) => new Map([['clicks[0]', { position, end, isWaiting }]]);

it('tells a reader that stands still in silence though there is something to read, once the time is over', () => {
  const watch = new StallWatch(limits);
  expect(watch.check(at(5, 9), 0, 0)).toBeUndefined();
  expect(watch.check(at(5, 12), 19_999, 0)).toBeUndefined();
  expect(watch.check(at(5, 12), 20_000, 0)).toBe(
    'clicks[0] has not moved from 5 for 20 s, although the log reaches 12',
  );
});

it('is content with any progress, and with nothing to read', () => {
  const watch = new StallWatch(limits);
  watch.check(at(5, 9), 0, 0);
  expect(watch.check(at(6, 9), 20_000, 0)).toBeUndefined();
  expect(watch.check(at(9, 9), 40_000, 0)).toBeUndefined();
  expect(watch.check(at(9, 10), 80_000, 0)).toBeUndefined();
});

it('begins anew after a reset, and forgets what is no longer read here', () => {
  const watch = new StallWatch(limits);
  watch.check(at(5, 9), 0, 0);
  watch.reset();
  expect(watch.check(at(5, 9), 30_000, 0)).toBeUndefined();
  watch.check(new Map(), 40_000, 0);
  expect(watch.check(at(5, 9), 60_000, 0)).toBeUndefined();
});

it('leaves a reader its time after its last trouble, as in a failover', () => {
  const watch = new StallWatch(limits);
  watch.check(at(5, 9), 0, 0);
  // A broker is gone for 15 s, then the group is joined anew.
  expect(watch.check(at(5, 9), 20_000, 15_000)).toBeUndefined();
  expect(watch.check(at(5, 9), 30_000, 18_000)).toBeUndefined();
  expect(watch.check(at(5, 9), 37_999, 18_000)).toBeUndefined();
  expect(watch.check(at(5, 9), 38_000, 18_000)).toBe(
    'clicks[0] has not moved from 5 for 38 s, although the log reaches 9',
  );
});

it('gives up a reader that finds trouble without end while the partitions’ leaders answer', () => {
  const watch = new StallWatch(limits);
  watch.check(at(5, 9), 0, 0);
  for (let nowMs = 5_000; nowMs < 60_000; nowMs += 5_000) {
    expect(watch.check(at(5, 9), nowMs, nowMs - 100)).toBeUndefined();
  }
  expect(watch.check(at(5, 9), 60_000, 59_900)).toBe(
    'clicks[0] has not moved from 5 for 60 s, although the log reaches 9',
  );
});

it('gives one that waits for something else than the log the longer time', () => {
  const watch = new StallWatch(limits);
  watch.check(at(5, 9), 0, 0);
  expect(watch.check(at(5, 9, true), 59_999, 0)).toBeUndefined();
  expect(watch.check(at(5, 9, true), 60_000, 0)).toContain('clicks[0] has not moved from 5');
});

/** When the watch calls, in its own time; undefined if not within three minutes. */
async function calledAfterMs(group: string, readings: () => Promise<ReturnType<typeof at>>, troubleUntilMs = 0) {
  vi.useFakeTimers();
  try {
    let calledAt: number | undefined;
    const startedAt = performance.now();
    using _watch = watchStalls({
      ...{ group, readings, log: createLog('test', 'silent') },
      onStall: () => {
        calledAt ??= performance.now() - startedAt;
      },
    });
    for (let ms = 0; ms < 180_000 && calledAt === undefined; ms += 1_000) {
      if (ms < troubleUntilMs) noteTrouble(group);
      await vi.advanceTimersByTimeAsync(1_000);
    }
    return calledAt;
  } finally {
    vi.useRealTimers();
  }
}

it('ends a process with a reader that hangs within half a minute', async () => {
  expect(await calledAfterMs('hung', async () => at(5, 9))).toBeLessThanOrEqual(30_000);
});

it('asks a third as often where everything has been read, and notices a reader that hangs from then on', async () => {
  let end = 5;
  let asked = 0;
  const calledAt = await calledAfterMs('at rest', async () => {
    asked++;
    if (asked === 5) end = 9;
    return at(5, end);
  });
  // The fifth look is at 65 s; a reader has 20 s.
  expect(calledAt).toBe(65_000 + 20_000);
  expect(asked).toBe(9);
});

it('lets a failover of 15 s pass, and 20 s after it', async () => {
  expect(await calledAfterMs('failing over', async () => at(5, 9), 15_000)).toBeGreaterThan(34_000);
});

it('ends a process that never learns how far the log reaches, as no answer comes', async () => {
  const called = await calledAfterMs('deaf', () => new Promise(() => {}));
  expect(called).toBeGreaterThanOrEqual(90_000);
  expect(called).toBeLessThanOrEqual(100_000);
});

it('leaves a reader alone while the brokers say that they cannot answer', async () => {
  expect(await calledAfterMs('away', () => Promise.reject(new Error('no leader')))).toBeUndefined();
});
