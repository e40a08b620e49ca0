/**
 * Writes rows as CSV for a file, and as text with tabs for the clipboard. Like all CSV of the project (`infra/csv.ts`), it puts
 * an apostrophe before each text that a spreadsheet could run as a formula, because anybody may put such a text into an id.
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
