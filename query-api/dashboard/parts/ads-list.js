/** All ads with clicks in the range, page by page, or those with a text in their id. */
import { filterOf, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { number, shortTime, shownZone } from '../format.js';
import { queryOf, rangeOf } from '../range.js';
import { createCard } from './card.js';
import { tableOf } from './table.js';

/** @import { Address } from '../address.js' */
/** @import { Answer } from '../api-types.ts' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

/** @typedef {Answer<'GET', '/v1/ads'>['ads'][number] & { readonly rank: number }} RankedAd */

const perPage = 50;

export function createAdsList() {
  /** @type {Address} */
  let address = {};
  // Cursors of the pages up to this one: all are of the minutes that the first one was of.
  /** @type {(string | undefined)[]} */
  let cursors = [undefined];
  let range = rangeOf(address, shownZone());
  const input = h('input', {
    type: 'search',
    name: 'contains',
    placeholder: 'A part of the id',
    'aria-label': 'Only ads with this in their id',
    maxlength: '128',
    spellcheck: 'false',
    autocomplete: 'off',
  });
  /** @param {string} text @param {() => void} onclick */
  const turn = (text, onclick) => h('button', { type: 'button', disabled: true, onclick }, text);
  const back = turn('Previous', () => page(() => cursors.pop()));
  const on = turn('Next', () => page(() => cursors.push(next ?? undefined)));
  /** @type {string | null | undefined} */
  let next;
  /** @type {Card} */
  const card = createCard({
    title: 'All ads',
    isFlush: true,
    actions: [input, back, on],
    takes: 'ads',
    empty: () =>
      input.value.trim() === ''
        ? 'No ad has clicks in this range.'
        : 'No ad with clicks in this range has that in its id.',
    async load(signal) {
      const contains = input.value.trim();
      const asked = { ...queryOf(range), cursor: cursors.at(-1) };
      const answer =
        contains === ''
          ? await get('/v1/ads/popular_ads', { ...asked, count: perPage, ...filterOf(address) }, signal)
          : await get('/v1/ads', { ...asked, limit: perPage, contains }, signal);
      next = answer.next_cursor;
      back.disabled = cursors.length === 1;
      on.disabled = next === null;
      const first = (cursors.length - 1) * perPage;
      const whose = contains !== '' && isFiltered(address) ? ', of all countries and filters' : '';
      card.note(
        `${shortTime(range.from)} to ${shortTime(range.to)}, most clicks first, ${number(first + 1)} to ${number(first + answer.ads.length)}${whose}`,
      );
      if (answer.ads.length === 0) return undefined;
      return tableOf(
        'All ads',
        columnsOf(address),
        answer.ads.map((ad, i) => ({ rank: first + i + 1, ...ad })),
      );
    },
  });
  /** @param {() => void} move */
  function page(move) {
    move();
    card.renew();
  }
  function renew() {
    cursors = [undefined];
    range = rangeOf(address, shownZone());
    card.renew();
  }
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(renew, 250);
  });
  return {
    element: card.element,
    /** @param {Address} nextAddress */
    show(nextAddress) {
      address = nextAddress;
      renew();
    },
    close() {
      clearTimeout(timer);
      card.close();
    },
  };
}

/** @param {Address} address @returns {Column<RankedAd>[]} */
const columnsOf = address => [
  { head: 'Rank', isNumber: true, value: row => row.rank },
  {
    head: 'Ad',
    value: row => row.ad_id,
    cell: row => h('a', { class: 'mono', href: hrefOf({ ...address, view: 'ad', ad: row.ad_id }) }, row.ad_id),
  },
  { head: 'Clicks', isNumber: true, value: row => row.count },
];
