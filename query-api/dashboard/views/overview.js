/** Overview: what happens now, and what happened in the range. */

import { filterOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { h } from '../dom.js';
import { compact, duration, local, number, shownZone, span } from '../format.js';
import { isFresh, listen } from '../live.js';
import { createCard } from '../parts/card.js';
import { createChanges } from '../parts/changes.js';
import { comparison } from '../parts/comparison.js';
import { createCountries } from '../parts/countries.js';
import { createCountryFilter } from '../parts/country-filter.js';
import { createFirstClick } from '../parts/first-click.js';
import { createRangeBar } from '../parts/range-bar.js';
import { createSparkline } from '../parts/sparkline.js';
import { stateMark } from '../parts/state-mark.js';
import { createStoredFilter } from '../parts/stored-filter.js';
import { createTiles } from '../parts/tiles.js';
import { createTops } from '../parts/tops.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';
import { queryOf, rangeOf } from '../range.js';
import { mergeLive } from '../series.js';

export function mount(root) {
  let address = {};
  let series;
  let pendingLate = 0;
  const rangeBar = createRangeBar();
  const zonePicker = createZonePicker();
  const filter = createCountryFilter();
  const storedFilter = createStoredFilter();
  const firstClick = createFirstClick();
  const tiles = createTiles('Now and in the range', {
    rate: 'Clicks per second',
    count: 'Clicks',
    duplicates: 'Duplicates, not counted',
    late: 'Late, counted',
    lag: 'Watermark behind',
    unread: 'Unread records',
  });
  const liveTiles = tiles.part(['rate', 'lag', 'unread']);
  const spark = createSparkline();
  tiles.add('rate', spark.element);

  const chart = createChart({ label: 'Clicks over time' });
  const chartCard = createCard({
    title: 'Clicks',
    actions: [legend()],
    fills: [tiles.part(['count', 'duplicates', 'late']), chart],
    holds: chart.element,
    takes: 'clicks',
    async load(signal) {
      const range = rangeOf(address, shownZone());
      const query = { ...queryOf(range), granularity: range.granularity, timezone: shownZone(), ...filterOf(address) };
      const answer = await get('/v1/ads/series', { ...query, compare: 'previous' }, signal);
      series = { range, points: answer.series[0].points, previous: answer.previous };
      showSeries();
      return chart.element;
    },
  });

  const tops = createTops(() => address);
  const countries = createCountries({ address: () => address, offer: codes => filter.offer(codes) });
  const changes = createChanges();

  function showSeries() {
    const { range, points, previous } = series;
    chart.show({ points, from: range.from, to: range.to });
    chartCard.note(`per ${range.granularity}, ${span(range.from, range.to)}`);
    const sum = field => points.reduce((total, point) => total + point[field], 0);
    const count = sum('count');
    tiles.count('count', count, [stateMark(stateOf(points), sum('pending_late')), comparison(count, previous)]);
    tiles.count('duplicates', sum('duplicates'), shareOf(sum('duplicates'), count + sum('duplicates')));
    const isTold = points.every(point => point.late !== null);
    if (isTold) tiles.count('late', sum('late'), `${shareOf(sum('late'), count)} of clicks`);
    else tiles.count('late', null, 'Raw clicks do not tell it.');
  }

  let wasFresh = true;
  const stopListening = listen((event, state) => {
    liveTiles.stale(!isFresh(state));
    tops.live(event, state);
    // What came live is asked for now: it is answered, or marked as old.
    if (wasFresh && !isFresh(state)) for (const card of [chartCard, tops]) card.refresh();
    wasFresh = isFresh(state);
    if (!event) return;
    firstClick.show(event.totals.received);
    spark.add(event.clicks_per_second);
    tiles.set('rate', compact(event.clicks_per_second), `${number(event.totals.counted)} in all`);
    const finalText = event.final_until ? `final until ${local(event.final_until)}` : '';
    tiles.set('lag', duration(event.watermark_age_ms), finalText);
    if (event.lag_records === null) tiles.set('unread', '–', 'Kafka does not answer');
    else tiles.count('unread', event.lag_records, 'in Kafka');
    changes.add(event.changes);
    if (!series?.range.isMoving || series.range.granularity !== 'minute' || isFiltered(address)) return;
    const merged = mergeLive(series, event, rangeOf(address, shownZone(), Date.parse(event.at)));
    if (merged) {
      series = merged;
      showSeries();
    }
    // Of older minutes an event tells only that something has changed.
    if (!merged || event.changes.length > 0 || event.pending_late !== pendingLate) chartCard.refresh({ isNews: true });
    pendingLate = event.pending_late;
  });
  // What is not told live is asked for again now and then: minutes that are over are restated, and what failed may be well again.
  const stop = every(15_000, () => {
    chartCard.refresh();
    countries.refresh();
    tops.refresh();
  });

  root.append(
    h(
      'div',
      { class: 'top' },
      h('h1', {}, 'Overview'),
      filter.element,
      storedFilter.element,
      zonePicker.element,
      rangeBar.element,
      rangeBar.form,
    ),
    firstClick.element,
    h('div', { class: 'grid' }, tiles.element, chartCard.element, tops.element, countries.element, changes.element),
  );
  return {
    update(next) {
      address = next;
      series = undefined;
      rangeBar.show(next);
      zonePicker.show(next);
      filter.show(next);
      storedFilter.show(next);
      chartCard.renew();
      countries.renew();
      tops.renew();
    },
    close() {
      stopListening();
      stop();
      for (const card of [chartCard, countries, tops]) card.close();
      chart.close();
    },
  };
}

/** Of all of them: as final as the least final one. */
function stateOf(points) {
  if (points.some(point => point.state === 'provisional')) return 'provisional';
  return points.some(point => point.state === 'restated') ? 'restated' : 'final';
}

function shareOf(part, all) {
  return `${((100 * part) / Math.max(1, all)).toFixed(2)} %`;
}
