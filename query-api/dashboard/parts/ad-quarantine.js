/** The lines of one ad in quarantine, and what has happened to them since. */
import { hrefOf } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { counted, number, timeElement } from '../format.js';
import { queryOf } from '../range.js';
import { createCard } from './card.js';
import { lacking } from './lacking.js';
import { createOutcomeChoice, ofAll, outcomeMark, reasonText, sumsOf } from './outcomes.js';
import { tableOf } from './table.js';

/** @import { QuarantineAnswer } from '../api-types.ts' */
/** @import { Address } from '../address.js' */
/** @import { AdParts } from './ad-tiles.js' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

const mostShown = 1_000;

/** @param {AdParts} ad */
export function createAdQuarantine({ address, range, tiles, linesSum }) {
  let limit = 50;
  const outcomeChoice = createOutcomeChoice();
  /** @type {Card} */
  const card = createCard({
    title: 'Quarantine',
    note: 'lines of this ad that were not counted when they arrived',
    width: 'w6',
    isFlush: true,
    actions: [outcomeChoice.element],
    fills: [tiles.part(['never']), linesSum],
    takes: 'ad-quarantine',
    empty: () =>
      address().outcome
        ? 'No line of this ad in the range has this outcome.'
        : 'No line of this ad in the range is in quarantine.',
    async load(signal) {
      const lacks = lacking('read:personal', 'Lines in quarantine may be about persons, and need');
      if (lacks) return lacks;
      const { from, to } = queryOf(range());
      const { ad, outcome } = address();
      const clicked = { clicked_from: from, clicked_to: to };
      const { reasons, lines } = await get('/v1/quarantine', { ad_id: ad, ...clicked, outcome, limit }, signal);
      const sums = sumsOf(reasons);
      const uncounted = reasons.filter(row => row.not_counted > 0);
      const why = uncounted.map(row => `${number(row.not_counted)} ${reasonText(row.reason)}`).join(', ');
      tiles.count('never', sums.not_counted, `${why || 'none'}, all countries`);
      linesSum.show({ restated: sums.restated, waiting: sums.waiting, never: sums.not_counted });
      outcomeChoice.show(outcome, sums);
      card.note(`${counted(sums.lines, 'line', 'lines')} with a click time in the range, all countries`);
      if (lines.length === 0) return undefined;
      const all = outcome ? sums[outcome] : sums.lines;
      return [
        tableOf('Lines in quarantine', columnsOf(address()), lines),
        ofAll(lines.length, all, limit < mostShown && showMore),
      ];
    },
  });
  function showMore() {
    limit = Math.min(mostShown, limit * 10);
    card.refresh({ isNews: true });
  }
  return card;
}

/** @param {Address} address @returns {Column<QuarantineAnswer['lines'][number]>[]} */
function columnsOf(address) {
  return [
    { head: 'Arrived at', value: row => row.appended_at, cell: row => timeElement(row.appended_at) },
    { head: 'Clicked at', value: row => row.clicked_at, cell: row => timeElement(row.clicked_at) },
    { head: 'Reason', value: row => row.reason, cell: row => reasonText(row.reason) },
    { head: 'Outcome', value: row => row.outcome, cell: row => outcomeMark(row.outcome) },
    {
      head: 'Event id',
      value: row => row.event_id,
      cell: row =>
        h('a', { class: 'mono', href: hrefOf({ ...address, event: row.event_id }) }, row.event_id || 'not readable'),
    },
  ];
}
