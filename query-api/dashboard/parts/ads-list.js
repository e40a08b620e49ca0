/** The list of all ads with clicks in the range, page by page, or only of the ads with a text in their id. */
import { filterOf, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { counted, countryName, number, shownZone, span } from '../format.js';
import { queryOf, rangeOf } from '../range.js';
import { noneFound } from './ad-search.js';
import { createCard } from './card.js';
import { stateMark } from './state-mark.js';
import { tableOf } from './table.js';

/** @import { Address } from '../address.js' */
/** @import { Answer } from '../api-types.ts' */
/** @import { Card } from './card.js' */
/** @import { Column } from './table.js' */

/** @typedef {Answer<'GET', '/v1/ads'>['ads'][number]} FoundAd */
/** @typedef {FoundAd & { readonly rank: number }} RankedAd */

const perPage = 50;

export function createAdsList() {
  /** @type {Address} */
  let address = {};
  // All pages are of the minutes of the first one, also if the range moves meanwhile.
  let range = rangeOf(address, shownZone());
  const filter = createIdFilter(renew);
  const pages = createPages(() => card.renew());
  /** @type {Card} */
  const card = createCard({
    title: 'All ads',
    width: 'w8',
    isFlush: true,
    actions: [filter.element, ...pages.buttons],
    takes: 'ads',
    empty: () =>
      filter.text() !== ''
        ? noneFound(isFiltered(address))
        : `No ad has clicks in this range${isFiltered(address) ? ' that fit the chosen country and filter' : ''}.`,
    async load(signal) {
      const part = { contains: filter.text() };
      const asked = { ...queryOf(range), ...filterOf(address), ...part, cursor: pages.cursor(), limit: perPage };
      const { ads, state, next_cursor, ...pending } = await get('/v1/ads', asked, signal);
      const first = pages.answered(next_cursor);
      const whose = address.country ? `, ${countryName(address.country)}` : '';
      const shown = pages.isOnly() ? sumText(ads) : placesText(first, ads.length);
      card.note(`${span(range.from, range.to)}${whose}: ${shown} `, stateMark(state, pending));
      if (ads.length === 0) return undefined;
      const ranked = ads.map((ad, i) => ({ rank: first + i, ...ad }));
      return tableOf('All ads', columnsOf(address), ranked);
    },
  });
  function renew() {
    range = rangeOf(address, shownZone());
    pages.restart();
    card.renew();
  }
  return {
    element: card.element,
    /** @param {Address} next */
    show(next) {
      address = next;
      renew();
    },
    close() {
      filter.close();
      card.close();
    },
  };
}

/** The field that limits the list to ads with a text in their id. @param {() => void} onInput */
function createIdFilter(onInput) {
  const element = h('input', {
    type: 'search',
    name: 'contains',
    placeholder: 'A part of the id',
    'aria-label': 'Only ads with this text in their id',
    maxlength: '128',
    spellcheck: 'false',
    autocomplete: 'off',
  });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  element.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(onInput, 250);
  });
  return {
    element,
    text: () => element.value.trim(),
    close: () => clearTimeout(timer),
  };
}

/** Two buttons, and the cursors of all pages up to the current one. @param {() => void} onTurn */
function createPages(onTurn) {
  /** @type {(string | undefined)[]} */
  let cursors = [undefined];
  /** @type {string | null} */
  let next = null;
  /** @param {string} text @param {() => unknown} turn */
  const button = (text, turn) => {
    const onclick = () => {
      turn();
      onTurn();
    };
    return h('button', { type: 'button', disabled: true, onclick }, text);
  };
  const back = button('Previous', () => cursors.pop());
  const on = button('Next', () => cursors.push(next ?? undefined));
  return {
    buttons: [back, on],
    cursor: () => cursors.at(-1),
    /** Whether the current page holds all ads. */
    isOnly: () => cursors.length === 1 && next === null,
    /** Takes the cursor of the next page from an answer. Gives the rank of the first ad of this page. @param {string | null} nextCursor */
    answered(nextCursor) {
      next = nextCursor;
      back.disabled = cursors.length === 1;
      on.disabled = next === null;
      return (cursors.length - 1) * perPage + 1;
    },
    restart() {
      cursors = [undefined];
    },
  };
}

/** @param {readonly FoundAd[]} ads */
function sumText(ads) {
  const sum = ads.reduce((all, ad) => all + ad.count, 0);
  return `${counted(ads.length, 'ad', 'ads')} with ${counted(sum, 'click', 'clicks')}`;
}

/** @param {number} first @param {number} shown */
function placesText(first, shown) {
  return `ads ${number(first)} to ${number(first + shown - 1)}, most clicks first`;
}

/** @param {Address} address @returns {Column<RankedAd>[]} */
const columnsOf = address => [
  { head: 'Rank', isNumber: true, value: row => row.rank },
  {
    head: 'Ad',
    value: row => row.ad_id,
    cell: row => h('a', { class: 'mono', href: hrefOf({ ...address, view: 'ad', ad: row.ad_id }) }, row.ad_id),
  },
  { head: 'Clicks, net', isNumber: true, value: row => row.count },
  { head: 'Gross', isNumber: true, value: row => row.gross },
  { head: 'Invalid', isNumber: true, value: row => row.invalid },
];
