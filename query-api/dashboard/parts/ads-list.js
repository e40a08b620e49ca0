/** All ads with such clicks in the range, page by page, or those of them with a text in their id. */
import { filterOf, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { counted, countryName, number, shownZone, span } from '../format.js';
import { queryOf, rangeOf } from '../range.js';
import { noneFound } from './ad-search.js';
import { createCard } from './card.js';
import { stateMark } from './state-mark.js';
import { tableOf } from './table.js';

const perPage = 50;

export function createAdsList() {
  let address = {};
  // Cursors of the pages up to this one: all are of the minutes that the first one was of.
  let cursors = [undefined];
  let range;
  const input = h('input', {
    type: 'search',
    name: 'contains',
    placeholder: 'A part of the id',
    'aria-label': 'Only ads with this in their id',
    maxlength: '128',
    spellcheck: 'false',
    autocomplete: 'off',
  });
  const turn = (text, onclick) => h('button', { type: 'button', disabled: true, onclick }, text);
  const back = turn('Previous', () => page(() => cursors.pop()));
  const on = turn('Next', () => page(() => cursors.push(next)));
  let next;
  const card = createCard({
    title: 'All ads',
    width: 'w8',
    isFlush: true,
    actions: [input, back, on],
    takes: 'ads',
    empty: () =>
      input.value.trim() !== ''
        ? noneFound(isFiltered(address))
        : `No ad has clicks${isFiltered(address) ? ' of the chosen country and filter' : ''} in this range.`,
    async load(signal) {
      const contains = input.value.trim();
      const asked = { ...queryOf(range), ...filterOf(address), contains, cursor: cursors.at(-1), limit: perPage };
      const answer = await get('/v1/ads', asked, signal);
      next = answer.next_cursor;
      back.disabled = cursors.length === 1;
      on.disabled = next === null;
      const first = (cursors.length - 1) * perPage;
      const isAll = cursors.length === 1 && next === null;
      const sum = answer.ads.reduce((all, ad) => all + ad.count, 0);
      const shown = isAll
        ? `${counted(answer.ads.length, 'ad', 'ads')} with ${counted(sum, 'click', 'clicks')}`
        : `ads ${number(first + 1)} to ${number(first + answer.ads.length)}, most clicks first`;
      const whose = address.country ? `, ${countryName(address.country)}` : '';
      card.note(`${span(range.from, range.to)}${whose}: ${shown} `, stateMark(answer.state, answer.pending_late));
      if (answer.ads.length === 0) return undefined;
      return tableOf(
        'All ads',
        columnsOf(address),
        answer.ads.map((ad, i) => ({ rank: first + i + 1, ...ad })),
      );
    },
  });
  function page(move) {
    move();
    card.renew();
  }
  function renew() {
    cursors = [undefined];
    range = rangeOf(address, shownZone());
    card.renew();
  }
  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(renew, 250);
  });
  return {
    element: card.element,
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

const columnsOf = address => [
  { head: 'Rank', isNumber: true, value: row => row.rank },
  {
    head: 'Ad',
    value: row => row.ad_id,
    cell: row => h('a', { class: 'mono', href: hrefOf({ ...address, view: 'ad', ad: row.ad_id }) }, row.ad_id),
  },
  { head: 'Clicks', isNumber: true, value: row => row.count },
];
