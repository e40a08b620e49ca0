/** The length of a window. Windows are tumbling minutes, half-open [start, start + 60 s), in epoch ms. */
export const windowMs = 60_000;

export function windowStartOf(eventTime: number): number {
  return eventTime - (eventTime % windowMs);
}

/** A window is final, and its state is dropped, once the watermark has passed its end by the allowed lateness. */
export function isFinal(windowStart: number, watermark: number, allowedLatenessMs: number): boolean {
  return windowStart + windowMs + allowedLatenessMs <= watermark;
}

/** All windows that end at or before the returned time are final. */
export function finalUntil(watermark: number, allowedLatenessMs: number): number {
  return windowStartOf(Math.max(0, watermark - allowedLatenessMs));
}
