/** Where nothing has ever come in: how to post the first click. */
import { h } from '../dom.js';
import { copyText } from './take.js';

export function createFirstClick() {
  const line = `curl -X POST ${location.protocol}//${location.hostname}:8080/v1/clicks -H 'content-type: application/json' -d '{"ad_id":"ad-1"}'`;
  /** @type {HTMLButtonElement} */
  const copy = h('button', { type: 'button', onclick: () => copyText(line, copy) }, 'Copy');
  const element = h(
    'section',
    { class: 'card first-click', 'aria-label': 'The first click', hidden: true },
    h('header', {}, h('h2', {}, 'No click has come in yet')),
    h(
      'div',
      { class: 'body' },
      h('p', {}, 'Post one to ingest, by default on port 8080 of this machine. It is shown here within seconds:'),
      h('div', { class: 'line' }, h('code', { tabindex: '0' }, line), copy),
    ),
  );
  return {
    element,
    /** `received`: lines since the beginning of the log. @param {number} received */
    show(received) {
      element.hidden = received !== 0;
    },
  };
}
