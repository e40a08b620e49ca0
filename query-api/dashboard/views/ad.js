/** One ad: its series, how its final counts were changed, where its late clicks and copies went, and one click's trail. */

import { filterOf, go, hrefOf } from '../address.js';
import { get } from '../api.js';
import { createChart, legend } from '../chart.js';
import { h } from '../dom.js';
import { compact, counted, number, shortTime, signed, timeElement } from '../format.js';
import { createAdSearch } from '../parts/ad-search.js';
import { createCard } from '../parts/card.js';
import { createClickTrail } from '../parts/click-trail.js';
import { createCountryFilter } from '../parts/country-filter.js';
import { createRangeBar } from '../parts/range-bar.js';
import { stateMark } from '../parts/state-mark.js';
import { createStoredFilter } from '../parts/stored-filter.js';
import { tableOf } from '../parts/table.js';
import { createTiles } from '../parts/tiles.js';
import { queryOf, rangeOf, stepMs } from '../range.js';

export function mount(root) {
  let address = {};
  const rangeBar = createRangeBar();
  const filter = createCountryFilter();
  const storedFilter = createStoredFilter();
  const search = createAdSearch(ad => go({ ad }));
  const heading = h('h1', {}, 'One ad');
  const tiles = createTiles('In the range', {
    count: 'Clicks',
    before: 'Range before',
    duplicates: 'Copies not counted',
    late: 'Late, still counted',
    tooLate: 'Too late, in quarantine',
    restated: 'Added by restatement',
  });

  const chart = createChart({ label: 'Clicks of the ad over time' });
  const chartCard = createCard({
    title: 'Clicks',
    actions: [legend()],
    async load(signal) {
      const range = rangeOf(address);
      const query = { ad_id: address.ad, ...queryOf(range), granularity: range.granularity, ...filterOf(address) };
      const { series, previous, state, pending_late } = await get(
        '/v1/ads/series',
        { ...query, compare: 'previous' },
        signal,
      );
      const [{ points, count, duplicates, late }] = series;
      chart.show({ points, from: range.from, to: range.to, step: stepMs[range.granularity] });
      chartCard.note(`per ${range.granularity}, ${shortTime(range.from)} to ${shortTime(range.to)}`);
      tiles.set('count', compact(count), [stateMark(state, pending_late)]);
      tiles.set('before', compact(previous.count), [stateMark(previous.state, previous.pending_late)]);
      tiles.set('duplicates', compact(duplicates), 'same click again');
      tiles.set('late', compact(late), late === null ? 'not told by raw clicks' : 'came after their minute closed');
      return chart.element;
    },
  });

  const restatements = createCard({
    title: 'Restatements',
    note: 'changes of final counts in the range',
    width: 'w6',
    isFlush: true,
    empty: 'No final count of this ad was changed in the range.',
    async load(signal) {
      const range = rangeOf(address);
      // Whole minutes, whatever the chart shows.
      const query = { ...queryOf(range), country: address.country, limit: 200 };
      const answer = await get(`/v1/ads/${encodeURIComponent(address.ad)}/restatements`, query, signal);
      const rows = answer.restatements.toReversed();
      const added = rows.reduce((sum, row) => sum + row.after - row.before, 0);
      tiles.set('restated', signed(added), counted(rows.length, 'change', 'changes'));
      return rows.length === 0 ? undefined : tableOf('Restatements', restatementColumns, rows);
    },
  });

  const quarantine = createCard({
    title: 'Not counted',
    note: 'lines of this ad in quarantine, newest first, all times',
    width: 'w6',
    isFlush: true,
    empty: 'No line of this ad is in quarantine.',
    async load(signal) {
      const { reasons, lines } = await get('/v1/quarantine', { ad_id: address.ad, limit: 50 }, signal);
      const tooLate = reasons.find(({ reason }) => reason === 'too_late')?.lines ?? 0;
      tiles.set(
        'tooLate',
        compact(tooLate),
        reasons.map(row => `${number(row.lines)} ${row.reason}`).join(', ') || 'none',
      );
      return lines.length === 0 ? undefined : tableOf('Lines in quarantine', quarantineColumns(address), lines);
    },
  });
  const trail = createClickTrail();

  const details = h(
    'div',
    { class: 'grid' },
    tiles.element,
    chartCard.element,
    restatements.element,
    quarantine.element,
  );
  const invitation = h('p', { class: 'card notice' }, 'Find an ad by its id, or choose one of the top list.');
  root.append(
    h(
      'div',
      { class: 'top' },
      heading,
      search.element,
      filter.element,
      storedFilter.element,
      rangeBar.element,
      rangeBar.form,
    ),
    invitation,
    details,
    trail.element,
  );

  const refresh = () => {
    if (!address.ad) return;
    for (const card of [chartCard, restatements, quarantine]) card.refresh();
  };
  const timer = setInterval(() => {
    if (!document.hidden && rangeOf(address).isMoving) refresh();
  }, 5_000);
  return {
    update(next) {
      address = next;
      heading.textContent = next.ad ?? 'One ad';
      search.show(next.ad);
      rangeBar.show(next);
      filter.show(next);
      storedFilter.show(next);
      invitation.hidden = Boolean(next.ad);
      details.hidden = !next.ad;
      refresh();
      trail.show(next.event);
      if (next.ad) {
        get('/v1/ads/countries', { ad_id: next.ad, ...queryOf(rangeOf(next)) }).then(
          ({ countries }) => filter.offer(countries.map(row => row.country)),
          () => undefined,
        );
      }
    },
    close() {
      clearInterval(timer);
      chart.close();
    },
  };
}

const restatementColumns = [
  { head: 'Minute', cell: row => timeElement(row.minute) },
  { head: 'Country', cell: row => row.country },
  { head: 'Before', isNumber: true, cell: row => number(row.before) },
  { head: 'After', isNumber: true, cell: row => number(row.after) },
  { head: 'Change', isNumber: true, cell: row => h('b', {}, signed(row.after - row.before)) },
  { head: 'Why', cell: row => h('span', { class: 'tag warn' }, row.reason) },
  { head: 'When', cell: row => timeElement(row.at) },
  { head: 'Job', cell: row => h('a', { href: hrefOf({ view: 'replay', job: row.job }) }, `…${row.job.slice(-6)}`) },
];

function quarantineColumns(address) {
  return [
    { head: 'Came', cell: row => timeElement(row.appended_at) },
    { head: 'Clicked', cell: row => timeElement(row.clicked_at) },
    { head: 'Why', cell: row => h('span', { class: 'tag bad' }, row.reason) },
    {
      head: 'Event',
      cell: row =>
        h('a', { class: 'mono', href: hrefOf({ ...address, event: row.event_id }) }, row.event_id || 'unknown'),
    },
  ];
}
