/** A table from columns: `{ head, cell(row), isNumber, isWide }`. */
import { h } from '../dom.js';

export function tableOf(label, columns, rows) {
  const classOf = ({ isNumber, isWide }) => (isNumber ? 'num' : isWide ? 'wide' : undefined);
  const head = columns.map(column =>
    h('th', { scope: 'col', class: column.isNumber ? 'num' : undefined }, column.head),
  );
  const lines = rows.map(row => {
    const cells = columns.map(column => h('td', { class: classOf(column) }, [column.cell(row)].flat()));
    return h('tr', {}, cells);
  });
  // It scrolls sideways on a phone, so a keyboard must be able to reach it.
  return h(
    'div',
    { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': label },
    h('table', {}, h('thead', {}, h('tr', {}, head)), h('tbody', {}, lines)),
  );
}
