/** Says how final a number is, and how many late clicks are missing from it. A click on the word explains it. */
import { h } from '../dom.js';
import { counted } from '../format.js';

/** @import { Finality } from '../api-types.ts' */

export const words = { final: 'final', provisional: 'provisional', restated: 'restated' };

/** The meanings of GLOSSARY.md, "How final a number is". */
const meanings = {
  final: 'Every click that arrived in time is counted. Only a recount from raw clicks can still change this number.',
  provisional: 'Clicks of these minutes may still arrive, so this number may grow. Do not bill by it yet.',
  restated:
    'This number was final. A recount from raw clicks has changed it since, mostly because clicks arrived too late.',
};

/** `pendingLate` is the number of late clicks that wait for their restatement. @param {Finality} state */
export function stateMark(state, pendingLate = 0) {
  /** @type {HTMLButtonElement} */
  const button = h(
    'button',
    {
      type: 'button',
      class: 'state',
      'data-state': state,
      title: meanings[state],
      popovertarget: meanings[state] ? meaningOf(state).id : undefined,
      onclick: () => placeBeside(),
    },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  function placeBeside() {
    const { left, bottom } = button.getBoundingClientRect();
    const popover = meaningOf(state);
    popover.style.left = `${Math.max(8, Math.min(left, innerWidth - 300))}px`;
    popover.style.top = `${Math.min(bottom + 6, innerHeight - 110)}px`;
  }
  return waiting(button, pendingLate);
}

/** The mark without its explanation, for places where nothing can be clicked. @param {Finality} state */
export function stateText(state, pendingLate = 0) {
  const mark = h(
    'span',
    { class: 'state', 'data-state': state },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  return waiting(mark, pendingLate);
}

/** @param {HTMLElement} mark @param {number} pendingLate */
function waiting(mark, pendingLate) {
  if (pendingLate === 0) return mark;
  const title =
    'These clicks were accepted, but they arrived after their minutes were final. A restatement will count them.';
  const text = counted(pendingLate, 'late click waits', 'late clicks wait');
  return h(
    'span',
    { 'data-pending-late': String(pendingLate), title },
    mark,
    ' ',
    h('span', { class: 'tag warn' }, text),
  );
}

/** The explanation of a state. All marks of the state share it. @param {Finality} state */
function meaningOf(state) {
  const id = `state-${state}`;
  const known = document.getElementById(id);
  if (known) return known;
  const popover = h('div', { id, class: 'meaning', popover: 'auto' }, h('b', {}, words[state]), `: ${meanings[state]}`);
  document.body.append(popover);
  return popover;
}
