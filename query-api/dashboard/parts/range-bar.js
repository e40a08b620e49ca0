/** Which range: the last so long, or from and to. */
import { go } from '../address.js';
import { h } from '../dom.js';
import { inputTime } from '../format.js';
import { presets, rangeOf } from '../range.js';

export function createRangeBar() {
  const buttons = Object.keys(presets).map(name =>
    h('button', { type: 'button', 'data-range': name, onclick: () => choose(name) }, name),
  );
  const custom = h(
    'button',
    { type: 'button', 'data-range': 'custom', 'aria-expanded': 'false', onclick: toggle },
    'Custom',
  );
  const from = h('input', { type: 'datetime-local', name: 'from', required: true });
  const to = h('input', { type: 'datetime-local', name: 'to', required: true });
  const form = h(
    'form',
    { class: 'line', hidden: true, onsubmit: submit },
    h('label', { class: 'field' }, 'From', from),
    h('label', { class: 'field' }, 'to', to),
    h('button', {}, 'Show'),
  );

  function choose(name) {
    form.hidden = true;
    go({ range: name === '1h' ? undefined : name, from: undefined, to: undefined });
  }
  function toggle() {
    form.hidden = !form.hidden;
    custom.setAttribute('aria-expanded', String(!form.hidden));
    if (!form.hidden) from.focus();
  }
  function submit(event) {
    event.preventDefault();
    const [begin, end] = [new Date(from.value), new Date(to.value)];
    to.setCustomValidity(begin < end ? '' : 'must be after the begin');
    if (!to.reportValidity()) return;
    go({ range: undefined, from: begin.toISOString(), to: end.toISOString() });
  }
  to.addEventListener('input', () => to.setCustomValidity(''));

  return {
    element: h(
      'div',
      { class: 'line' },
      h('div', { class: 'choices', role: 'group', 'aria-label': 'Range' }, buttons, custom),
    ),
    form,
    show(address) {
      const range = rangeOf(address);
      const current = range.isMoving ? (address.range ?? '1h') : 'custom';
      for (const button of [...buttons, custom]) {
        button.setAttribute('aria-pressed', String(button.dataset.range === current));
      }
      from.value = inputTime(range.from);
      to.value = inputTime(range.to);
    },
  };
}
