/** A top list whose rows move to their new places. */
import { h, setText } from '../dom.js';
import { compact, number } from '../format.js';
import { besideText } from './net-and-gross.js';
import { giveRows } from './take.js';

/** @import { Clicks } from './net-and-gross.js' */

/**
 * @typedef {{ readonly key: string, readonly count: number, readonly clicks?: Clicks, readonly more?: string, readonly isChosen?: boolean }} Rank
 */

/**
 * `hrefOf(key)` is the link of a row, and `nameOf(key)` its name. `columns` are the heads for key and count in files.
 * `moreTitle` says what the text behind the count means.
 *
 * @param {object} options
 * @param {string} options.label
 * @param {readonly string[]} options.columns
 * @param {(key: string) => string} [options.hrefOf]
 * @param {(key: string) => string} [options.nameOf]
 * @param {boolean} [options.isMono]
 * @param {string} [options.moreTitle]
 */
export function createRanks({ label, columns, hrefOf, nameOf = key => key, isMono = false, moreTitle }) {
  const list = h('ol', { class: 'ranks', 'aria-label': label });
  /** @type {Map<string, ReturnType<typeof rowOf>>} */
  const rows = new Map();
  /** @type {readonly Rank[]} */
  let shown = [];
  giveRows(list, () => ({
    columns: ['rank', ...columns, 'gross', 'invalid'],
    rows: shown.map(({ key, count, clicks }, i) => [i + 1, key, count, clicks?.gross ?? null, clicks?.invalid ?? null]),
  }));
  const calm = matchMedia('(prefers-reduced-motion: reduce)');

  /** @param {string} key */
  const rowOf = key => {
    const parts = {
      rank: h('span', { class: 'rank' }),
      name: h(hrefOf ? 'a' : 'span', { class: `name ${isMono ? 'mono' : ''}`, title: nameOf(key) }),
      count: h('span', { class: 'count' }),
      gross: h('span', { class: 'gross' }),
      more: h('span', { class: 'more', title: moreTitle }),
    };
    parts.name.append(nameOf(key));
    return { ...parts, element: h('li', { 'data-key': key }, Object.values(parts)) };
  };

  return {
    element: list,
    /**
     * `items` are the rows to show, in order. `all` are the rows for files, if these are more.
     * @param {readonly Rank[]} items
     */
    show(items, all = items) {
      shown = all;
      const wasAt = new Map([...rows].map(([key, row]) => [key, row.element.offsetTop]));
      const most = Math.max(1, ...items.map(item => item.count));
      const kept = new Set(items.map(item => item.key));
      for (const [key, row] of rows) {
        if (kept.has(key)) continue;
        row.element.remove();
        rows.delete(key);
      }
      for (const [i, { key, count, clicks, more = '', isChosen = false }] of items.entries()) {
        const row = rows.get(key) ?? rowOf(key);
        rows.set(key, row);
        setText(row.rank, String(i + 1));
        setText(row.count, number(count));
        showGross(row, count, clicks);
        setText(row.more, more);
        // The link holds the current range and filter, so it changes with them.
        if (hrefOf) row.name.setAttribute('href', hrefOf(key));
        if (isChosen) row.name.setAttribute('aria-current', 'true');
        else row.name.removeAttribute('aria-current');
        row.element.style.setProperty('--share', (count / most).toFixed(3));
        if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
      }
      if (!calm.matches) for (const [key, row] of rows) move(row.element, wasAt.get(key));
    },
  };
}

/**
 * Mostly net and gross are equal, or nearly so. What differs is shown, and the exact numbers are in the title.
 * @param {{ readonly count: HTMLElement, readonly gross: HTMLElement }} row
 * @param {number} net
 * @param {Clicks | undefined} clicks
 */
function showGross(row, net, clicks) {
  setText(row.gross, clicks && clicks.gross !== net ? `of ${compact(clicks.gross)}` : '');
  row.count.title = row.gross.title = clicks ? besideText(clicks) : '';
}

/** @param {HTMLElement} element @param {number | undefined} from */
function move(element, from) {
  const by = from === undefined ? 0 : from - element.offsetTop;
  if (by === 0) return;
  element.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
}
