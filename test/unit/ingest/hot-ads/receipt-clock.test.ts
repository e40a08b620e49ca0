import { describe, expect, it } from 'vitest';
import { ReceiptClock } from '../../../../ingest/hot-ads/receipt-clock.ts';

const start = Date.parse('2026-03-01T12:00:00Z');
const [minute, day] = [60_000, 86_400_000];

/** `trueMs` passes; the other times are what clocks are wrong by. The process reads a record every five seconds. */
function world({ ownWrongMs = 0, brokerWrongMs = 0 } = {}) {
  const state = { trueMs: 0, suspendedMs: 0, ownWrongMs, brokerWrongMs };
  const clock = new ReceiptClock({
    wall: () => start + state.trueMs + state.ownWrongMs,
    monotonic: () => 777 + state.trueMs - state.suspendedMs,
  });
  const brokerNow = () => start + state.trueMs + state.brokerWrongMs;
  return {
    ...{ state, clock, brokerNow },
    /** Each record is read `lateMs` after it was appended. */
    pass(ms: number, lateMs = 300) {
      for (const end = state.trueMs + ms; state.trueMs < end; ) {
        state.trueMs += 5_000;
        clock.heard(brokerNow() - lateMs);
      }
    },
    /** By how much the time of receipt is wrong. */
    wrongMs: () => clock.now() - (start + state.trueMs),
  };
}

describe('the time of receipt', () => {
  it.each([0, 900, -50_000, 59_000])('is that of this process if its clock is %d ms ahead of the broker', ms => {
    const { clock, pass, wrongMs } = world({ ownWrongMs: ms });
    pass(minute);
    expect([wrongMs(), clock.doubt()]).toEqual([ms, undefined]);
  });

  it.each([-10 * minute, -3 * day, 5.5 * minute, 10 * minute, 3 * day])(
    'is that of the broker if our clock is wrong by %d ms from the start, or from some moment on',
    ms => {
      const begun = world({ ownWrongMs: ms });
      begun.pass(20_000);
      expect(Math.abs(begun.wrongMs())).toBeLessThan(1_000);
      expect(begun.clock.doubt()).toMatch(ms > 0 ? /ahead of that of the broker/ : /behind that of the broker/);
      const stepped = world();
      stepped.pass(minute);
      stepped.state.ownWrongMs = ms;
      if (ms < 0) expect(Math.abs(stepped.wrongMs())).toBeLessThan(1_000);
      stepped.pass(5_000);
      expect(Math.abs(stepped.wrongMs())).toBeLessThan(1_000);
      stepped.state.ownWrongMs = 0;
      stepped.pass(5_000);
      expect([stepped.wrongMs(), stepped.clock.doubt()]).toEqual([0, undefined]);
    },
  );

  it.each([-10 * minute, 10 * minute])('follows a broker whose clock is put by %d ms, and back', ms => {
    const { state, pass, wrongMs } = world();
    pass(minute);
    state.brokerWrongMs = ms;
    pass(15_000);
    expect(Math.abs(wrongMs() - ms)).toBeLessThan(1_000);
    state.brokerWrongMs = 0;
    pass(15_000);
    expect(wrongMs()).toBe(0);
  });

  it('is ours while only a record was read that had been appended long before, as at a start or after an outage', () => {
    const { state, clock, wrongMs, brokerNow } = world();
    clock.heard(brokerNow() - 60 * minute);
    expect(wrongMs()).toBe(0);
    for (let i = 0; i < 100; i++) {
      state.trueMs += 10;
      clock.heard(brokerNow() - 60 * minute + i * 5_000);
    }
    expect([wrongMs(), clock.doubt()]).toEqual([0, undefined]);
  });

  it('is ours when the machine was suspended for ten minutes, before and after the next record', () => {
    const { state, pass, wrongMs } = world();
    pass(minute);
    state.trueMs += 10 * minute;
    state.suspendedMs += 10 * minute;
    expect(wrongMs()).toBe(0);
    pass(5_000);
    expect(wrongMs()).toBe(0);
    pass(minute);
    expect(wrongMs()).toBe(0);
  });

  it('is still the broker’s while nothing is heard of it, for as long as that may be', () => {
    const { state, pass, wrongMs } = world({ ownWrongMs: -10 * minute });
    pass(minute);
    state.trueMs += 60 * minute;
    expect(Math.abs(wrongMs())).toBeLessThan(1_000);
  });
});
