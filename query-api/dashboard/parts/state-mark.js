/** How final a number is. */
import { h } from '../dom.js';

export const words = { final: 'final', provisional: 'provisional', restated: 'restated' };

const meanings = {
  final: 'Only a recount from raw clicks could change it',
  provisional: 'Clicks may still be added',
  restated: 'Final, and a recount has changed it',
};

export function stateMark(state) {
  return h(
    'span',
    { class: 'state', 'data-state': state, title: meanings[state] },
    h('i', { 'aria-hidden': 'true' }),
    words[state] ?? state,
  );
}
