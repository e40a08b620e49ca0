/** Chooses the time zone: the viewer's own, UTC, or any other. Times are shown in it, and days and hours begin by its clock. */
import { go } from '../address.js';
import { serverTime } from '../clock.js';
import { h, setText } from '../dom.js';
import { isZone, offsetText, ownZone, zoneNames } from '../zone.js';

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
  const wrong = h('span', { class: 'bad-text', role: 'alert', hidden: true });
  return {
    element: h('span', { class: 'as-one' }, h('label', { class: 'field' }, 'Times in', select), wrong),
    /** @param {Address} address */
    show({ zone: asked }) {
      const zone = asked !== undefined && isZone(asked) ? asked : undefined;
      if (select.childElementCount === 0) fill(zone ?? ownZone);
      select.value = zone ?? '';
      select.title = offsetText(serverTime(), zone ?? ownZone);
      const isUnknown = asked !== zone;
      wrong.hidden = !isUnknown;
      setText(wrong, isUnknown ? `This browser knows no zone “${asked}”: times are in ${ownZone}.` : '');
    },
  };
}
