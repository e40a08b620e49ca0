/**
 * Decides whether a pause is still on that began at a moment which a job runner has written down. It may have been another
 * runner, whose clock was days ahead. Where such a moment lies further ahead of now than the pause is long, the pause is
 * over: otherwise late clicks, for example, would not be counted before the moment has come.
 */
export function isPaused(pauseMs: number, beganAt: number, now: number): boolean {
  return Math.abs(now - beganAt) < pauseMs;
}
