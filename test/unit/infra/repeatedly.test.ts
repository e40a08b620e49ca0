import { expect, it } from 'vitest';
import { repeatedly } from '../../../infra/repeatedly.ts';
import { eventually } from '../../support/wait.ts';

it('repeats its work until it is disposed of, and not after', async () => {
  let turns = 0;
  const loop = repeatedly(async () => {
    turns++;
    return 1;
  });
  await eventually('some turns', () => turns > 3);
  await loop[Symbol.asyncDispose]();
  const before = turns;
  await new Promise(resolve => setTimeout(resolve, 20));
  expect(turns).toBe(before);
});

it('ends at once in a pause, and after the work where that is under way', async () => {
  const pausing = repeatedly(async () => 3_600_000);
  await pausing[Symbol.asyncDispose]();

  const work = Promise.withResolvers<void>();
  let isDone = false;
  const working = repeatedly(async closing => {
    await work.promise;
    isDone = closing.aborted;
    return 3_600_000;
  });
  let isDisposed = false;
  const disposed = working[Symbol.asyncDispose]().then(() => {
    isDisposed = true;
  });
  await new Promise(resolve => setImmediate(resolve));
  expect([isDone, isDisposed]).toEqual([false, false]);
  work.resolve();
  await disposed;
  expect(isDone).toBe(true);
});
