/** Finds an ad by any part of its id, among those with such clicks in the range: a combobox as WAI-ARIA has it. */
import { get } from '../api.js';
import { h } from '../dom.js';
import { number } from '../format.js';

/** `query()`: range and filters of what is asked; `isFiltered()`: whether there are any. */
export function createAdSearch(onChoose, { query, isFiltered }) {
  const list = h('ul', { id: 'ads', role: 'listbox', 'aria-label': 'Ads', hidden: true });
  const news = h('p', { class: 'notice', role: 'status', hidden: true });
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
  let found = [];
  let at = -1;
  let asked;

  const close = () => {
    list.hidden = true;
    news.hidden = true;
    at = -1;
    input.setAttribute('aria-expanded', 'false');
    input.removeAttribute('aria-activedescendant');
  };
  const choose = ad => {
    asked?.abort();
    close();
    if (ad !== '') onChoose(ad);
  };
  const mark = next => {
    at = next;
    for (const [i, item] of [...list.children].entries()) item.setAttribute('aria-selected', String(i === at));
    list.children[at]?.scrollIntoView({ block: 'nearest' });
    if (at >= 0) input.setAttribute('aria-activedescendant', `ads-${at}`);
  };
  const tell = text => {
    news.textContent = text;
    news.hidden = text === '';
  };
  const show = ads => {
    found = ads;
    const items = ads.map(({ ad_id, count }, i) =>
      h(
        'li',
        { id: `ads-${i}`, role: 'option', 'aria-selected': 'false', onpointerdown: () => choose(ad_id) },
        h('span', { class: 'mono' }, ad_id),
        h('span', { class: 'muted' }, number(count)),
      ),
    );
    list.replaceChildren(...items);
    at = -1;
    list.hidden = items.length === 0;
    input.setAttribute('aria-expanded', String(items.length > 0));
    tell(items.length > 0 ? '' : noneFound(isFiltered()));
  };
  const search = async () => {
    asked?.abort();
    asked = new AbortController();
    const { signal } = asked;
    try {
      const { ads } = await get('/v1/ads', { contains: input.value.trim(), ...query(), limit: 12 }, signal);
      if (!signal.aborted && document.activeElement === input) show(ads);
    } catch (error) {
      if (signal.aborted) return;
      close();
      tell(`Ads could not be searched: ${error.message}`);
    }
  };

  let timer;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, 150);
  });
  input.addEventListener('focus', search);
  input.addEventListener('blur', () => setTimeout(close, 120));
  input.addEventListener('keydown', event => {
    if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault();
      const step = event.key === 'ArrowDown' ? 1 : -1;
      if (found.length > 0) mark((at + step + found.length) % found.length);
    } else if (event.key === 'Enter') choose(found[at]?.ad_id ?? input.value.trim());
    else if (event.key === 'Escape') close();
  });
  return { element: h('div', { class: 'suggest' }, input, list, news), show: ad => (input.value = ad ?? '') };
}

export function noneFound(isFiltered) {
  return isFiltered
    ? 'No ad with clicks of the chosen country and filter in this range has that in its id.'
    : 'No ad with clicks in this range has that in its id.';
}
