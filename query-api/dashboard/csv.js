/**
 * Rows as CSV for a file, and as text between tabs for the clipboard. The rule is that of all our CSV (`infra/csv.ts`): no
 * spreadsheet runs what somebody has put into an id, as a text that could be run gets an apostrophe before it.
 */
const runnable = /^[=+\-@＝＋－＠\t\r\n']/;

/** Values are texts, numbers or null. */
export function csvOf(columns, rows) {
  const cell = value => {
    if (value === null || value === undefined) return '';
    return typeof value === 'number' ? String(value) : `"${marked(value).replaceAll('"', '""')}"`;
  };
  return `${[columns, ...rows].map((row, i) => (i === 0 ? row.join(',') : row.map(cell).join(','))).join('\n')}\n`;
}

export function tabbedOf(columns, rows) {
  const cell = value =>
    typeof value === 'number' ? String(value) : marked(String(value ?? '').replaceAll(/\s+/g, ' '));
  return [columns, ...rows.map(row => row.map(cell))].map(row => row.join('\t')).join('\n');
}

function marked(text) {
  return runnable.test(text) ? `'${text}` : text;
}
