/** Operations: how far each partition is, whether everything is accounted for, what is in quarantine, and the health of each part. */

import { go } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { compact, counted, duration, number, shortTime, timeElement } from '../format.js';
import { isFresh, listen } from '../live.js';
import { createCard } from '../parts/card.js';
import { createConservation } from '../parts/conservation.js';
import { createHealth } from '../parts/health.js';
import { createOutcomeChoice, ofAll, outcomeMark, reasonText, sumsOf } from '../parts/outcomes.js';
import { tableOf } from '../parts/table.js';
import { createTiles } from '../parts/tiles.js';
import { createZonePicker } from '../parts/zone-picker.js';
import { every } from '../poll.js';

export function mount(root) {
  let address = {};
  const zonePicker = createZonePicker();
  const tiles = createTiles('The pipeline', {
    watermark: 'Watermark behind',
    final: 'Final until',
    unread: 'Unread records',
    rate: 'Clicks per second',
    quarantined: 'Lines in quarantine',
    balance: 'Conservation',
  });
  const liveTiles = tiles.part(['rate']);
  const stirred = createStirWatch();
  const conservation = createConservation();

  const partitions = createCard({
    title: 'Partitions',
    width: 'w8',
    isFlush: true,
    empty: 'No partition has been heard of yet: has the aggregator ever run?',
    fills: [tiles.part(['watermark', 'final', 'unread', 'quarantined', 'balance']), conservation],
    takes: 'partitions',
    async load(signal) {
      const status = await get('/v1/status', {}, signal);
      showTiles(tiles, status);
      conservation.show(status.conservation, status.late);
      health.jobs(status.job_runner);
      const rows = status.partitions.map(row => ({ ...row, quietMs: stirred.quietMs(row) }));
      return rows.length === 0 ? undefined : tableOf('Partitions', partitionColumns, rows);
    },
  });
  const health = createHealth();

  const outcomeChoice = createOutcomeChoice();
  const quarantine = createCard({
    title: 'Quarantine',
    note: 'lines that were not counted when they came, newest first',
    isFlush: true,
    takes: 'quarantine',
    empty: () => (address.reason || address.outcome ? 'No such line is in quarantine.' : 'No line is in quarantine.'),
    async load(signal) {
      const { reason, outcome } = address;
      const { reasons, lines } = await get('/v1/quarantine', { reason, outcome, limit: 25 }, signal);
      const choice = (name, count) =>
        h(
          'button',
          {
            type: 'button',
            'data-reason': name ?? 'all',
            'aria-pressed': String(name === address.reason),
            onclick: () => go({ reason: name }),
          },
          `${reasonText(name ?? 'all')} ${number(count)}`,
        );
      const all = sumsOf(reasons).lines;
      reasonChoice.replaceChildren(choice(undefined, all), ...reasons.map(row => choice(row.reason, row.lines)));
      reasonChoice.hidden = all === 0;
      const sums = sumsOf(reasons.filter(row => !reason || row.reason === reason));
      outcomeChoice.show(outcome, sums);
      if (lines.length === 0) return undefined;
      return [
        tableOf('Lines in quarantine', lineColumns, lines),
        ofAll(lines.length, outcome ? sums[outcome] : sums.lines),
      ];
    },
  });
  const reasonChoice = h('div', { class: 'choices', role: 'group', 'aria-label': 'Reason', hidden: true });
  const exported = format =>
    h('a', { 'data-export': format, download: true, href: '/v1/quarantine/export' }, `Export ${format}`);
  const exports = [exported('NDJSON'), exported('CSV')];
  quarantine.element.firstElementChild.append(reasonChoice, outcomeChoice.element, ...exports);

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Operations'), zonePicker.element),
    h(
      'div',
      { class: 'grid' },
      tiles.element,
      conservation.element,
      partitions.element,
      h('div', { class: 'w4' }, health.element),
      quarantine.element,
    ),
  );

  const stopListening = listen((event, state) => {
    liveTiles.stale(!isFresh(state));
    health.live(event, state);
    if (event) tiles.set('rate', compact(event.clicks_per_second), `${number(event.totals.counted)} in all`);
  });
  const stop = every(2_000, () => {
    partitions.refresh();
    health.refresh();
  });
  // Somebody may be reading the lines: they are asked for again more rarely.
  const stopRarely = every(10_000, () => quarantine.refresh());
  return {
    update(next) {
      address = next;
      zonePicker.show(next);
      for (const link of exports) link.href = exportHref(link.dataset.export, address);
      partitions.refresh();
      quarantine.renew();
      health.refresh();
    },
    close() {
      stopListening();
      stop();
      stopRarely();
      for (const card of [partitions, quarantine, health]) card.close();
    },
  };
}

/** All lines of what is looked at, not only those shown. */
function exportHref(format, { reason, outcome }) {
  const query = new URLSearchParams({
    format: format.toLowerCase(),
    ...(reason && { reason }),
    ...(outcome && { outcome }),
  });
  return `/v1/quarantine/export?${query}`;
}

function showTiles(tiles, { final_until, conservation, quarantine, partitions, watermark, watermark_age_ms }) {
  tiles.set('watermark', duration(watermark_age_ms), [timeElement(watermark, 'seconds')]);
  tiles.set('final', final_until ? shortTime(final_until) : '–', final_until ? 'in every partition' : '');
  const { unread_records: unread, balanced, rows, missing, written_off, uncounted } = conservation;
  tiles.count('unread', unread, unread === null ? 'Kafka does not answer' : 'in Kafka');
  const reasons = Object.entries(quarantine);
  const lines = reasons.reduce((sum, [, count]) => sum + count, 0);
  const text = reasons.map(([reason, count]) => `${number(count)} ${reasonText(reason)}`).join(', ');
  tiles.count('quarantined', lines, text || 'none');
  const differs = rows !== null && rows.difference > 0;
  const asRows = differs ? 'rows differ' : rows?.checked_at ? 'also as rows' : 'rows not compared yet';
  const stalled = partitions.filter(row => row.stalled_since !== null).length;
  const why =
    missing > written_off
      ? 'acknowledged clicks are missing'
      : uncounted > 0
        ? 'late clicks are in no count'
        : 'see the partitions';
  const told = balanced ? asRows : why;
  const stop = stalled > 0 ? `, but ${counted(stalled, 'partition is not counted', 'partitions are not counted')}` : '';
  tiles.set('balance', balanced && !differs ? 'Balanced' : 'Broken', `${told}${stop}`);
}

/** Since when a partition has had no new line, as seen by this page. */
function createStirWatch() {
  const seen = new Map();
  return {
    quietMs({ partition, received }) {
      const now = performance.now();
      const before = seen.get(partition);
      if (before === undefined || before.received !== received) {
        seen.set(partition, { received, at: now });
        return 0;
      }
      return now - before.at;
    },
  };
}

const idleAfterMs = 5_000;

/** `[mark, text]` */
function stateOf({ lag_records, quietMs, balance, missing, written_off, stalled_since }) {
  if (stalled_since !== null) return ['bad', `not counted since ${shortTime(stalled_since)}`];
  if (balance !== 0) return ['bad', 'does not balance'];
  if (missing > written_off) return ['bad', 'clicks are missing'];
  if (lag_records === null) return ['warn', 'not known: Kafka does not answer'];
  if (quietMs > idleAfterMs && lag_records === 0) return ['', `no clicks for ${duration(quietMs)}`];
  if (lag_records > 1_000) return ['warn', 'catching up'];
  return ['good', 'counting'];
}

const partitionColumns = [
  { head: '#', value: row => row.partition },
  {
    head: 'State',
    value: row => stateOf(row)[1],
    cell: row => {
      const [mark, text] = stateOf(row);
      return h('span', { class: `tag ${mark}` }, text);
    },
  },
  { head: 'Position', isNumber: true, value: row => row.position },
  { head: 'Unread records', isNumber: true, value: row => row.lag_records },
  { head: 'Behind', isNumber: true, value: row => row.watermark_age_ms, cell: row => duration(row.watermark_age_ms) },
  { head: 'Watermark', value: row => row.watermark, cell: row => timeElement(row.watermark, 'seconds') },
  { head: 'Final until', value: row => row.final_until, cell: row => timeElement(row.final_until) },
  { head: 'Received', isNumber: true, value: row => row.received },
  { head: 'Counted', isNumber: true, value: row => row.counted },
  { head: 'Duplicates', isNumber: true, value: row => row.duplicates },
  { head: 'Quarantined', isNumber: true, value: row => row.quarantined },
  { head: 'Missing', isNumber: true, value: row => row.missing },
];

const lineColumns = [
  { head: 'Arrived', value: row => row.appended_at, cell: row => timeElement(row.appended_at) },
  { head: 'Why', value: row => row.reason, cell: row => reasonText(row.reason) },
  { head: 'Now', value: row => row.outcome, cell: row => outcomeMark(row.outcome) },
  { head: 'Detail', isWide: true, value: row => row.detail },
  {
    head: 'Partition:offset/line',
    value: row => `${row.partition}:${row.offset}/${row.line}`,
    cell: row => h('code', {}, `${row.partition}:${row.offset}/${row.line}`),
  },
  { head: 'Line', isWide: true, value: row => row.raw, cell: row => h('code', { class: 'raw' }, row.raw) },
];
