/**
 * Continues a series with live events: with the latest minutes, and with the minutes that became final. An event does not hold
 * the new count of an older minute, nor how many late clicks wait; the page asks for these again.
 */

/** @import { LiveEvent, Point, SeriesAnswer } from './api-types.ts' */
/** @import { Range } from './range.js' */

/** @typedef {{ range: Range, points: readonly Point[], previous: SeriesAnswer['previous'] }} Series */

const minuteMs = 60_000;

/**
 * Undefined if the whole series has to be asked for: a minute is neither in the series nor in the event, or an older minute has
 * become final or restated since the series was read, so that its count may be another one by now. It must not be called final.
 * @param {Series} series
 * @param {LiveEvent} event
 * @param {Range} range
 * @returns {Series | undefined}
 */
export function mergeLive({ points, previous }, event, range) {
  /** @type {Map<string, Point>} */
  const known = new Map(points.map(point => [point.start, point]));
  for (const point of event.minutes) known.set(point.start, point);
  const finalUntil = event.final_until ? Date.parse(event.final_until) : 0;
  const isTold = new Set(event.minutes.map(point => point.start));
  const restated = new Set(event.changes.map(change => change.minute));
  /** @type {Point[]} */
  const next = [];
  for (let at = range.from; at < range.to; at += minuteMs) {
    const start = new Date(at).toISOString();
    const point = known.get(start);
    if (point === undefined) return undefined;
    const isRestated = restated.has(start) || point.state === 'restated';
    const state = at + minuteMs > finalUntil ? 'provisional' : isRestated ? 'restated' : 'final';
    if (state !== 'provisional' && state !== point.state && !isTold.has(start)) return undefined;
    next.push({ ...point, state });
  }
  return { range, points: next, previous };
}
