/** The time of the server on a page whose viewer has a wrong clock, or puts it. */
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

interface Clock {
  serverTime(): number;
  hearTime(earliest: number, latest?: number): void;
  thisMoment(): object;
  msSince(moment: object): number;
  watchClock(listener: () => unknown): void;
}
interface Format {
  showTimesIn(zone: string): void;
  local(at: number, form: string): string;
  shortTime(at: number): string;
  span(from: number, to: number): string;
}
const folder = join(import.meta.dirname, '../../../../query-api/dashboard');
const hourMs = 3_600_000;
/** What the clock of the server shows, and the viewer's is a day behind it. */
const server = Date.parse('2026-03-01T10:00:00Z');
const clock: Clock = await import(join(folder, 'clock.js'));
let told: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: server - 24 * hourMs });
  vi.stubGlobal('dispatchEvent', ({ type }: Event) => told.push(type));
  told = [];
  // The clock of the viewer was right until now.
  clock.hearTime(server, server);
  vi.setSystemTime(server);
  clock.hearTime(server, server);
  vi.setSystemTime(server - 24 * hourMs);
  told = [];
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the time of the server', () => {
  it('is learned from an answer as exactly as that tells it, and who shows ranges is told', () => {
    clock.hearTime(server, server + 1_000);
    expect(clock.serverTime()).toBe(server);
    expect(told).toEqual(['clock']);
    vi.advanceTimersByTime(5_400);
    clock.hearTime(server + 5_000, server + 6_000);
    expect(clock.serverTime()).toBe(server + 5_400);
    expect(told).toEqual(['clock']);
  });

  it('of two servers whose clocks differ is that of the last answer, and nothing is shown anew for that', () => {
    clock.hearTime(server, server + 1_000);
    told = [];
    for (let i = 0; i < 4; i++) {
      vi.advanceTimersByTime(5_000);
      const at = server + (i + 1) * 5_000 + (i % 2) * 40_000;
      clock.hearTime(at, at + 1_000);
      expect(Math.abs(clock.serverTime() - at)).toBeLessThanOrEqual(1_000);
    }
    expect(told).toEqual([]);
  });

  it('is never taken from an event that was held back: it was made before it arrived', () => {
    clock.hearTime(server, server + 1_000);
    clock.hearTime(server - 3 * hourMs);
    expect(clock.serverTime()).toBe(server);
    clock.hearTime(server + 1_500);
    expect(clock.serverTime()).toBe(server + 1_500);
  });

  it.each([-3 * hourMs, 20 * 60_000, 24 * hourMs])('is corrected after the clock was put by %i ms', by => {
    let asked = 0;
    clock.hearTime(server, server + 1_000);
    clock.watchClock(() => asked++);
    vi.advanceTimersByTime(1_000);
    vi.setSystemTime(Date.now() + by);
    expect(asked).toBe(0);
    vi.advanceTimersByTime(1_000);
    expect(asked).toBe(1);
    clock.hearTime(server + 2_000, server + 3_100);
    expect(Math.abs(clock.serverTime() - server - 2_500)).toBeLessThanOrEqual(600);
    expect(told).toEqual(['clock', 'clock']);
    vi.advanceTimersByTime(60_000);
    expect(asked).toBe(1);
  });
});

describe('the age of a number', () => {
  it('grows while the computer sleeps, and is not made younger by a clock that is put back', () => {
    const moment = clock.thisMoment();
    vi.advanceTimersByTime(7_000);
    expect(clock.msSince(moment)).toBe(7_000);
    // The steady clock of some browsers stands still during sleep.
    vi.setSystemTime(Date.now() + hourMs);
    expect(clock.msSince(moment)).toBe(hourMs + 7_000);
    vi.setSystemTime(Date.now() - 5 * hourMs);
    expect(clock.msSince(moment)).toBe(7_000);
  });
});

describe('a time', () => {
  it('has its date unless it is today for the server, and its year if that is another one', async () => {
    clock.hearTime(server, server + 1_000);
    const { local, shortTime, showTimesIn, span }: Format = await import(join(folder, 'format.js'));
    showTimesIn('Asia/Kolkata');
    const today = server - 2 * hourMs;
    const [yesterday, lastYear] = [today - 24 * hourMs, Date.parse('2025-12-31T18:29:59Z')];
    expect(local(today, 'seconds')).toBe('13:30:00');
    expect(shortTime(today)).toBe('13:30');
    expect(local(yesterday, 'seconds')).toMatch(/28.*13:30:00/);
    expect(shortTime(yesterday)).toMatch(/28.*13:30/);
    expect(shortTime(yesterday)).not.toContain('2026');
    for (const form of ['seconds', 'day', 'date']) expect(local(lastYear, form)).toContain('2025');
    // In India the year begins at half past six in the evening of UTC.
    expect(local(lastYear + 1_000, 'date')).not.toContain('202');
    expect(span(lastYear - hourMs, today)).toMatch(/2025.* to (?!.*2026)/);
  });
});
