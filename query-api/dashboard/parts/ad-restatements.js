/** The restatements of one ad: each change of a final count, with the count before and after it. */
import { hrefOf } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { counted, signed, timeElement } from '../format.js';
import { queryOf } from '../range.js';
import { createCard } from './card.js';
import { ofAll } from './outcomes.js';
import { changeColumn, tableOf } from './table.js';

/** @import { Answer } from '../api-types.ts' */
/** @import { AdParts } from './ad-tiles.js' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

const mostShown = 10_000;

/** @param {AdParts} ad */
export function createAdRestatements({ address, range, tiles, linesSum }) {
  let limit = 200;
  /** @type {Card} */
  const card = createCard({
    title: 'Restatements',
    width: 'w6',
    isFlush: true,
    fills: [tiles.part(['restated']), linesSum],
    takes: 'ad-restatements',
    empty: () => {
      const { country } = address();
      return `No final count of this ad${country ? ` in ${country}` : ''} was changed in the range.`;
    },
    async load(signal) {
      const { ad = '', country, filter } = address();
      const path = /** @type {const} */ (`/v1/ads/${encodeURIComponent(ad)}/restatements`);
      const query = { ...queryOf(range()), country, order: /** @type {const} */ ('newest'), limit };
      const { total, restatements: rows } = await get(path, query, signal);
      linesSum.show({ added: total.added, addedDuplicates: total.added_duplicates });
      tiles.count('restated', total.added, counted(total.changes, 'change of a count', 'changes of counts'), signed);
      card.note(
        `${counted(total.changes, 'change', 'changes')} of final counts in the range, ${signed(total.added)} clicks${filter ? ', without the filter' : ''}`,
      );
      if (rows.length === 0) return undefined;
      return [tableOf('Restatements', columns, rows), ofAll(rows.length, total.changes, limit < mostShown && showMore)];
    },
  });
  function showMore() {
    limit = Math.min(mostShown, limit * 10);
    card.refresh({ isNews: true });
  }
  return card;
}

/** @type {Column<Answer<'GET', `/v1/ads/${string}/restatements`>['restatements'][number]>[]} */
const columns = [
  { head: 'Minute', value: row => row.minute, cell: row => timeElement(row.minute) },
  { head: 'Country', value: row => row.country },
  { head: 'Before', isNumber: true, value: row => row.before },
  { head: 'After', isNumber: true, value: row => row.after },
  changeColumn,
  { head: 'Net before', isNumber: true, value: row => row.before_net },
  { head: 'Net after', isNumber: true, value: row => row.after_net },
  { head: 'Rules', value: rulesText },
  { head: 'Reason', value: row => row.reason, cell: row => h('span', { class: 'tag warn' }, row.reason) },
  { head: 'Restated at', value: row => row.at, cell: row => timeElement(row.at) },
  {
    head: 'Job',
    value: row => row.job,
    cell: row => h('a', { href: hrefOf({ view: 'replay', job: row.job }) }, `…${row.job.slice(-6)}`),
  },
];

/** The version of the rules by which the clicks are judged, and that of before if it was another one.
 * @param {{ readonly before_rules: number, readonly after_rules: number }} row */
function rulesText({ before_rules, after_rules }) {
  const [before, after] = [before_rules, after_rules].map(version => (version === 0 ? 'none' : String(version)));
  return before === after ? after : `${before} → ${after}`;
}
