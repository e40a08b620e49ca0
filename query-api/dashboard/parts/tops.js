/** The top list of the running minute, of the last one, or of the range: that one, once a range was asked for, and until another list is. */
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

const choices = { current: 'Now', last: 'Last minute', range: 'Range' };
const listed = 12;

/** `address()`: what is looked at. */
export function createTops(address) {
  const ranks = createRanks({
    label: 'Top ads',
    columns: ['ad', 'clicks'],
    isMono: true,
    hrefOf: ad => hrefOf({ ...address(), view: 'ad', ad }),
  });
  let chosen;
  let of = 'current';
  let live = { event: undefined, isFresh: false };
  const buttons = Object.entries(choices).map(([key, text]) =>
    h(
      'button',
      { type: 'button', 'data-top': key, 'aria-pressed': String(key === of), onclick: () => choose(key) },
      text,
    ),
  );
  const card = createCard({
    title: 'Top ads',
    width: 'w4',
    isFlush: true,
    takes: 'top-ads',
    actions: [h('div', { class: 'choices', role: 'group', 'aria-label': 'Top ads of' }, buttons)],
    empty: () => (of === 'range' ? 'No clicks in this range.' : 'No clicks in this minute.'),
    async load(signal) {
      const isLive = of !== 'range' && !isFiltered(address());
      const window = of === 'range' ? queryOf(rangeOf(address(), shownZone())) : minuteOf(of);
      const query = { ...window, ...filterOf(address()), count: listed };
      const told = isLive && live.isFresh ? live.event : undefined;
      const top = told ? told[of] : await get('/v1/ads/popular_ads', query, signal);
      const { ads, state, pending_late } = top;
      card.note(stateMark(state, pending_late));
      const all = told?.minutes.find(point => point.start === top.start)?.count;
      const share = count => (all ? `${((100 * count) / all).toFixed(1)} %` : '');
      ranks.show(ads.slice(0, listed).map(({ ad_id, count }) => ({ key: ad_id, count, more: share(count) })));
      return ads.length === 0 ? undefined : ranks.element;
    },
  });
  function choose(key) {
    chosen = key;
    renew();
  }
  function renew() {
    const { range, from } = address();
    of = chosen ?? (range || from ? 'range' : 'current');
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.top === of));
    card.renew();
  }
  return {
    element: card.element,
    refresh: card.refresh,
    renew,
    live(event, state) {
      live = { event: event ?? live.event, isFresh: isFresh(state) };
      if (event && of !== 'range' && !isFiltered(address())) card.refresh();
    },
    close: card.close,
  };
}

function minuteOf(of) {
  const current = Math.floor(serverTime() / 60_000) * 60_000;
  const from = of === 'current' ? current : current - 60_000;
  return queryOf({ from, to: from + 60_000 });
}
