/** One ad: its series, how its final counts were changed, what became of its late clicks, and one click's trail. Without an ad: all of them. */

import { filterOf, go, hrefOf, isFiltered } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { serverTime } from '../clock.js';
import { h } from '../dom.js';
import { counted, number, shownZone, signed, span, timeElement } from '../format.js';
import { createAdSearch } from '../parts/ad-search.js';
import { createAdsList } from '../parts/ads-list.js';
import { createCard } from '../parts/card.js';
import { createClickTrail } from '../parts/click-trail.js';
import { comparison } from '../parts/comparison.js';
import { createCountries } from '../parts/countries.js';
import { createCountryFilter } from '../parts/country-filter.js';
import { createLinesSum } from '../parts/lines-sum.js';
import { createOutcomeChoice, ofAll, outcomeMark, reasonText, sumsOf } from '../parts/outcomes.js';
import { createRangeBar } from '../parts/range-bar.js';
import { stateMark } from '../parts/state-mark.js';
import { createStoredFilter } from '../parts/stored-filter.js';
import { changeColumn, tableOf } from '../parts/table.js';
import { createTiles } from '../parts/tiles.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';
import { queryOf, rangeOf } from '../range.js';

const dayMs = 86_400_000;

export function mount(root) {
  let address = {};
  const range = () => rangeOf(address, shownZone());
  const rangeBar = createRangeBar();
  const zonePicker = createZonePicker();
  const filter = createCountryFilter();
  const storedFilter = createStoredFilter();
  const search = createAdSearch(ad => go({ ad }), {
    query: () => ({ ...queryOf(range()), ...filterOf(address) }),
    isFiltered: () => isFiltered(address),
  });
  const list = createAdsList();
  const heading = h('h1', {}, 'Ads');
  const tiles = createTiles('In the range', {
    count: 'Clicks',
    duplicates: 'Duplicates, not counted',
    late: 'Late, counted',
    restated: 'Added by restatements',
    waiting: 'Late, waiting',
    never: 'In no count',
  });

  const linesSum = createLinesSum();

  const chart = createChart({ label: 'Clicks of the ad over time' });
  const chartCard = createCard({
    title: 'Clicks',
    actions: [legend()],
    fills: [tiles.part(['count', 'duplicates', 'late', 'waiting']), chart, linesSum],
    holds: chart.element,
    takes: 'ad-clicks',
    async load(signal) {
      const { from, to, granularity } = range();
      const query = { ...queryOf({ from, to }), granularity, timezone: shownZone(), ...filterOf(address) };
      const { series, previous, state, pending_late } = await get(
        '/v1/ads/series',
        { ad_id: address.ad, ...query, compare: 'previous' },
        signal,
      );
      const [{ points, count, duplicates, late }] = series;
      const unseen = count === 0 && (await neverSeen(address.ad, signal));
      chart.show({ points, from, to });
      chartCard.note(`per ${granularity}, ${span(from, to)}`);
      const before = unseen ? h('span', { class: 'bad-text' }, unseen) : comparison(count, previous);
      tiles.count('count', count, [stateMark(state, pending_late), before]);
      tiles.count('duplicates', duplicates, 'the same click once more');
      tiles.count('late', late, late === null ? 'Raw clicks do not tell it.' : 'came after their minute had closed');
      tiles.count('waiting', pending_late, 'for their restatement, of all countries');
      linesSum.show({ isFiltered: isFiltered(address), count, duplicates });
      return chart.element;
    },
  });

  let [changesShown, linesShown] = [200, 50];
  const restatements = createCard({
    title: 'Restatements',
    width: 'w6',
    isFlush: true,
    fills: [tiles.part(['restated']), linesSum],
    takes: 'ad-restatements',
    empty: () => `No final count of this ad${ofCountry(address)} was changed in the range.`,
    async load(signal) {
      const query = { ...queryOf(range()), country: address.country, order: 'newest', limit: changesShown };
      const answer = await get(`/v1/ads/${encodeURIComponent(address.ad)}/restatements`, query, signal);
      const { total, restatements: rows } = answer;
      linesSum.show({ added: total.added, addedDuplicates: total.added_duplicates });
      tiles.count('restated', total.added, counted(total.changes, 'change of a count', 'changes of counts'), signed);
      restatements.note(
        `${counted(total.changes, 'change', 'changes')} of final counts in the range, ${signed(total.added)} clicks${address.filter ? ', whatever the filter' : ''}`,
      );
      if (rows.length === 0) return undefined;
      return [
        tableOf('Restatements', restatementColumns, rows),
        ofAll(rows.length, total.changes, changesShown < 10_000 && moreChanges),
      ];
    },
  });

  const outcomeChoice = createOutcomeChoice();
  const quarantine = createCard({
    title: 'Late and refused',
    note: 'lines of this ad that were not counted when they came',
    width: 'w6',
    isFlush: true,
    actions: [outcomeChoice.element],
    fills: [tiles.part(['never']), linesSum],
    takes: 'ad-quarantine',
    empty: () =>
      address.outcome
        ? 'No such line of this ad in the range.'
        : 'Every line of this ad in the range was counted when it came.',
    async load(signal) {
      const { from, to } = range();
      const query = {
        ad_id: address.ad,
        clicked_from: from,
        clicked_to: to,
        outcome: address.outcome,
        limit: linesShown,
      };
      const { reasons, lines } = await get('/v1/quarantine', query, signal);
      const sums = sumsOf(reasons);
      const uncounted = reasons.filter(row => row.not_counted > 0);
      tiles.count(
        'never',
        sums.not_counted,
        uncounted.map(row => `${number(row.not_counted)} ${reasonText(row.reason)}`).join(', ') ||
          'no line, of all countries',
      );
      linesSum.show({ restated: sums.restated, waiting: sums.waiting, never: sums.not_counted });
      outcomeChoice.show(address.outcome, sums);
      quarantine.note(`of clicks in the range and all countries: ${counted(sums.lines, 'line', 'lines')}`);
      if (lines.length === 0) return undefined;
      const all = address.outcome ? sums[address.outcome] : sums.lines;
      return [
        tableOf('Lines in quarantine', quarantineColumns(address), lines),
        ofAll(lines.length, all, linesShown < 1_000 && moreLines),
      ];
    },
  });
  const byCountry = { address: () => address, offer: codes => filter.offer(codes) };
  const countries = createCountries({ ...byCountry, adId: () => address.ad, width: 'w12' });
  const countriesOfAll = createCountries(byCountry);
  function moreChanges() {
    changesShown = Math.min(10_000, changesShown * 10);
    restatements.refresh({ isNews: true });
  }
  function moreLines() {
    linesShown = Math.min(1_000, linesShown * 10);
    quarantine.refresh({ isNews: true });
  }
  const trail = createClickTrail();

  const details = h(
    'div',
    { class: 'grid' },
    tiles.element,
    linesSum.element,
    chartCard.element,
    restatements.element,
    quarantine.element,
    countries.element,
  );
  const all = h('div', { class: 'grid' }, list.element, countriesOfAll.element);
  root.append(
    h(
      'div',
      { class: 'top' },
      heading,
      search.element,
      filter.element,
      storedFilter.element,
      zonePicker.element,
      rangeBar.element,
      rangeBar.form,
    ),
    all,
    details,
    trail.element,
  );

  const cards = [chartCard, restatements, quarantine, countries];
  const refresh = () => {
    if (address.ad) for (const card of cards) card.refresh();
  };
  const stop = every(5_000, () => range().isMoving && refresh());
  // Other minutes change only by restatements, and what failed may be well again.
  const stopRarely = every(15_000, () => !range().isMoving && refresh());
  return {
    update(next) {
      address = next;
      heading.textContent = next.ad ?? 'Ads';
      search.show(next.ad);
      rangeBar.show(next);
      zonePicker.show(next);
      filter.show(next);
      storedFilter.show(next);
      all.hidden = Boolean(next.ad);
      details.hidden = !next.ad;
      if (next.ad) for (const card of cards) card.renew();
      else {
        list.show(next);
        countriesOfAll.renew();
      }
      trail.show(next.event);
    },
    close() {
      stop();
      stopRarely();
      for (const card of [...cards, countriesOfAll]) card.close();
      list.close();
      chart.close();
    },
  };
}

/** Of an ad without clicks in the range: whether it has any at all, as far as one request may look back. */
async function neverSeen(ad, signal) {
  const now = Math.floor(serverTime() / 60_000) * 60_000 + 60_000;
  const span = { from: now - 31 * dayMs, to: now };
  const { count, duplicates } = await get(`/v1/ads/${encodeURIComponent(ad)}/aggregated_count`, queryOf(span), signal);
  if (count + duplicates === 0)
    return 'No clicks yet: none in the last 31 days. See whether the id is spelled as it was posted.';
  return `None in the range; ${number(count)} in the last 31 days.`;
}

function ofCountry({ country }) {
  return country ? ` in ${country}` : '';
}

const restatementColumns = [
  { head: 'Minute', value: row => row.minute, cell: row => timeElement(row.minute) },
  { head: 'Country', value: row => row.country },
  { head: 'Before', isNumber: true, value: row => row.before },
  { head: 'After', isNumber: true, value: row => row.after },
  changeColumn,
  { head: 'Why', value: row => row.reason, cell: row => h('span', { class: 'tag warn' }, row.reason) },
  { head: 'When', value: row => row.at, cell: row => timeElement(row.at) },
  {
    head: 'Job',
    value: row => row.job,
    cell: row => h('a', { href: hrefOf({ view: 'replay', job: row.job }) }, `…${row.job.slice(-6)}`),
  },
];

function quarantineColumns(address) {
  return [
    { head: 'Arrived', value: row => row.appended_at, cell: row => timeElement(row.appended_at) },
    { head: 'Clicked', value: row => row.clicked_at, cell: row => timeElement(row.clicked_at) },
    { head: 'Why', value: row => row.reason, cell: row => reasonText(row.reason) },
    { head: 'Now', value: row => row.outcome, cell: row => outcomeMark(row.outcome) },
    {
      head: 'Event',
      value: row => row.event_id,
      cell: row =>
        h('a', { class: 'mono', href: hrefOf({ ...address, event: row.event_id }) }, row.event_id || 'not readable'),
    },
  ];
}
