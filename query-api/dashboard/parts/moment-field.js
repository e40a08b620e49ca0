/**
 * A time on the clock of the zone that is looked at, to the minute. Where a clock is put back, a time comes twice, and is
 * asked which one is meant; where it is put forward, a time is left out, and refused.
 */
import { h } from '../dom.js';
import { inputTime, shownZone } from '../format.js';
import { momentsOf, offsetText } from '../zone.js';

/** @param {'from' | 'to'} name @param {string} label */
export function createMomentField(name, label) {
  const input = h('input', { type: 'datetime-local', name, required: true, oninput: look });
  const which = h('select', {
    name: `${name}-offset`,
    'aria-label': `Which of the two times, ${name === 'from' ? 'at the begin' : 'at the end'}`,
    hidden: true,
  });
  function look() {
    input.setCustomValidity('');
    const moments = momentsOf(input.value, shownZone());
    which.hidden = moments.length < 2;
    which.replaceChildren(...moments.map(at => h('option', { value: String(at) }, offsetText(at, shownZone()))));
  }
  return {
    element: h('span', { class: 'moment' }, h('label', { class: 'field' }, label, input), which),
    input,
    /** @param {number} ms */
    set(ms) {
      input.value = inputTime(ms);
      look();
      if (!which.hidden) which.value = String(ms);
    },
    /** Epoch ms; undefined, and said beside the field, where there is no such time. */
    value() {
      const moments = momentsOf(input.value, shownZone());
      if (moments.length === 0) {
        const wrong = `There is no such time in ${shownZone()}: the clock is put forward over it.`;
        input.setCustomValidity(input.value === '' ? '' : wrong);
        input.reportValidity();
        return undefined;
      }
      return moments.length > 1 ? Number(which.value) : moments[0];
    },
    /** @param {string} text */
    refuse(text) {
      input.setCustomValidity(text);
      input.reportValidity();
    },
  };
}
