/** How final a number is, and what is known to be missing in it. What the word means opens at a click. */
import { h } from '../dom.js';
import { counted } from '../format.js';

export const words = { final: 'final', provisional: 'provisional', restated: 'restated' };

/** As GLOSSARY.md has them under "How final a number is". */
const meanings = {
  final: 'Every click that came in time is counted. Only a recount from raw clicks could change this number.',
  provisional: 'Clicks of these minutes may still come, so this number may grow. Do not bill by it yet.',
  restated: 'It was final, and a recount from raw clicks has changed it since, mostly by clicks that came late.',
};

/** `pendingLate`: late clicks that wait for their restatement. */
export function stateMark(state, pendingLate = 0) {
  const button = h(
    'button',
    {
      type: 'button',
      class: 'state',
      'data-state': state,
      title: meanings[state],
      popovertarget: meanings[state] ? meaningOf(state).id : undefined,
      onclick: () => placeBeside(button),
    },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  function placeBeside({ dataset }) {
    const { left, bottom } = button.getBoundingClientRect();
    const popover = meaningOf(dataset.state);
    popover.style.left = `${Math.max(8, Math.min(left, innerWidth - 300))}px`;
    popover.style.top = `${Math.min(bottom + 6, innerHeight - 110)}px`;
  }
  return waiting(button, pendingLate);
}

/** The same where nothing can be clicked. */
export function stateText(state, pendingLate = 0) {
  const mark = h(
    'span',
    { class: 'state', 'data-state': state },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  return waiting(mark, pendingLate);
}

function waiting(mark, pendingLate) {
  if (pendingLate === 0) return mark;
  const title =
    'They were accepted, came after their minutes were final, and are counted as soon as those are restated';
  const text = counted(pendingLate, 'late click waits', 'late clicks wait');
  return h(
    'span',
    { 'data-pending-late': String(pendingLate), title },
    mark,
    ' ',
    h('span', { class: 'tag warn' }, text),
  );
}

/** One for all marks of a state. */
function meaningOf(state) {
  const id = `state-${state}`;
  const known = document.getElementById(id);
  if (known) return known;
  const popover = h('div', { id, class: 'meaning', popover: 'auto' }, h('b', {}, words[state]), ` ${meanings[state]}`);
  document.body.append(popover);
  return popover;
}
