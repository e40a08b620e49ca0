/** Shows whether every line is accounted for: received = counted + duplicates + quarantined. It compares the acknowledgements that clients got, the counters, and the rows in the store. */
import { h } from '../dom.js';
import { counted, number, signed, timeElement } from '../format.js';
import { createCard } from './card.js';
import { tableOf } from './table.js';

/** @import { StatusAnswer } from '../api-types.ts' */
/** @import { Column } from './table.js' */

/**
 * @typedef {StatusAnswer['conservation']} Conservation
 * @typedef {NonNullable<Conservation['rows']>['differences'][number]} RowsDifference
 */

export function createConservation() {
  const card = createCard({
    title: 'Conservation',
    width: 'w8',
    note: 'all lines since the beginning of the log: each is counted, a duplicate or quarantined',
    takes: 'conservation-differences',
  });
  const { body } = card;
  /** @param {string} value @param {string} name */
  const term = (value, name) => h('div', {}, h('b', {}, value), h('span', {}, name));
  /** @param {string} text */
  const sign = text => h('i', {}, text);
  return {
    element: card.element,
    clear: () => body.replaceChildren(),
    /** @param {boolean} isStale */
    stale: isStale => body.toggleAttribute('data-stale', isStale),
    /** @param {Conservation} conservation @param {StatusAnswer['late']} late */
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
            balanced ? 'true for every partition' : 'not true for every partition',
          ),
          h(
            'span',
            { class: 'muted' },
            unread_records === null
              ? 'unread records: not known'
              : counted(unread_records, 'unread record', 'unread records'),
          ),
        ),
        acknowledgedLine(lines),
        billingLine(lines),
        lateLine(late, uncounted),
        rowsLine(rows),
        ...(rows?.differences.length ? [tableOf('Lines that differ', differenceColumns, rows.differences)] : []),
      );
      card.look();
    },
  };
}

/**
 * Compares the clicks that ingest has acknowledged with the lines in the log. The log also holds lines without an
 * acknowledgement: the newest ones, those of other producers, and those of sends whose outcome ingest never learned.
 * @param {Pick<Conservation, 'acknowledged' | 'unacknowledged' | 'missing' | 'written_off'>} lines
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
    h('span', { class: 'muted' }, `${number(unacknowledged)} more received, without an acknowledgement in the log`),
    written_off > 0 ? h('span', { class: 'muted' }, `${number(written_off)} written off`) : '',
  );
}

/**
 * What is billed of all clicks.
 * @param {Pick<Conservation, 'gross' | 'duplicates' | 'invalid' | 'net'>} lines
 */
function billingLine({ gross, duplicates, invalid, net }) {
  const adds = gross === duplicates + invalid + net;
  const text = `${number(gross)} gross clicks ${adds ? '=' : '≠'} ${number(duplicates)} duplicates + ${number(invalid)} invalid + ${number(net)} net`;
  return h(
    'p',
    { class: 'rows', 'data-billing': adds ? 'ok' : 'differs' },
    h('span', {}, text),
    h('span', { class: 'muted' }, 'as counted live; net clicks are billed'),
  );
}

/**
 * Clicks that arrived too late: those that wait for a restatement, and those that no restatement has counted in time.
 * @param {StatusAnswer['late']} late
 * @param {Conservation['uncounted']} uncounted
 */
function lateLine({ clicks, minutes, since }, uncounted) {
  const [state, mark, text] =
    uncounted !== null && uncounted > 0
      ? ['uncounted', 'bad', `${counted(uncounted, 'is', 'are')} not counted`]
      : clicks > 0
        ? ['waiting', 'warn', `${counted(clicks, 'click waits', 'clicks wait')} for a restatement`]
        : ['ok', 'good', 'none waits for a restatement'];
  return h(
    'p',
    { class: 'rows', 'data-late': state },
    h('span', {}, 'Clicks that arrived too late'),
    h('span', { class: `tag ${mark}` }, text),
    clicks > 0
      ? h(
          'span',
          { class: 'muted' },
          `of ${counted(minutes, 'minute', 'minutes')}; the oldest arrived at `,
          timeElement(since),
        )
      : '',
  );
}

/**
 * Compares the rows in ClickHouse, by which advertisers are billed, with the counters. `rows` is null until the job runner
 * has compared them.
 * @param {Conservation['rows']} rows
 */
function rowsLine(rows) {
  const [state, mark, text] = rowsState(rows);
  return h(
    'p',
    { class: 'rows', 'data-rows': state },
    h('span', {}, 'Rows in ClickHouse compared with these counters'),
    h('span', { class: `tag ${mark}` }, text),
    rows?.checked_at ? h('span', { class: 'muted' }, 'compared ', timeElement(rows.checked_at, 'seconds')) : '',
  );
}

/** @param {Conservation['rows']} rows @returns {readonly [state: string, mark: string, text: string]} */
function rowsState(rows) {
  if (rows && rows.difference > 0) return ['differs', 'bad', `differ by ${counted(rows.difference, 'line', 'lines')}`];
  if (rows?.checked_at) return ['ok', 'good', 'agree in every partition'];
  return ['unknown', 'warn', 'not compared yet'];
}

/** @type {Column<RowsDifference>[]} */
const differenceColumns = [
  { head: 'Partition', value: row => row.partition },
  { head: 'Outcome', value: row => row.outcome },
  { head: 'Counted', isNumber: true, value: row => row.expected },
  { head: 'Found in rows', isNumber: true, value: row => row.found },
  { head: 'Difference', isNumber: true, value: row => row.difference, cell: row => signed(row.difference) },
];
