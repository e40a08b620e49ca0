/** Chooses one country, or all. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { countryName } from '../format.js';

/** @import { Address } from '../address.js' */

export function createCountryFilter() {
  /** @type {HTMLSelectElement} */
  const select = h('select', { name: 'country', onchange: () => go({ country: select.value || undefined }) });
  const label = h('label', { class: 'field' }, 'Country', select);
  /** @type {Set<string>} */
  const known = new Set();
  /** @type {string | undefined} */
  let current;

  const fill = () => {
    const named = [...known]
      .map(code => ({ code, name: countryName(code) }))
      .sort((a, b) => a.name.localeCompare(b.name));
    select.replaceChildren(
      h('option', { value: '' }, 'All'),
      ...named.map(({ code, name }) => h('option', { value: code }, `${name} (${code})`)),
    );
    select.value = current ?? '';
  };
  return {
    element: label,
    /** Adds countries that have clicks. @param {readonly string[]} codes */
    offer(codes) {
      const before = known.size;
      for (const code of codes) known.add(code);
      if (known.size !== before) fill();
    },
    /** @param {Address} address */
    show({ country }) {
      current = country;
      if (country) known.add(country);
      fill();
    },
  };
}
