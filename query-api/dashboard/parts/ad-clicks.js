/** The chart of one ad's clicks. It also fills the tiles of the ad that hold the sums of the chart. */
import { filterOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { number, shownZone, span } from '../format.js';
import { queryOf } from '../range.js';
import { createCard } from './card.js';
import { comparison } from './comparison.js';
import { grossText, reasonsText } from './net-and-gross.js';
import { stateMark } from './state-mark.js';

/** @import { AdParts } from './ad-tiles.js' */
/** @import { Card } from './card.js' */

const dayMs = 86_400_000;

/** @param {AdParts} ad */
export function createAdClicks({ address, range, tiles, linesSum }) {
  const chart = createChart({ label: 'Clicks of the ad over time' });
  /** @type {Card} */
  const card = createCard({
    title: 'Clicks',
    actions: [legend()],
    fills: [tiles.part(['count', 'invalid', 'duplicates', 'late', 'waiting']), chart, linesSum],
    holds: chart.element,
    takes: 'ad-clicks',
    async load(signal) {
      const { from, to, granularity } = range();
      const ad = address().ad ?? '';
      const query = { ...queryOf({ from, to }), granularity, timezone: shownZone(), ...filterOf(address()) };
      // A stored filter may be about users or addresses, and then nobody knows which clicks are invalid.
      const reasons = address().filter === undefined ? true : undefined;
      const answer = await get('/v1/ads/series', { ad_id: ad, ...query, reasons, compare: 'previous' }, signal);
      const [series] = answer.series;
      if (series === undefined) return undefined;
      const { points, count, gross, invalid, duplicates, late } = series;
      const elsewhere = gross === 0 ? await clicksElsewhere(ad, signal) : '';
      chart.show({ points, from, to });
      card.note(`per ${granularity}, ${span(from, to)}`);
      const beside = elsewhere ? h('span', { class: 'bad-text' }, elsewhere) : comparison(count, answer.previous);
      tiles.count('count', count, [grossText(series), stateMark(answer.state, answer), beside]);
      tiles.count('invalid', invalid, invalidText(series));
      tiles.count('duplicates', duplicates, 'further copies of the same clicks');
      tiles.count('late', late, late === null ? 'not known for this filter' : 'arrived after their minute had closed');
      tiles.count('waiting', answer.pending_late, 'for a restatement, all countries');
      linesSum.show({ isFiltered: isFiltered(address()), count: gross - duplicates, invalid, duplicates });
      return chart.element;
    },
  });
  return {
    ...card,
    close() {
      card.close();
      chart.close();
    },
  };
}

/** @param {{ readonly invalid: number | null, readonly invalid_by?: Readonly<Record<string, number>> }} series */
function invalidText({ invalid, invalid_by = {} }) {
  if (invalid === null) return 'not known for this filter';
  return reasonsText(invalid_by) || 'by the rules of invalid traffic';
}

/**
 * Says of an ad without clicks in the range whether it has any at all, as far as one request may look back.
 * @param {string} ad
 * @param {AbortSignal} signal
 */
async function clicksElsewhere(ad, signal) {
  const now = Math.floor(serverTime() / 60_000) * 60_000 + 60_000;
  const query = queryOf({ from: now - 31 * dayMs, to: now });
  const { count, gross } = await get(`/v1/ads/${encodeURIComponent(ad)}/aggregated_count`, query, signal);
  if (gross === 0) return 'No clicks yet: none in the last 31 days. Check the spelling of the id.';
  return `No clicks in this range; ${number(count)} in the last 31 days.`;
}
