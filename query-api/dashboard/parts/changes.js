/** Restatements as they come, while the page is open. */
import { hrefOf } from '../address.js';
import { h } from '../dom.js';
import { local, number, signed, timeElement } from '../format.js';
import { createCard } from './card.js';
import { giveRows } from './take.js';

const kept = 12;

export function createChanges() {
  const list = h('ul', { class: 'feed' });
  let shown = [];
  giveRows(list, () => ({
    columns: ['minute', 'ad', 'country', 'before', 'after', 'reason', 'at'],
    rows: shown.map(row => [row.minute, row.ad_id, row.country, row.before, row.after, row.reason, row.at]),
  }));
  const card = createCard({
    title: 'Restatements',
    note: `seen since ${local(Date.now(), 'seconds')}`,
    width: 'w4',
    isFlush: true,
    takes: 'restatements',
  });
  const body = card.element.lastElementChild;
  const none =
    'None has been seen since this page was opened. Those of one ad are listed under “Ads”, with all before.';
  body.append(h('p', { class: 'notice' }, none));
  return {
    element: card.element,
    add(changes) {
      if (changes.length === 0) return;
      shown = [...changes.toReversed(), ...shown].slice(0, kept);
      list.replaceChildren(...shown.map(shownChange));
      if (body.firstElementChild !== list) body.replaceChildren(list);
      card.look();
    },
  };
}

function shownChange({ minute, ad_id, country, before, after, reason }) {
  return h(
    'li',
    {},
    timeElement(minute),
    h('a', { class: 'mono', href: hrefOf({ view: 'ad', ad: ad_id }) }, ad_id),
    h('span', { class: 'muted' }, country),
    h('span', { class: 'push' }, `${number(before)} → ${number(after)}`),
    h('span', { class: 'tag warn' }, `${signed(after - before)} ${reason}`),
  );
}
