/** Overview: what happens now, and what happened in the range. */

import { isFiltered } from '../address.js';
import { h } from '../dom.js';
import { compact, duration, local, number } from '../format.js';
import { isFresh, listen } from '../live.js';
import { createChanges } from '../parts/changes.js';
import { createClicksChart } from '../parts/clicks-chart.js';
import { createCountries } from '../parts/countries.js';
import { createFirstClick } from '../parts/first-click.js';
import { createRangeControls } from '../parts/range-controls.js';
import { createSparkline } from '../parts/sparkline.js';
import { createTiles } from '../parts/tiles.js';
import { createTops } from '../parts/tops.js';
import { every } from '../poll.js';

/** @import { Address } from '../address.js' */
/** @import { LiveEvent } from '../api-types.ts' */
/** @import { LiveState } from '../live.js' */
/** @import { Tiles } from '../parts/tiles.js' */

/** @param {HTMLElement} root */
export function mount(root) {
  /** @type {Address} */
  let current = {};
  const address = () => current;
  const controls = createRangeControls();
  const firstClick = createFirstClick();
  const tiles = createTiles('Now and in the range', {
    rate: 'Clicks per second',
    count: 'Clicks, net',
    invalid: 'Invalid, not billed',
    duplicates: 'Duplicates, not billed',
    late: 'Late, counted',
    lag: 'Watermark age',
    unread: 'Unread records',
  });
  const showLive = createLiveTiles(tiles, () => isFiltered(current));
  const chart = createClicksChart({ address, tiles });
  const tops = createTops(address);
  const countries = createCountries({ address, offer: controls.offerCountries });
  const changes = createChanges();

  let wasFresh = true;
  const stopListening = listen((event, state, missedSince) => {
    showLive(event, state);
    tops.live(event, state);
    // Without live events these numbers are asked for, so that they are answered or marked as old.
    if (wasFresh && !isFresh(state)) for (const card of [chart, tops]) card.refresh();
    wasFresh = isFresh(state);
    if (!event) return;
    if (event.totals) firstClick.show(event.totals.received);
    changes.add(event.changes, missedSince);
    // A delayed event would take the chart back to its time.
    if (isFresh(state)) chart.live(event, missedSince !== undefined);
  });
  // Live events do not hold all numbers: minutes that have ended may be restated, and a request that failed may succeed now.
  const stop = every(15_000, () => {
    for (const card of [chart, countries, tops]) card.refresh();
  });

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Overview'), controls.elements),
    firstClick.element,
    h('div', { class: 'grid' }, tiles.element, chart.element, tops.element, countries.element, changes.element),
  );
  return {
    /** @param {Address} next */
    update(next) {
      current = next;
      controls.show(next);
      changes.show(next);
      for (const card of [chart, countries, tops]) card.renew();
    },
    close() {
      stopListening();
      stop();
      for (const card of [chart, countries, tops]) card.close();
    },
  };
}

/**
 * Live events count all clicks. If the other numbers of the page are filtered, the tile says so.
 * @param {Tiles<'rate' | 'lag' | 'unread'>} tiles
 * @param {() => boolean} areOthersFiltered
 */
function createLiveTiles(tiles, areOthersFiltered) {
  const live = tiles.part(['rate', 'lag', 'unread']);
  const spark = createSparkline();
  tiles.add('rate', spark.element);
  /** @param {LiveEvent | undefined} event @param {LiveState} state */
  return (event, state) => {
    live.stale(!isFresh(state));
    if (!event) return;
    spark.add(event.clicks_per_second);
    const all = event.totals ? `${number(event.totals.counted)} counted in all` : `of the ads of ${event.tenant}`;
    tiles.set('rate', compact(event.clicks_per_second), areOthersFiltered() ? `${all}, without the filter` : all);
    const finalText = event.final_until ? `final until ${local(event.final_until)}` : '';
    tiles.set('lag', duration(event.watermark_age_ms), finalText);
    if (event.tenant !== null) tiles.set('unread', '–', 'not told by tenant');
    else if (event.lag_records === null) tiles.set('unread', '–', 'Kafka does not answer');
    else tiles.count('unread', event.lag_records, 'in Kafka');
  };
}
