/** Lists restatements as they happen, while the page is open. */
import { hrefOf, isFiltered } from '../address.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { local, number, shortTime, signed, timeElement } from '../format.js';
import { createCard } from './card.js';
import { giveRows } from './take.js';

/** @import { Address } from '../address.js' */
/** @import { LiveEvent } from '../api-types.ts' */

const kept = 12;

export function createChanges() {
  const list = h('ul', { class: 'feed' });
  /** @type {LiveEvent['changes']} */
  let shown = [];
  giveRows(list, () => ({
    columns: ['minute', 'ad', 'country', 'before', 'after', 'net before', 'net after', 'reason', 'at'],
    rows: shown.map(({ minute, ad_id, country, before, after, before_net, after_net, reason, at }) => [
      ...[minute, ad_id, country, before, after, before_net, after_net, reason, at],
    ]),
  }));
  let since = `seen since ${local(serverTime(), 'seconds')}`;
  let isOfAll = false;
  const card = createCard({
    title: 'Restatements',
    note: since,
    width: 'w4',
    isFlush: true,
    takes: 'restatements',
  });
  const note = () => card.note(isOfAll ? `${since}, without the filter` : since);
  const { body } = card;
  const none = 'There has been none yet. To see all restatements of one ad, open the ad under “Ads”.';
  body.append(h('p', { class: 'notice' }, none));
  return {
    element: card.element,
    /** Restatements of all clicks are listed, also if the other numbers of the page are filtered. @param {Address} address */
    show(address) {
      isOfAll = isFiltered(address);
      note();
    },
    /** From `missedSince` until now none was seen. @param {LiveEvent['changes']} changes @param {string} [missedSince] */
    add(changes, missedSince) {
      if (missedSince !== undefined) {
        since = `seen since ${local(serverTime(), 'seconds')}, not those from ${shortTime(missedSince)} until then`;
        note();
      }
      if (changes.length === 0) return;
      shown = [...changes.toReversed(), ...shown].slice(0, kept);
      list.replaceChildren(...shown.map(shownChange));
      if (body.firstElementChild !== list) body.replaceChildren(list);
      card.look();
    },
  };
}

/** @param {LiveEvent['changes'][number]} change */
function shownChange({ minute, ad_id, country, before, after, before_net, after_net, reason }) {
  return h(
    'li',
    {},
    timeElement(minute),
    h('a', { class: 'mono', href: hrefOf({ view: 'ad', ad: ad_id }) }, ad_id),
    h('span', { class: 'muted' }, country),
    h(
      'span',
      { class: 'push', title: `Net clicks. With invalid ones: ${number(before)} → ${number(after)}` },
      `${number(before_net)} → ${number(after_net)}`,
    ),
    h('span', { class: 'tag warn' }, `${signed(after_net - before_net)} ${reason}`),
  );
}
