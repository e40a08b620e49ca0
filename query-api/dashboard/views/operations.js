/** Operations: how far each partition is, whether everything is accounted for, what was set aside, and who is well. */

import { go } from '../address.js';
import { get } from '../api.js';
import { h } from '../dom.js';
import { compact, counted, duration, number, signed, timeElement } from '../format.js';
import { listen } from '../live.js';
import { createCard } from '../parts/card.js';
import { createHealth } from '../parts/health.js';
import { tableOf } from '../parts/table.js';
import { createTiles } from '../parts/tiles.js';

export function mount(root) {
  let address = {};
  const tiles = createTiles('The pipeline', {
    watermark: 'Watermark behind',
    final: 'Final until',
    unread: 'Records unread',
    rate: 'Clicks per second',
    quarantined: 'Lines in quarantine',
    balance: 'Conservation',
  });
  const stirred = createStirWatch();

  const partitions = createCard({
    title: 'Partitions',
    width: 'w8',
    isFlush: true,
    empty: 'No partition has been heard of yet.',
    async load(signal) {
      const status = await get('/v1/status', {}, signal);
      showTiles(tiles, status);
      identity.show(status.conservation, status.late);
      const rows = status.partitions.map(row => ({ ...row, quietMs: stirred.quietMs(row) }));
      return rows.length === 0 ? undefined : tableOf('Partitions', partitionColumns, rows);
    },
  });
  const identity = createIdentity();
  const health = createHealth();

  const quarantine = createCard({
    title: 'Quarantine',
    note: 'what was not counted, whole, newest first',
    isFlush: true,
    empty: 'Nothing was set aside.',
    async load(signal) {
      const { reasons, lines } = await get('/v1/quarantine', { reason: address.reason, limit: 25 }, signal);
      const all = reasons.reduce((sum, row) => sum + row.lines, 0);
      const choice = (reason, count) =>
        h(
          'button',
          {
            type: 'button',
            'data-reason': reason ?? 'all',
            'aria-pressed': String(reason === address.reason),
            onclick: () => go({ reason }),
          },
          `${reason ?? 'all'} ${number(count)}`,
        );
      reasonChoice.replaceChildren(choice(undefined, all), ...reasons.map(row => choice(row.reason, row.lines)));
      reasonChoice.hidden = all === 0;
      return lines.length === 0 ? undefined : tableOf('Lines in quarantine', lineColumns, lines);
    },
  });
  const reasonChoice = h('div', { class: 'choices', role: 'group', 'aria-label': 'Reason', hidden: true });
  const exported = format =>
    h('a', { 'data-export': format, download: true, href: '/v1/quarantine/export' }, `Export ${format}`);
  const exports = [exported('NDJSON'), exported('CSV')];
  quarantine.element.firstElementChild.append(reasonChoice, ...exports);

  root.append(
    h('div', { class: 'top' }, h('h1', {}, 'Operations')),
    h(
      'div',
      { class: 'grid' },
      tiles.element,
      identity.element,
      partitions.element,
      h('div', { class: 'w4' }, health.element),
      quarantine.element,
    ),
  );

  const stopListening = listen((event, state) => {
    health.live(event, state);
    if (!event) return;
    tiles.set('rate', compact(event.clicks_per_second), `${number(event.totals.counted)} in all`);
    tiles.set('watermark', duration(event.watermark_age_ms), [timeElement(event.watermark, 'seconds')]);
  });
  const timer = setInterval(() => {
    if (document.hidden) return;
    partitions.refresh();
    health.refresh();
  }, 2_000);
  // Somebody may be reading the lines: they are asked for again more rarely.
  const slowTimer = setInterval(() => !document.hidden && quarantine.refresh(), 10_000);
  return {
    update(next) {
      address = next;
      for (const link of exports) link.href = exportHref(link.dataset.export, address);
      partitions.refresh();
      quarantine.refresh();
      health.refresh();
    },
    close() {
      stopListening();
      clearInterval(timer);
      clearInterval(slowTimer);
    },
  };
}

/** All lines of what is looked at, not only those shown. */
function exportHref(format, { reason }) {
  const query = new URLSearchParams({ format: format.toLowerCase(), ...(reason && { reason }) });
  return `/v1/quarantine/export?${query}`;
}

function showTiles(tiles, { final_until, conservation, quarantine, watermark, watermark_age_ms }) {
  tiles.set('watermark', duration(watermark_age_ms), [timeElement(watermark, 'seconds')]);
  tiles.set('final', final_until ? '' : '–', '');
  if (final_until) tiles.set('final', timeElement(final_until).textContent, 'in every partition');
  const { unread_records: unread, balanced, rows, missing, written_off, uncounted } = conservation;
  tiles.set('unread', unread === null ? '?' : compact(unread), unread === null ? 'Kafka does not answer' : 'in Kafka');
  const set = Object.entries(quarantine);
  const lines = set.reduce((sum, [, count]) => sum + count, 0);
  tiles.set(
    'quarantined',
    compact(lines),
    set.map(([reason, count]) => `${number(count)} ${reason}`).join(', ') || 'none',
  );
  const differs = rows !== null && rows.difference > 0;
  const asRows = differs ? 'rows differ' : rows?.checked_at ? 'also as rows' : 'rows not compared yet';
  const why =
    missing > written_off
      ? 'acknowledged clicks are missing'
      : uncounted > 0
        ? 'late clicks are in no count'
        : 'see the partitions';
  tiles.set('balance', balanced && !differs ? 'Balanced' : 'Broken', balanced ? asRows : why);
}

/** received = counted + duplicates + quarantined, in numbers. */
function createIdentity() {
  const card = createCard({
    title: 'Conservation',
    note: 'lines since the beginning of the log: each is counted, a copy, or set aside',
  });
  const body = card.element.lastElementChild;
  const term = (value, name) => h('div', {}, h('b', {}, value), h('span', {}, name));
  const sign = text => h('i', {}, text);
  return {
    element: card.element,
    show({ unread_records, balanced, rows, uncounted, ...lines }, late) {
      body.replaceChildren(
        h(
          'div',
          { class: 'equation' },
          term(number(lines.received), 'received'),
          sign(balanced ? '=' : '≠'),
          term(number(lines.counted), 'counted'),
          sign('+'),
          term(number(lines.duplicates), 'duplicates'),
          sign('+'),
          term(number(lines.quarantined), 'quarantined'),
          h(
            'span',
            { class: balanced ? 'tag good' : 'tag bad' },
            balanced ? 'holds in every partition' : 'does not hold',
          ),
          h(
            'span',
            { class: 'muted' },
            unread_records === null ? 'unread: not known' : `${number(unread_records)} records unread`,
          ),
        ),
        acknowledgedLine(lines),
        lateLine(late, uncounted),
        rowsLine(rows),
        ...(rows?.differences.length ? [tableOf('Lines that differ', differenceColumns, rows.differences)] : []),
      );
    },
  };
}

/**
 * What ingest has answered with 202, against what is in the log. The newest lines, those of other producers and those of
 * sends that failed are in the log without a word about them.
 */
function acknowledgedLine({ acknowledged, unacknowledged, missing, written_off }) {
  const open = missing - written_off;
  const [state, mark, text] =
    missing === 0
      ? ['ok', 'good', 'none is missing']
      : [open > 0 ? 'missing' : 'written-off', open > 0 ? 'bad' : 'warn', `${counted(missing, 'is', 'are')} missing`];
  return h(
    'p',
    { class: 'rows', 'data-acknowledged': state },
    h('span', {}, `${number(acknowledged)} clicks acknowledged to clients`),
    h('span', { class: `tag ${mark}` }, text),
    h('span', { class: 'muted' }, `${number(unacknowledged)} more received`),
    written_off > 0 ? h('span', { class: 'muted' }, `${number(written_off)} written off`) : '',
  );
}

/** Clicks that came too late: those that wait for their restatement, and those that it seems nobody will count. */
function lateLine({ clicks, minutes, since }, uncounted) {
  const [state, mark, text] =
    uncounted > 0
      ? ['uncounted', 'bad', `${counted(uncounted, 'is', 'are')} in no count`]
      : clicks > 0
        ? ['waiting', 'warn', `${counted(clicks, 'click waits', 'clicks wait')} for restatement`]
        : ['ok', 'good', 'none waits'];
  return h(
    'p',
    { class: 'rows', 'data-late': state },
    h('span', {}, 'Clicks that came too late'),
    h('span', { class: `tag ${mark}` }, text),
    clicks > 0
      ? h('span', { class: 'muted' }, `of ${counted(minutes, 'minute', 'minutes')}, since `, timeElement(since))
      : '',
  );
}

/** The same of the rows in ClickHouse, which are what is billed by. `rows`: null where this process compares none. */
function rowsLine(rows) {
  const [state, mark, text] = rowsState(rows);
  return h(
    'p',
    { class: 'rows', 'data-rows': state },
    h('span', {}, 'Rows in ClickHouse against these counters'),
    h('span', { class: `tag ${mark}` }, text),
    rows?.checked_at ? h('span', { class: 'muted' }, 'compared ', timeElement(rows.checked_at, 'seconds')) : '',
  );
}

function rowsState(rows) {
  if (rows?.difference > 0) return ['differs', 'bad', `differ by ${counted(rows.difference, 'line', 'lines')}`];
  if (rows?.checked_at) return ['ok', 'good', 'agree in every partition'];
  return ['unknown', 'warn', 'not compared yet'];
}

const differenceColumns = [
  { head: 'Partition', cell: row => String(row.partition) },
  { head: 'Outcome', cell: row => row.outcome },
  { head: 'Counted', isNumber: true, cell: row => number(row.expected) },
  { head: 'Found as rows', isNumber: true, cell: row => number(row.found) },
  { head: 'Difference', isNumber: true, cell: row => signed(row.difference) },
];

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

function stateOf({ lag_records, quietMs, balance, missing, written_off }) {
  if (balance !== 0) return h('span', { class: 'tag bad' }, 'does not balance');
  if (missing > written_off) return h('span', { class: 'tag bad' }, 'clicks are missing');
  if (quietMs > idleAfterMs && !lag_records) return h('span', { class: 'tag' }, `idle ${duration(quietMs)}`);
  if (lag_records > 1_000) return h('span', { class: 'tag warn' }, 'behind');
  return h('span', { class: 'tag good' }, 'counts');
}

const partitionColumns = [
  { head: '#', cell: row => String(row.partition) },
  { head: 'State', cell: stateOf },
  { head: 'Position', isNumber: true, cell: row => number(row.position) },
  { head: 'Lag, records', isNumber: true, cell: row => (row.lag_records === null ? '?' : number(row.lag_records)) },
  { head: 'Lag, event time', isNumber: true, cell: row => duration(row.watermark_age_ms) },
  { head: 'Watermark', cell: row => timeElement(row.watermark, 'seconds') },
  { head: 'Final until', cell: row => timeElement(row.final_until) },
  { head: 'Received', isNumber: true, cell: row => number(row.received) },
  { head: 'Counted', isNumber: true, cell: row => number(row.counted) },
  { head: 'Copies', isNumber: true, cell: row => number(row.duplicates) },
  { head: 'Set aside', isNumber: true, cell: row => number(row.quarantined) },
  { head: 'Missing', isNumber: true, cell: row => number(row.missing) },
];

const lineColumns = [
  { head: 'Came', cell: row => timeElement(row.appended_at) },
  { head: 'Why', cell: row => h('span', { class: 'tag bad' }, row.reason) },
  { head: 'Detail', isWide: true, cell: row => row.detail },
  { head: 'Where', cell: row => h('code', {}, `${row.partition}:${row.offset}/${row.line}`) },
  { head: 'Line', isWide: true, cell: row => h('code', { class: 'raw' }, row.raw) },
];
