/**
 * Decides how far back a recount may go. ClickHouse drops raw clicks after 35 days (the TTL of `click_raw`), but keeps
 * their counts for longer. A recount of a minute whose clicks are gone would replace true numbers by zeroes.
 */
export function rawSince(now: number): number {
  return Math.ceil((now - recountableDays * dayMs) / 60_000) * 60_000;
}

/**
 * Returns whether the clicks of a minute are still there when its job runs. `rawSince` leaves a day in reserve, and most
 * of it may pass while the job waits.
 */
export function isRawKept(minute: number, now: number): boolean {
  return minute >= now - (recountableDays * dayMs + 20 * 3_600_000);
}

/** One day less than clicks are kept, because a job takes time. */
export const recountableDays = 34;
const dayMs = 86_400_000;
