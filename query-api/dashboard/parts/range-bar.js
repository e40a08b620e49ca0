/** Which range: the last minutes, hours or days, a day or a month of the calendar, or from and to. */
import { go, zoomTo } from '../address.js';
import { h } from '../dom.js';
import { shownZone } from '../format.js';
import { calendar, lengths, rangeOf, standard } from '../range.js';
import { createMomentField } from './moment-field.js';

export function createRangeBar() {
  const button = (name, text, title) =>
    h('button', { type: 'button', 'data-range': name, title, onclick: () => choose(name) }, text);
  const short = Object.keys(lengths).map(name => button(name, name));
  const named = Object.entries(calendar).map(([name, { text, title }]) => button(name, text, title));
  const custom = h(
    'button',
    { type: 'button', 'data-range': 'custom', 'aria-expanded': 'false', onclick: toggle },
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

  function choose(name) {
    form.hidden = true;
    custom.setAttribute('aria-expanded', 'false');
    go({ range: name === standard ? undefined : name, from: undefined, to: undefined });
  }
  function toggle() {
    form.hidden = !form.hidden;
    custom.setAttribute('aria-expanded', String(!form.hidden));
    if (!form.hidden) from.input.focus();
  }
  function submit(event) {
    event.preventDefault();
    const begin = from.value();
    const end = begin === undefined ? undefined : to.value();
    if (end === undefined) return;
    if (begin < end) zoomTo(begin, end);
    else to.refuse('The end must be after the begin.');
  }

  return {
    element: h(
      'div',
      { class: 'line ranges' },
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Range up to now' }, short),
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Range of the calendar' }, named, custom),
    ),
    form,
    show(address) {
      const range = rangeOf(address, shownZone());
      const current = address.from && address.to ? 'custom' : (address.range ?? standard);
      for (const one of [...short, ...named, custom]) {
        one.setAttribute('aria-pressed', String(one.dataset.range === current));
      }
      from.set(range.from);
      to.set(range.to);
    },
  };
}
