/**
 * How far back a recount may go. ClickHouse drops raw clicks after 35 days (`click_raw`'s TTL), but their counts are
 * kept for longer: a recount of a minute whose clicks are gone would make zeroes of true numbers.
 */
export function rawSince(now: number): number {
  return Math.ceil((now - recountableDays * dayMs) / 60_000) * 60_000;
}

/** Whether clicks of a minute are still there when its job runs: most of the day that `rawSince` spares is for waiting. */
export function isRawKept(minute: number, now: number): boolean {
  return minute >= now - (recountableDays * dayMs + 20 * 3_600_000);
}

/** A day less than clicks are kept: a job takes time, too. */
export const recountableDays = 34;
const dayMs = 86_400_000;
