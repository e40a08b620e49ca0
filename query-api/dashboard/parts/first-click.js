/** Shows how to post a first click, as long as no line has ever arrived. */
import { h } from '../dom.js';
import { copyText } from './take.js';

export function createFirstClick() {
  const line = `curl -X POST ${location.protocol}//${location.hostname}:8080/v1/clicks -H 'content-type: application/json' -d '{"ad_id":"ad-1"}'`;
  /** @type {HTMLButtonElement} */
  const copy = h('button', { type: 'button', onclick: () => copyText(line, copy) }, 'Copy');
  const element = h(
    'section',
    { class: 'card first-click', 'aria-label': 'The first click', hidden: true },
    h('header', {}, h('h2', {}, 'No click has arrived yet')),
    h(
      'div',
      { class: 'body' },
      h('p', {}, 'Post one to ingest, which listens on port 8080 by default. It appears here within seconds:'),
      h('div', { class: 'line' }, h('code', { tabindex: '0' }, line), copy),
    ),
  );
  return {
    element,
    /** `received` is the number of lines since the beginning of the log. @param {number} received */
    show(received) {
      element.hidden = received !== 0;
    },
  };
}
