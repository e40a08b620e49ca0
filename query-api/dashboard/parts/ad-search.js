/** Finds an ad by any part of its id, among the ads with clicks in the range. It is a combobox as WAI-ARIA defines it. */
import { get, messageOf } from '../api.js';
import { h } from '../dom.js';
import { counted } from '../format.js';

/** @import { Answer, Query } from '../api-types.ts' */

/** @typedef {Answer<'GET', '/v1/ads'>['ads']} FoundAds */

/**
 * `query()` gives the range and the filters of the search. `isFiltered()` says whether there are filters.
 * @param {(ad: string) => void} onChoose
 * @param {{ query(): Query<'/v1/ads'>, isFiltered(): boolean }} asked
 */
export function createAdSearch(onChoose, { query, isFiltered }) {
  const input = h('input', {
    type: 'search',
    name: 'ad',
    placeholder: 'Find an ad by a part of its id…',
    'aria-label': 'Find an ad by a part of its id',
    role: 'combobox',
    autocomplete: 'off',
    spellcheck: 'false',
    'aria-controls': 'ads',
    'aria-expanded': 'false',
    'aria-autocomplete': 'list',
    maxlength: '128',
  });
  /** @type {AbortController | undefined} */
  let asked;
  /** @param {string} ad */
  const choose = ad => {
    asked?.abort();
    found.close();
    if (ad !== '') onChoose(ad);
  };
  const found = createFoundAds(input, choose);
  const search = async () => {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    try {
      const { ads } = await get('/v1/ads', { contains: input.value.trim(), ...query(), limit: 12 }, signal);
      if (!signal.aborted && document.activeElement === input) found.show(ads, noneFound(isFiltered()));
    } catch (error) {
      if (signal.aborted) return;
      found.close();
      found.say(`The search for ads has failed: ${messageOf(error)}`);
    }
  };

  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  input.addEventListener('focus', search);
  input.addEventListener('blur', () => setTimeout(found.close, 120));
  input.addEventListener('keydown', event => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      found.step(event.key === 'ArrowDown' ? 1 : -1);
    } else if (event.key === 'Enter') choose(found.marked() ?? input.value.trim());
    else if (event.key === 'Escape') found.close();
  });
  return {
    element: h('div', { class: 'suggest' }, input, found.elements),
    /** @param {string | undefined} ad */
    show: ad => {
      input.value = ad ?? '';
    },
  };
}

/**
 * The list of found ads under the field, and the message that stands there if none was found.
 * @param {HTMLInputElement} input
 * @param {(ad: string) => void} choose
 */
function createFoundAds(input, choose) {
  const list = h('ul', { id: 'ads', role: 'listbox', 'aria-label': 'Ads', hidden: true });
  const news = h('p', { class: 'notice', role: 'status', hidden: true });
  /** @type {FoundAds} */
  let found = [];
  let at = -1;
  /** @param {string} text */
  const say = text => {
    news.textContent = text;
    news.hidden = text === '';
  };
  return {
    elements: [list, news],
    say,
    /** The ad that the arrow keys have marked. */
    marked: () => found[at]?.ad_id,
    /** @param {1 | -1} by */
    step(by) {
      if (found.length === 0) return;
      at = (at + by + found.length) % found.length;
      for (const [i, item] of [...list.children].entries()) item.setAttribute('aria-selected', String(i === at));
      list.children[at]?.scrollIntoView({ block: 'nearest' });
      input.setAttribute('aria-activedescendant', `ads-${at}`);
    },
    /** @param {FoundAds} ads @param {string} none */
    show(ads, none) {
      found = ads;
      at = -1;
      list.replaceChildren(
        ...ads.map(({ ad_id, count }, i) =>
          h(
            'li',
            { id: `ads-${i}`, role: 'option', 'aria-selected': 'false', onpointerdown: () => choose(ad_id) },
            h('span', { class: 'mono' }, ad_id),
            h('span', { class: 'muted' }, counted(count, 'click', 'clicks')),
          ),
        ),
      );
      list.hidden = ads.length === 0;
      input.setAttribute('aria-expanded', String(ads.length > 0));
      say(ads.length > 0 ? '' : none);
    },
    close() {
      list.hidden = true;
      news.hidden = true;
      at = -1;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    },
  };
}

/** @param {boolean} isFiltered */
export function noneFound(isFiltered) {
  return isFiltered
    ? 'No ad with this text in its id has clicks in this range that fit the chosen country and filter.'
    : 'No ad with this text in its id has clicks in this range.';
}
