/** The chart of all clicks of the range. It also fills the tiles that hold the sums of the chart, and follows live events. */
import { filterOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { shownZone, span } from '../format.js';
import { queryOf, rangeOf } from '../range.js';
import { mergeLive } from '../series.js';
import { createCard } from './card.js';
import { comparison } from './comparison.js';
import { grossText } from './net-and-gross.js';
import { stateMark } from './state-mark.js';

/** @import { Address } from '../address.js' */
/** @import { LiveEvent, Point } from '../api-types.ts' */
/** @import { Series } from '../series.js' */
/** @import { Card } from './card.js' */
/** @import { Tiles } from './tiles.js' */

/** @param {{ address(): Address, readonly tiles: Tiles<'count' | 'invalid' | 'duplicates' | 'late'> }} options */
export function createClicksChart({ address, tiles }) {
  /** @type {Series | undefined} */
  let series;
  let pending = '';
  const chart = createChart({ label: 'Clicks over time' });
  /** @type {Card} */
  const card = createCard({
    title: 'Clicks',
    actions: [legend()],
    fills: [tiles.part(['count', 'invalid', 'duplicates', 'late']), chart],
    holds: chart.element,
    takes: 'clicks',
    async load(signal) {
      const range = rangeOf(address(), shownZone());
      const shape = { granularity: range.granularity, timezone: shownZone() };
      const query = { ...queryOf(range), ...shape, ...filterOf(address()), compare: /** @type {const} */ ('previous') };
      const answer = await get('/v1/ads/series', query, signal);
      show({ range, points: answer.series[0]?.points ?? [], previous: answer.previous });
      return chart.element;
    },
  });
  /** @param {Series} next */
  function show(next) {
    series = next;
    const { range, points, previous } = next;
    chart.show({ points, from: range.from, to: range.to });
    card.note(`per ${range.granularity}, ${span(range.from, range.to)}`);
    showSums(tiles, points, previous);
  }
  return {
    element: card.element,
    refresh: card.refresh,
    renew() {
      series = undefined;
      card.renew();
    },
    /** @param {LiveEvent} event @param {boolean} hasGap Events before it were missed, and what they would have told. */
    live(event, hasGap) {
      if (!series?.range.isMoving || series.range.granularity !== 'minute' || isFiltered(address())) return;
      const merged = mergeLive(series, event, rangeOf(address(), shownZone(), Date.parse(event.at)));
      if (merged) show(merged);
      // Of older minutes an event says only that something has changed, so the series is asked for again.
      const waiting = `${event.pending_late} ${event.pending_split}`;
      const hasChanged = hasGap || event.changes.length > 0 || waiting !== pending;
      if (!merged || hasChanged) card.refresh({ isNews: true });
      pending = waiting;
    },
    close() {
      card.close();
      chart.close();
    },
  };
}

/**
 * @param {Tiles<'count' | 'invalid' | 'duplicates' | 'late'>} tiles
 * @param {readonly Point[]} points
 * @param {Series['previous']} previous
 */
function showSums(tiles, points, previous) {
  /** @param {'count' | 'gross' | 'invalid' | 'duplicates' | 'late' | 'pending_late' | 'pending_split'} field */
  const sum = field => points.reduce((total, point) => total + (point[field] ?? 0), 0);
  const [count, gross, invalid] = [sum('count'), sum('gross'), sum('invalid')];
  const [duplicates, late] = [sum('duplicates'), sum('late')];
  const pending = { pending_late: sum('pending_late'), pending_split: sum('pending_split') };
  const state = stateMark(stateOf(points), pending);
  tiles.count('count', count, [grossText({ gross, invalid }), state, comparison(count, previous)]);
  tiles.count('duplicates', duplicates, `${shareOf(duplicates, gross)} of gross`);
  // Raw clicks say neither.
  const isKnown = points.every(point => point.late !== null);
  if (isKnown) {
    tiles.count('invalid', invalid, `${shareOf(invalid, gross)} of gross`);
    tiles.count('late', late, `${shareOf(late, gross - duplicates)} of clicks`);
  } else
    for (const key of /** @type {const} */ (['invalid', 'late'])) tiles.count(key, null, 'not known for this filter');
}

/** A sum is as final as the least final of its points. @param {readonly Point[]} points */
function stateOf(points) {
  if (points.some(point => point.state === 'provisional')) return 'provisional';
  return points.some(point => point.state === 'restated') ? 'restated' : 'final';
}

/** @param {number} part @param {number} all */
function shareOf(part, all) {
  return `${((100 * part) / Math.max(1, all)).toFixed(2)} %`;
}
