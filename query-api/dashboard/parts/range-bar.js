/** Chooses the range: the last minutes, hours or days, a day, week or month of the calendar, or any two times. */
import { go, zoomTo } from '../address.js';
import { h, setText } from '../dom.js';
import { shownZone } from '../format.js';
import { calendar, lengths, rangeOf, standard, wrongRange } from '../range.js';
import { createMomentField } from './moment-field.js';

/** @import { Address } from '../address.js' */

export function createRangeBar() {
  const custom = createCustomRange();
  /** @param {string} name @param {string} text @param {string} [title] */
  const button = (name, text, title) =>
    h('button', { type: 'button', 'data-range': name, title, onclick: () => choose(name) }, text);
  const short = Object.keys(lengths).map(name => button(name, name));
  const named = Object.entries(calendar).map(([name, { text, title }]) => button(name, text, title));
  /** @param {string} name */
  function choose(name) {
    custom.close();
    go({ range: name === standard ? undefined : name, from: undefined, to: undefined });
  }
  const wrong = h('span', { class: 'bad-text', role: 'alert', hidden: true });
  return {
    element: h(
      'div',
      { class: 'line ranges' },
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Range up to now' }, short),
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Range of the calendar' }, named, custom.button),
      wrong,
    ),
    form: custom.form,
    /** @param {Address} address */
    show(address) {
      const problem = wrongRange(address);
      wrong.hidden = problem === '';
      setText(wrong, problem);
      const isCustom = address.from && address.to && problem === '';
      const current = isCustom ? 'custom' : (address.range ?? standard);
      for (const one of [...short, ...named, custom.button]) {
        one.setAttribute('aria-pressed', String(one.dataset.range === current));
      }
      custom.set(rangeOf(address, shownZone()));
    },
  };
}

/** The button and the form for a range between any two times. */
function createCustomRange() {
  const button = h(
    'button',
    { type: 'button', 'data-range': 'custom', 'aria-expanded': 'false', onclick: () => open(Boolean(form.hidden)) },
    'Custom',
  );
  const from = createMomentField('from', 'From');
  const to = createMomentField('to', 'to');
  const form = h(
    'form',
    { class: 'line', hidden: true, novalidate: true, onsubmit: submit },
    from.element,
    to.element,
    h('button', {}, 'Show'),
  );
  /** @param {boolean} isOpen */
  function open(isOpen) {
    form.hidden = !isOpen;
    button.setAttribute('aria-expanded', String(isOpen));
    if (isOpen) from.input.focus();
  }
  /** @param {Event} event */
  function submit(event) {
    event.preventDefault();
    const begin = from.value();
    const end = begin === undefined ? undefined : to.value();
    if (begin === undefined || end === undefined) return;
    if (begin < end) zoomTo(begin, end);
    else to.refuse('The end must be after the beginning.');
  }
  return {
    button,
    form,
    close: () => open(false),
    /** @param {{ readonly from: number, readonly to: number }} range */
    set(range) {
      from.set(range.from);
      to.set(range.to);
    },
  };
}
