import { expect, it, vi } from 'vitest';
import { createWakeUp } from '../../../infra/wake-up.ts';

const never = new AbortController().signal;

it('ends a pause that is under way, and says so', async () => {
  const wakeUp = createWakeUp();
  const paused = wakeUp.pause(2_000, never);
  wakeUp.call();
  expect(await paused).toBe(true);
});

it('keeps a call that comes while nobody pauses for the next pause, and for no other', async () => {
  const wakeUp = createWakeUp();
  wakeUp.call();
  expect(await wakeUp.pause(2_000, never)).toBe(true);
  expect(await wakeUp.pause(1, never)).toBe(false);
});

it('pauses for its time where nobody calls, and leaves no timer behind', async () => {
  vi.useFakeTimers();
  try {
    const wakeUp = createWakeUp();
    const ended = vi.fn();
    void wakeUp.pause(1_000, never).then(ended);
    await vi.advanceTimersByTimeAsync(999);
    expect(ended).not.toHaveBeenCalled();
    await vi.advanceTimersByTimeAsync(1);
    expect(ended).toHaveBeenCalledWith(false);
    const woken = wakeUp.pause(1_000, never);
    wakeUp.call();
    await woken;
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
