/** Takes along what is shown: on the clipboard, or as a file. Elements that show rows say which, as exact values. */
import { csvOf, tabbedOf } from '../csv.js';
import { h, setText } from '../dom.js';

const rowsOf = new WeakMap();

/** `rows()` → `{ columns, rows }`, values as texts, numbers or null. */
export function giveRows(element, rows) {
  rowsOf.set(element, rows);
  element.dataset.taken = '';
  return element;
}

/** Buttons for the rows that are shown within `body`; `name`: of the file. */
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
    /** After what is shown has changed. */
    look() {
      element.hidden = !body.querySelector('[data-taken]');
    },
  };
}

export async function copyText(text, button) {
  const isCopied = await toClipboard(text);
  const before = button.textContent;
  if (button.dataset.copied !== undefined) return;
  button.dataset.copied = '';
  button.textContent = isCopied ? 'Copied' : 'Not allowed';
  setText(document.getElementById('spoken'), button.textContent);
  setTimeout(() => {
    delete button.dataset.copied;
    button.textContent = before;
  }, 1_200);
}

/** Pages that do not come over TLS, or from this machine, may not use the clipboard as it is meant today. */
async function toClipboard(text) {
  try {
    if (navigator.clipboard) {
      await navigator.clipboard.writeText(text);
      return true;
    }
  } catch {
    // The older way may be allowed all the same.
  }
  const area = h('textarea', { class: 'unseen', 'aria-hidden': 'true', tabindex: '-1' });
  document.body.append(area);
  area.value = text;
  area.select();
  const isCopied = document.execCommand('copy');
  area.remove();
  return isCopied;
}

function saveText(text, name) {
  const url = URL.createObjectURL(new Blob([text], { type: 'text/csv;charset=utf-8' }));
  const link = h('a', { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
