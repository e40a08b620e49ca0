/** Says how final a number is, and how many clicks wait for a restatement. A click on the word explains it. */
import { h } from '../dom.js';
import { counted, number } from '../format.js';

/** @import { Finality } from '../api-types.ts' */

export const words = { final: 'final', provisional: 'provisional', restated: 'restated' };

/** The meanings of GLOSSARY.md, "How final a number is". */
const meanings = {
  final: 'Every click that arrived in time is counted. Only a recount from raw clicks can still change this number.',
  provisional: 'Clicks of these minutes may still arrive, so this number may grow. Do not bill by it yet.',
  restated:
    'This number was final. A recount from raw clicks has changed it since, mostly because clicks arrived too late.',
};

/**
 * `pending` are the numbers of clicks that wait for a restatement.
 * @param {Finality} state
 * @param {Pending} pending
 */
export function stateMark(state, pending = nonePending) {
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
  return waiting(button, pending);
}

/**
 * The mark without its explanation, for places where nothing can be clicked.
 * @param {Finality} state
 * @param {Pending} pending
 */
export function stateText(state, pending = nonePending) {
  const mark = h(
    'span',
    { class: 'state', 'data-state': state },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  return waiting(mark, pending);
}

/** @typedef {{ readonly pending_late: number, readonly pending_split: number | null }} Pending */

/** @type {Pending} */
const nonePending = { pending_late: 0, pending_split: 0 };

/** @param {HTMLElement} mark @param {Pending} pending */
function waiting(mark, { pending_late: late, pending_split: split }) {
  const tags = [...(late === 0 ? [] : [lateTag(late)]), ...(split === 0 ? [] : [splitTag(split)])];
  if (tags.length === 0) return mark;
  const data = { 'data-pending-late': String(late), 'data-pending-split': String(split ?? '') };
  return h('span', data, mark, ...tags.flatMap(tag => [' ', tag]));
}

/** @param {number} late */
function lateTag(late) {
  const title =
    'These clicks were accepted, but they arrived after their minutes were final. A restatement will count them.';
  return h('span', { class: 'tag warn', title }, counted(late, 'late click waits', 'late clicks wait'));
}

/** @param {number | null} split */
function splitTag(split) {
  const title =
    'Clicks of an ad that is split over partitions. A restatement will apply the caps of the rules to all of them together.';
  const text = split === null ? 'split ads not known' : `at most ${number(split)} more may become invalid`;
  return h('span', { class: 'tag warn', title }, text);
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
