/** Chooses the time zone: the viewer's own, UTC, or any other. Times are shown in it, and days and hours begin by its clock. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { offsetText, ownZone, zoneNames } from '../zone.js';

/** @import { Address } from '../address.js' */

export function createZonePicker() {
  /** @type {HTMLSelectElement} */
  const select = h('select', { name: 'zone', onchange: () => go({ zone: select.value || undefined }) });
  /** @param {string} zone */
  const fill = zone => {
    /** @param {string} name */
    const named = name => h('option', { value: name }, name.replaceAll('_', ' '));
    const others = zoneNames().filter(name => name !== 'UTC');
    if (!others.includes(zone) && zone !== 'UTC') others.unshift(zone);
    select.replaceChildren(
      h('option', { value: '' }, `My zone (${ownZone.replaceAll('_', ' ')})`),
      h('option', { value: 'UTC' }, 'UTC'),
      h('optgroup', { label: 'All zones' }, others.map(named)),
    );
  };
  return {
    element: h('label', { class: 'field' }, 'Times in', select),
    /** @param {Address} address */
    show({ zone }) {
      if (select.childElementCount === 0) fill(zone ?? ownZone);
      select.value = zone ?? '';
      select.title = offsetText(Date.now(), zone ?? ownZone);
    },
  };
}
