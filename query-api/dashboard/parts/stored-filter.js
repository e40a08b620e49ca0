/** Chooses one of the stored filters, or none. It is hidden if no filter is stored. */
import { go } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { may } from '../session.js';

/** @import { Address } from '../address.js' */

export function createStoredFilter() {
  /** @type {HTMLSelectElement} */
  const select = h('select', { name: 'filter', onchange: () => go({ filter: select.value || undefined }) });
  const label = h('label', { class: 'field', hidden: true }, 'Filter', select);
  /** @type {string[]} */
  let known = [];
  /** @type {string | undefined} */
  let current;

  const fill = () => {
    // A deleted filter stays chosen: requests with it fail, and the API says why.
    const ids = [...new Set([...known, ...(current ? [current] : [])])];
    select.replaceChildren(h('option', { value: '' }, 'None'), ...ids.map(id => h('option', { value: id }, id)));
    select.value = current ?? '';
    label.hidden = ids.length === 0;
  };
  // A stored filter may name persons.
  if (may('read:personal'))
    allIds().then(
      ids => {
        known = ids;
        fill();
      },
      () => undefined,
    );
  return {
    element: label,
    /** @param {Address} address */
    show({ filter }) {
      current = filter;
      fill();
    },
  };
}

/** The API gives 200 filters at once, and there may be more. */
const mostPages = 50;

async function allIds() {
  /** @type {string[]} */
  const ids = [];
  /** @type {string | undefined} */
  let cursor;
  for (let page = 0; page < mostPages; page++) {
    const { filters, next_cursor } = await get('/v1/filters', { limit: 200, cursor });
    ids.push(...filters.map(({ id }) => id));
    if (next_cursor === null) break;
    cursor = next_cursor;
  }
  return ids;
}
