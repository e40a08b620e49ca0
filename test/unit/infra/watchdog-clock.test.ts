import { describe, expect, it } from 'vitest';
import { WatchdogClock } from '../../../infra/watchdog-clock.ts';

const first = { nowMs: 0, beats: 0, waitedMs: 0 };

describe('the watchdog’s clock', () => {
  it('counts the turns in which the event loop did not beat', () => {
    const clock = new WatchdogClock(100, first);
    const stood = [100, 200, 300].map(nowMs => clock.stoodMs({ nowMs, beats: 0, waitedMs: 0 }));
    expect(stood).toEqual([100, 200, 300]);
  });

  it('begins anew with each beat', () => {
    const clock = new WatchdogClock(100, first);
    clock.stoodMs({ nowMs: 100, beats: 0, waitedMs: 0 });
    expect(clock.stoodMs({ nowMs: 200, beats: 1, waitedMs: 0 })).toBe(0);
    expect(clock.stoodMs({ nowMs: 300, beats: 1, waitedMs: 0 })).toBe(100);
  });

  it('takes a turn that comes an hour late for one turn: it was stopped itself', () => {
    const clock = new WatchdogClock(100, first);
    expect(clock.stoodMs({ nowMs: 3_600_000, beats: 0, waitedMs: 0 })).toBe(100);
  });

  it('leaves out the time in which the thread waited for a free processor', () => {
    const clock = new WatchdogClock(100, first);
    expect(clock.stoodMs({ nowMs: 100, beats: 0, waitedMs: 70 })).toBe(30);
    expect(clock.stoodMs({ nowMs: 200, beats: 0, waitedMs: 700 })).toBe(30);
    expect(clock.stoodMs({ nowMs: 300, beats: 0, waitedMs: 700 })).toBe(130);
  });
});
