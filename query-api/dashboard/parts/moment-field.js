/**
 * A field for a time on the clock of the chosen zone, to the minute. When clocks are put back, a time occurs twice, and the
 * field asks which one is meant. When clocks are put forward, a time does not occur, and the field refuses it.
 */
import { h } from '../dom.js';
import { inputTime, shownZone } from '../format.js';
import { momentsOf, offsetText } from '../zone.js';

/** @param {'from' | 'to'} name @param {string} label */
export function createMomentField(name, label) {
  const input = h('input', { type: 'datetime-local', name, required: true, oninput: look });
  const which = h('select', {
    name: `${name}-offset`,
    'aria-label': `Which of the two times is the ${name === 'from' ? 'beginning' : 'end'}`,
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
    /** Epoch ms. If the time does not exist, the field says so, and the value is undefined. */
    value() {
      const moments = momentsOf(input.value, shownZone());
      if (moments.length === 0) {
        const wrong = `This time does not exist in ${shownZone()}: the clock is put forward over it.`;
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
