/** A series that goes on with live events: the latest minutes, what became final, what was restated (its count is asked for again, as is how many late clicks wait). */

/** @import { LiveEvent, Point, SeriesAnswer } from './api-types.ts' */
/** @import { Range } from './range.js' */

/** @typedef {{ range: Range, points: readonly Point[], previous: SeriesAnswer['previous'] }} Series */

const minuteMs = 60_000;

/**
 * Undefined where minutes are missing of which neither the series nor the event tells: they have to be asked for.
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
  const restated = new Set(event.changes.map(change => change.minute));
  /** @type {Point[]} */
  const next = [];
  for (let at = range.from; at < range.to; at += minuteMs) {
    const start = new Date(at).toISOString();
    const point = known.get(start);
    if (point === undefined) return undefined;
    const isRestated = restated.has(start) || point.state === 'restated';
    const state = at + minuteMs > finalUntil ? 'provisional' : isRestated ? 'restated' : 'final';
    next.push({ ...point, state });
  }
  return { range, points: next, previous };
}
