/**
 * Makes a table from columns: `{ head, value(row), cell(row), isNumber, isWide }`. `value` is the exact value, which goes into
 * files. `cell` is what the page shows, if that is not the value itself.
 */
import { h } from '../dom.js';
import { number, signed } from '../format.js';
import { giveRows } from './take.js';

/** @import { Cell } from '../csv.js' */
/** @import { Child } from '../dom.js' */

/**
 * @template Row
 * @typedef {object} Column
 * @property {string} head
 * @property {(row: Row) => Cell} value
 * @property {(row: Row) => Child | readonly Child[]} [cell]
 * @property {boolean} [isNumber]
 * @property {boolean} [isWide]
 */

/**
 * @template Row
 * @param {string} label
 * @param {readonly Column<Row>[]} columns
 * @param {readonly Row[]} rows
 */
export function tableOf(label, columns, rows) {
  /** @param {Column<Row>} column */
  const classOf = ({ isNumber, isWide }) => (isNumber ? 'num' : isWide ? 'wide' : undefined);
  const head = columns.map(column =>
    h('th', { scope: 'col', class: column.isNumber ? 'num' : undefined }, column.head),
  );
  const lines = rows.map(row => {
    const cells = columns.map(column => h('td', { class: classOf(column) }, [shown(column, row)].flat()));
    return h('tr', {}, cells);
  });
  // The table scrolls sideways on a narrow screen, so the keyboard must be able to reach it.
  const element = h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
    h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, lines)),
  );
  return giveRows(element, () => ({
    columns: columns.map(column => column.head),
    rows: rows.map(row => columns.map(column => column.value(row) ?? null)),
  }));
}

/**
 * The change of a count, for rows that hold the count before and after a recount.
 * @type {Column<{ readonly before: number, readonly after: number }>}
 */
export const changeColumn = {
  head: 'Change',
  isNumber: true,
  value: row => row.after - row.before,
  cell: row => h('b', {}, signed(row.after - row.before)),
};

/**
 * @template Row
 * @param {Column<Row>} column
 * @param {Row} row
 * @returns {Child | readonly Child[]}
 */
function shown({ value, cell, isNumber }, row) {
  if (cell) return cell(row);
  const plain = value(row) ?? null;
  return isNumber && typeof plain !== 'string' ? number(plain) : String(plain ?? '');
}
