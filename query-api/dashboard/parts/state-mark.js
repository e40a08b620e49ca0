/** How final a number is, and what is known to be missing in it. */
import { h } from '../dom.js';
import { counted } from '../format.js';

export const words = { final: 'final', provisional: 'provisional', restated: 'restated' };

const meanings = {
  final: 'Only a recount from raw clicks could change it',
  provisional: 'Clicks may still be added',
  restated: 'Final, and a recount has changed it',
};

/** `pendingLate`: late clicks that wait for their restatement. */
export function stateMark(state, pendingLate = 0) {
  const mark = h(
    'span',
    { class: 'state', 'data-state': state, title: meanings[state] },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
  if (pendingLate === 0) return mark;
  const title = 'Accepted, and counted as soon as their minutes are restated';
  const waiting = counted(pendingLate, 'late click waits', 'late clicks wait');
  return h(
    'span',
    { 'data-pending-late': String(pendingLate), title },
    mark,
    ' ',
    h('span', { class: 'tag warn' }, waiting),
  );
}
