/** Clicks of the range by country. A click on a country shows only its clicks; a second click shows all again. */
import { hrefOf } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { countryName, number, shownZone } from '../format.js';
import { queryOf, rangeOf } from '../range.js';
import { createCard } from './card.js';
import { createRanks } from './ranks.js';

/** @import { Address } from '../address.js' */
/** @import { Card } from './card.js' */

const listed = 12;

/**
 * `address()` gives the current address. `offer(codes)` takes the countries that have clicks. `adId()` limits the list to one ad.
 * @param {{ address(): Address, offer(codes: readonly string[]): void, adId?: () => string | undefined, width?: string }} options
 */
export function createCountries({ address, offer, adId = () => undefined, width = 'w4' }) {
  let areAll = false;
  const ranks = createRanks({
    label: 'Clicks by country',
    moreTitle: 'Share of the clicks of all countries',
    columns: ['country', 'net'],
    nameOf: countryName,
    hrefOf: country => hrefOf({ ...address(), country: address().country === country ? undefined : country }),
  });
  const more = h('button', { type: 'button', class: 'link', hidden: true, onclick: showAll }, 'Show all');
  /** @type {Card} */
  const card = createCard({
    title: 'Countries',
    note: 'choose one to see only its clicks',
    width,
    isFlush: true,
    takes: 'countries',
    actions: [more],
    empty: 'No clicks in this range.',
    async load(signal) {
      const query = { ...queryOf(rangeOf(address(), shownZone())), filter: address().filter, ad_id: adId() };
      const { countries } = await get('/v1/ads/countries', query, signal);
      offer(countries.map(row => row.country));
      const all = countries.reduce((sum, row) => sum + row.count, 0);
      /** @param {number} count */
      const share = count => `${((100 * count) / Math.max(1, all)).toFixed(1)} %`;
      const items = countries.map(row => ({
        ...{ key: row.country, count: row.count, clicks: row, more: share(row.count) },
        isChosen: row.country === address().country,
      }));
      more.hidden = items.length <= listed;
      more.textContent = areAll ? `Show the first ${listed}` : `Show all ${number(items.length)}`;
      ranks.show(areAll ? items : items.slice(0, listed), items);
      return items.length === 0 ? undefined : ranks.element;
    },
  });
  function showAll() {
    areAll = !areAll;
    card.refresh({ isNews: true });
  }
  return card;
}
