/** Copies the rows that a card shows to the clipboard, or saves them as a file. Each element that shows rows gives them as exact values. */
import { csvOf, tabbedOf } from '../csv.js';
import { byId, h, setText } from '../dom.js';

/** @import { Cell } from '../csv.js' */

/** @typedef {{ readonly columns: readonly string[], readonly rows: readonly (readonly Cell[])[] }} Table */

/** @type {WeakMap<Element, () => Table>} */
const rowsOf = new WeakMap();

/**
 * Says which rows an element shows: `rows()`.
 * @template {HTMLElement} E
 * @param {E} element
 * @param {() => Table} rows
 */
export function giveRows(element, rows) {
  rowsOf.set(element, rows);
  element.dataset.taken = '';
  return element;
}

/**
 * Makes the buttons for the rows that `body` shows. `name` is the name of the file.
 * @param {HTMLElement} body
 * @param {string} name
 */
export function createTake(body, name) {
  const shown = () => {
    const element = body.querySelector('[data-taken]');
    return element ? rowsOf.get(element)?.() : undefined;
  };
  const copy = h('button', { type: 'button', class: 'link', 'data-take': 'copy', onclick: copyRows }, 'Copy');
  const file = h('button', { type: 'button', class: 'link', 'data-take': 'csv', onclick: saveRows }, 'CSV');
  const element = h('span', { class: 'take', hidden: true }, copy, file);
  function copyRows() {
    const table = shown();
    if (table) copyText(tabbedOf(table.columns, table.rows), copy);
  }
  function saveRows() {
    const table = shown();
    if (table) saveText(csvOf(table.columns, table.rows), `${name}.csv`);
  }
  return {
    element,
    /** To be called after the content of the body has changed. */
    look() {
      element.hidden = !body.querySelector('[data-taken]');
    },
  };
}

/** @param {string} text @param {HTMLButtonElement} button */
export async function copyText(text, button) {
  const isCopied = await toClipboard(text);
  const before = button.textContent;
  if (button.dataset.copied !== undefined) return;
  button.dataset.copied = '';
  button.textContent = isCopied ? 'Copied' : 'Copying failed';
  setText(byId('spoken'), button.textContent);
  setTimeout(() => {
    delete button.dataset.copied;
    button.textContent = before;
  }, 1_200);
}

/**
 * Browsers offer `navigator.clipboard` only to pages that come over TLS or from the same machine.
 * @param {string} text
 */
async function toClipboard(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // The older way below may still be allowed.
  }
  const area = h('textarea', { class: 'unseen', 'aria-hidden': 'true', tabindex: '-1' });
  document.body.append(area);
  area.value = text;
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  return isCopied;
}

/** @param {string} text @param {string} name */
function saveText(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
