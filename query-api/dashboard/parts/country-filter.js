/** One country, or all. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { countryName } from '../format.js';

export function createCountryFilter() {
  const select = h('select', { name: 'country', onchange: () => go({ country: select.value || undefined }) });
  const label = h('label', { class: 'field' }, 'Country', select);
  const known = new Set();
  let current;

  const fill = () => {
    const named = [...known].map(code => [code, countryName(code)]).sort(([, a], [, b]) => a.localeCompare(b));
    select.replaceChildren(
      h('option', { value: '' }, 'All'),
      ...named.map(([code, name]) => h('option', { value: code }, `${name} (${code})`)),
    );
    select.value = current ?? '';
  };
  return {
    element: label,
    /** Countries that there are clicks from. */
    offer(codes) {
      const before = known.size;
      for (const code of codes) known.add(code);
      if (known.size !== before) fill();
    },
    show({ country }) {
      current = country;
      if (country) known.add(country);
      fill();
    },
  };
}
