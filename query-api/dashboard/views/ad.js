/** One ad: its clicks over time, its restatements, its lines in quarantine, and the trail of one click. Without an ad: all ads. */

import { filterOf, go, isFiltered } from '../address.js';
import { h, setText } from '../dom.js';
import { shownZone } from '../format.js';
import { createAdClicks } from '../parts/ad-clicks.js';
import { createAdQuarantine } from '../parts/ad-quarantine.js';
import { createAdRestatements } from '../parts/ad-restatements.js';
import { createAdSearch } from '../parts/ad-search.js';
import { createAdTiles } from '../parts/ad-tiles.js';
import { createAdsList } from '../parts/ads-list.js';
import { createClickTrail } from '../parts/click-trail.js';
import { createCountries } from '../parts/countries.js';
import { createLinesSum } from '../parts/lines-sum.js';
import { createRangeControls } from '../parts/range-controls.js';
import { every } from '../poll.js';
import { queryOf, rangeOf } from '../range.js';

/** @import { Address } from '../address.js' */
/** @import { Range } from '../range.js' */

/** @param {HTMLElement} root */
export function mount(root) {
  /** @type {Address} */
  let current = {};
  const address = () => current;
  const range = () => rangeOf(current, shownZone());
  const controls = createRangeControls();
  const search = createAdSearch(ad => go({ ad }), {
    query: () => ({ ...queryOf(range()), ...filterOf(current) }),
    isFiltered: () => isFiltered(current),
  });
  const heading = h('h1', {}, 'Ads');
  const ofAll = createAllAds({ address, offer: controls.offerCountries });
  const ofOne = createOneAd({ address, range, offer: controls.offerCountries });
  const trail = createClickTrail();
  root.append(
    h('div', { class: 'top' }, heading, search.element, controls.elements),
    ofAll.element,
    ofOne.element,
    trail.element,
  );
  const refresh = () => {
    if (current.ad) ofOne.refresh();
  };
  const stop = every(5_000, () => range().isMoving && refresh());
  // A range that has ended changes only by restatements, so it is asked for less often.
  const stopRarely = every(15_000, () => !range().isMoving && refresh());
  return {
    /** @param {Address} next */
    update(next) {
      current = next;
      setText(heading, next.ad ?? 'Ads');
      search.show(next.ad);
      controls.show(next);
      ofAll.element.hidden = Boolean(next.ad);
      ofOne.element.hidden = !next.ad;
      if (next.ad) ofOne.renew();
      else ofAll.show(next);
      trail.show(next.event);
    },
    close() {
      stop();
      stopRarely();
      ofAll.close();
      ofOne.close();
    },
  };
}

/** @param {{ address(): Address, offer(codes: readonly string[]): void }} options */
function createAllAds(options) {
  const list = createAdsList();
  const countries = createCountries(options);
  return {
    element: h('div', { class: 'grid' }, list.element, countries.element),
    /** @param {Address} next */
    show(next) {
      list.show(next);
      countries.renew();
    },
    close() {
      list.close();
      countries.close();
    },
  };
}

/** @param {{ address(): Address, range(): Range, offer(codes: readonly string[]): void }} options */
function createOneAd({ address, range, offer }) {
  const tiles = createAdTiles();
  const linesSum = createLinesSum();
  const shared = { address, range, tiles, linesSum };
  const cards = [
    createAdClicks(shared),
    createAdRestatements(shared),
    createAdQuarantine(shared),
    createCountries({ address, offer, adId: () => address().ad, width: 'w12' }),
  ];
  return {
    element: h(
      'div',
      { class: 'grid' },
      tiles.element,
      linesSum.element,
      cards.map(card => card.element),
    ),
    renew() {
      for (const card of cards) card.renew();
    },
    refresh() {
      for (const card of cards) card.refresh();
    },
    close() {
      for (const card of cards) card.close();
    },
  };
}
