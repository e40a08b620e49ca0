/** Overview: what happens now, and what happened in the range. */

import { filterOf, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { h } from '../dom.js';
import { compact, countryName, duration, local, number, shortTime, signed, timeElement } from '../format.js';
import { listen } from '../live.js';
import { createCard } from '../parts/card.js';
import { createCountryFilter } from '../parts/country-filter.js';
import { createRangeBar } from '../parts/range-bar.js';
import { createRanks } from '../parts/ranks.js';
import { createSparkline } from '../parts/sparkline.js';
import { stateMark } from '../parts/state-mark.js';
import { createStoredFilter } from '../parts/stored-filter.js';
import { createTiles } from '../parts/tiles.js';
import { queryOf, rangeOf, stepMs } from '../range.js';
import { mergeLive } from '../series.js';

export function mount(root) {
  let address = {};
  let series;
  let pendingLate = 0;
  const rangeBar = createRangeBar();
  const filter = createCountryFilter();
  const storedFilter = createStoredFilter();
  const tiles = createTiles('Now and in the range', {
    rate: 'Clicks per second',
    count: 'Clicks',
    duplicates: 'Copies not counted',
    late: 'Late clicks',
    lag: 'Watermark behind',
    unread: 'Records unread',
  });
  const spark = createSparkline();
  tiles.add('rate', spark.element);

  const chart = createChart({ label: 'Clicks over time' });
  const chartCard = createCard({
    title: 'Clicks',
    actions: [legend()],
    async load(signal) {
      const range = rangeOf(address);
      const query = { ...queryOf(range), granularity: range.granularity, ...filterOf(address) };
      const answer = await get('/v1/ads/series', { ...query, compare: 'previous' }, signal);
      series = { range, points: answer.series[0].points, previous: answer.previous };
      showSeries();
      return chart.element;
    },
  });

  const tops = createTops(() => address);
  const countries = createRanks({ label: 'Clicks by country', nameOf: countryName });
  const countryCard = createCard({
    title: 'Countries',
    width: 'w4',
    isFlush: true,
    empty: 'No clicks in this range.',
    async load(signal) {
      const answer = await get('/v1/ads/countries', { ...queryOf(rangeOf(address)), filter: address.filter }, signal);
      filter.offer(answer.countries.map(row => row.country));
      const all = answer.countries.reduce((sum, row) => sum + row.count, 0);
      const share = count => `${((100 * count) / Math.max(1, all)).toFixed(1)} %`;
      countries.show(
        answer.countries.slice(0, 12).map(row => ({ key: row.country, count: row.count, more: share(row.count) })),
      );
      return answer.countries.length === 0 ? undefined : countries.element;
    },
  });
  const changes = createChanges();

  function showSeries() {
    const { range, points, previous } = series;
    chart.show({ points, from: range.from, to: range.to, step: stepMs[range.granularity] });
    chartCard.note(`per ${range.granularity}, ${shortTime(range.from)} to ${shortTime(range.to)}`);
    const sum = field => points.reduce((total, point) => total + point[field], 0);
    const count = sum('count');
    tiles.set('count', compact(count), [stateMark(stateOf(points), sum('pending_late')), comparison(count, previous)]);
    tiles.set('duplicates', compact(sum('duplicates')), shareOf(sum('duplicates'), count + sum('duplicates')));
    const isTold = points.every(point => point.late !== null);
    if (isTold) tiles.set('late', compact(sum('late')), `${shareOf(sum('late'), count)} of clicks`);
    else tiles.set('late', compact(null), 'not told by raw clicks');
  }

  const stopListening = listen(event => {
    if (!event) return;
    spark.add(event.clicks_per_second);
    tiles.set('rate', compact(event.clicks_per_second), `${number(event.totals.counted)} in all`);
    tiles.set(
      'lag',
      duration(event.watermark_age_ms),
      event.final_until ? `final until ${local(event.final_until)}` : '',
    );
    tiles.set(
      'unread',
      event.lag_records === null ? '?' : compact(event.lag_records),
      event.kafka === 'up' ? 'in Kafka' : 'Kafka is away',
    );
    tops.live(event);
    changes.add(event.changes);
    if (!series?.range.isMoving || series.range.granularity !== 'minute' || isFiltered(address)) return;
    series = mergeLive(series, event, rangeOf(address, Date.parse(event.at)));
    showSeries();
    // Of older minutes an event tells only that something has changed.
    if (event.changes.length > 0 || event.pending_late !== pendingLate) chartCard.refresh();
    pendingLate = event.pending_late;
  });
  // What is not told live is asked for again now and then.
  const timer = setInterval(() => {
    if (document.hidden || !rangeOf(address).isMoving) return;
    if (rangeOf(address).granularity !== 'minute' || isFiltered(address)) chartCard.refresh();
    countryCard.refresh();
    tops.refresh();
  }, 15_000);

  root.append(
    h(
      'div',
      { class: 'top' },
      h('h1', {}, 'Overview'),
      filter.element,
      storedFilter.element,
      rangeBar.element,
      rangeBar.form,
    ),
    h('div', { class: 'grid' }, tiles.element, chartCard.element, tops.element, countryCard.element, changes.element),
  );
  return {
    update(next) {
      address = next;
      series = undefined;
      rangeBar.show(next);
      filter.show(next);
      storedFilter.show(next);
      chartCard.refresh();
      countryCard.refresh();
      tops.refresh();
    },
    close() {
      stopListening();
      clearInterval(timer);
      chart.close();
    },
  };
}

function comparison(count, previous) {
  if (!previous) return '';
  const title = `${number(previous.count)} in the range before`;
  if (previous.count === 0) return h('span', { title }, 'none before');
  const by = (100 * (count - previous.count)) / previous.count;
  const text = `${by >= 0 ? '+' : '−'}${Math.abs(by).toFixed(1)} %`;
  return h('span', { title }, h('span', { class: by < 0 ? 'down' : 'up' }, text), ' vs before');
}

/** Of all of them: as final as the least final one. */
function stateOf(points) {
  if (points.some(point => point.state === 'provisional')) return 'provisional';
  return points.some(point => point.state === 'restated') ? 'restated' : 'final';
}

function shareOf(part, all) {
  return `${((100 * part) / Math.max(1, all)).toFixed(2)} %`;
}

/** The top list of the running minute, of the last one, or of the range. */
function createTops(address) {
  const ranks = createRanks({ label: 'Top ads', isMono: true, hrefOf: ad => hrefOf({ ...address(), view: 'ad', ad }) });
  const choices = { current: 'Now', last: 'Last minute', range: 'Range' };
  let of = 'current';
  let event;
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
    actions: [h('div', { class: 'choices', role: 'group', 'aria-label': 'Top ads of' }, buttons)],
    empty: 'No clicks.',
    async load(signal) {
      const isLive = of !== 'range' && !isFiltered(address());
      const window = of === 'range' ? queryOf(rangeOf(address())) : minuteOf(of);
      const query = { ...window, ...filterOf(address()), count: 12 };
      const top = isLive && event ? event[of] : await get('/v1/ads/popular_ads', query, signal);
      const { ads, state, pending_late } = top;
      card.note(stateMark(state, pending_late));
      const all = isLive ? event?.minutes.find(point => point.start === top.start)?.count : undefined;
      const share = count => (all ? `${((100 * count) / all).toFixed(1)} %` : '');
      ranks.show(ads.slice(0, 12).map(({ ad_id, count }) => ({ key: ad_id, count, more: share(count) })));
      return ads.length === 0 ? undefined : ranks.element;
    },
  });
  function choose(key) {
    of = key;
    for (const button of buttons) button.setAttribute('aria-pressed', String(button.dataset.top === key));
    card.refresh();
  }
  return {
    element: card.element,
    refresh: card.refresh,
    live(next) {
      event = next;
      if (of !== 'range' && !isFiltered(address())) card.refresh();
    },
  };
}

function minuteOf(of) {
  const current = Math.floor(Date.now() / 60_000) * 60_000;
  const from = of === 'current' ? current : current - 60_000;
  return queryOf({ from, to: from + 60_000 });
}

/** Restatements as they come. */
function createChanges() {
  const list = h('ul', { class: 'feed' });
  const card = createCard({ title: 'Restatements', note: 'since this page is open', width: 'w4', isFlush: true });
  const body = card.element.lastElementChild;
  body.append(h('p', { class: 'notice' }, 'None so far: no final count has been changed.'));
  return {
    element: card.element,
    add(changes) {
      if (changes.length === 0) return;
      body.replaceChildren(list);
      for (const change of changes) list.prepend(shownChange(change));
      while (list.children.length > 12) list.lastElementChild.remove();
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
