/**
 * A table from columns: `{ head, value(row), cell(row), isNumber, isWide }`. `value` is what is taken along, exact; `cell` is
 * what is shown, where that is not the value itself.
 */
import { h } from '../dom.js';
import { number, signed } from '../format.js';
import { giveRows } from './take.js';

export function tableOf(label, columns, rows) {
  const classOf = ({ isNumber, isWide }) => (isNumber ? 'num' : isWide ? 'wide' : undefined);
  const head = columns.map(column =>
    h('th', { scope: 'col', class: column.isNumber ? 'num' : undefined }, column.head),
  );
  const lines = rows.map(row => {
    const cells = columns.map(column => h('td', { class: classOf(column) }, [shown(column, row)].flat()));
    return h('tr', {}, cells);
  });
  // It scrolls sideways on a phone, so a keyboard must be able to reach it.
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

/** Of rows that have what was counted before and after a recount. */
export const changeColumn = {
  head: 'Change',
  isNumber: true,
  value: row => row.after - row.before,
  cell: row => h('b', {}, signed(row.after - row.before)),
};

function shown({ value, cell, isNumber }, row) {
  if (cell) return cell(row);
  return isNumber ? number(value(row) ?? null) : String(value(row) ?? '');
}
