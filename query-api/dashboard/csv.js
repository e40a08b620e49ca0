/**
 * Rows as CSV for a file, and as text between tabs for the clipboard. The rule is that of all our CSV (`infra/csv.ts`): no
 * spreadsheet runs what somebody has put into an id, as a text that could be run gets an apostrophe before it.
 */
const runnable = /^[=+\-@＝＋－＠\t\r\n']/;

/** @typedef {string | number | null | undefined} Cell */

/**
 * @param {readonly string[]} columns
 * @param {readonly (readonly Cell[])[]} rows
 */
export function csvOf(columns, rows) {
  /** @param {Cell} value */
  const cell = value => {
    if (value === null || value === undefined) return '';
    return typeof value === 'number' ? String(value) : `"${marked(value).replaceAll('"', '""')}"`;
  };
  return `${[columns.join(','), ...rows.map(row => row.map(cell).join(','))].join('\n')}\n`;
}

/**
 * @param {readonly string[]} columns
 * @param {readonly (readonly Cell[])[]} rows
 */
export function tabbedOf(columns, rows) {
  /** @param {Cell} value */
  const cell = value =>
    typeof value === 'number' ? String(value) : marked(String(value ?? '').replaceAll(/\s+/g, ' '));
  return [columns, ...rows.map(row => row.map(cell))].map(row => row.join('\t')).join('\n');
}

/** @param {string} text */
function marked(text) {
  return runnable.test(text) ? `'${text}` : text;
}
