/**
 * The top list of the running minute, of the last minute, or of the range. It begins with the running minute. If a range is
 * chosen, it shows that range, until the viewer chooses another list.
 */
import { filterOf, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { shownZone } from '../format.js';
import { isFresh } from '../live.js';
import { queryOf, rangeOf } from '../range.js';
import { createCard } from './card.js';
import { createRanks } from './ranks.js';
import { stateMark } from './state-mark.js';

/** @import { Address } from '../address.js' */
/** @import { LiveEvent } from '../api-types.ts' */
/** @import { LiveState } from '../live.js' */
/** @import { Card } from './card.js' */

/** @typedef {keyof typeof choices} Choice */

const choices = { current: 'Now', last: 'Last minute', range: 'Range' };
const listed = 12;

/** `address()` gives the current address. @param {() => Address} address */
export function createTops(address) {
  const ranks = createRanks({
    label: 'Top ads',
    columns: ['ad', 'net'],
    isMono: true,
    hrefOf: ad => hrefOf({ ...address(), view: 'ad', ad }),
    moreTitle: 'Share of all clicks of the minute',
  });
  /** @type {{ readonly event: LiveEvent | undefined, readonly isFresh: boolean }} */
  let live = { event: undefined, isFresh: false };
  const choice = createTopChoice(address, renew);
  /** @type {Card} */
  const card = createCard({
    title: 'Top ads',
    width: 'w4',
    isFlush: true,
    takes: 'top-ads',
    actions: [choice.element],
    empty: () => (choice.of() === 'range' ? 'No clicks in this range.' : 'No clicks in this minute.'),
    async load(signal) {
      const of = choice.of();
      const window = of === 'range' ? queryOf(rangeOf(address(), shownZone())) : minuteOf(of);
      const query = { ...window, ...filterOf(address()), count: listed };
      const event = live.isFresh && !isFiltered(address()) ? live.event : undefined;
      const minute = of === 'range' ? undefined : event?.[of];
      const { ads, state, ...pending } = minute ?? (await get('/v1/ads/popular_ads', query, signal));
      card.note(stateMark(state, pending));
      const all = minute && event?.minutes.find(point => point.start === minute.start)?.count;
      /** @param {number} count */
      const share = count => (all ? `${((100 * count) / all).toFixed(1)} %` : '');
      ranks.show(
        ads.slice(0, listed).map(ad => ({ key: ad.ad_id, count: ad.count, clicks: ad, more: share(ad.count) })),
      );
      return ads.length === 0 ? undefined : ranks.element;
    },
  });
  function renew() {
    choice.show();
    card.renew();
  }
  return {
    element: card.element,
    refresh: card.refresh,
    renew,
    /** @param {LiveEvent | undefined} event @param {LiveState} state */
    live(event, state) {
      live = { event: event ?? live.event, isFresh: isFresh(state) };
      if (event && live.isFresh && choice.of() !== 'range' && !isFiltered(address())) card.refresh();
    },
    close: card.close,
  };
}

/** Which of the lists is shown. @param {() => Address} address @param {() => void} onChoose */
function createTopChoice(address, onChoose) {
  /** @type {Choice | undefined} */
  let chosen;
  const of = () => chosen ?? (address().range || address().from ? 'range' : 'current');
  /** @param {Choice} key */
  const choose = key => {
    chosen = key;
    onChoose();
  };
  const buttons = keys.map(key =>
    h('button', { type: 'button', 'data-top': key, onclick: () => choose(key) }, choices[key]),
  );
  const show = () => {
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.top === of()));
  };
  show();
  return {
    element: h('div', { class: 'choices', role: 'group', 'aria-label': 'Top ads of' }, buttons),
    of,
    show,
  };
}

const keys = /** @type {Choice[]} */ (Object.keys(choices));

/** @param {'current' | 'last'} of */
function minuteOf(of) {
  const current = Math.floor(serverTime() / 60_000) * 60_000;
  const from = of === 'current' ? current : current - 60_000;
  return queryOf({ from, to: from + 60_000 });
}
