/** A row of numbers that change in place. A long number is rounded, and its exact value stands below it and can be copied. */
import { h, setText } from '../dom.js';
import { compact, number } from '../format.js';
import { copyText } from './take.js';

/** @typedef {string | Node | readonly (string | Node)[]} Sub */

/**
 * @template {string} Key
 * @typedef {ReturnType<typeof createTiles<Key>>} Tiles
 */

/**
 * `names` are the titles of the tiles by key.
 * @template {string} Key
 * @param {string} label
 * @param {Readonly<Record<Key, string>>} names
 */
export function createTiles(label, names) {
  const keys = /** @type {Key[]} */ (Object.keys(names));
  const tiles = /** @type {Record<Key, Tile>} */ (Object.fromEntries(keys.map(key => [key, tileOf(key, names[key])])));
  /** @param {Key} key @param {string} value @param {Sub} [sub] */
  const set = (key, value, sub) => {
    const tile = tiles[key];
    setText(tile.value, value);
    if (typeof sub === 'string') setText(tile.sub, sub);
    else if (sub !== undefined) tile.sub.replaceChildren(...[sub].flat());
  };
  return {
    element: h(
      'dl',
      { class: 'tiles', 'aria-label': label },
      keys.map(key => tiles[key].element),
    ),
    set,
    /**
     * Shows a count, rounded if it is long, with its exact value below. A null is not known. `shown` writes the count.
     * @param {Key} key
     * @param {number | null} value
     * @param {Sub} [sub]
     * @param {(value: number) => string} shown
     */
    count(key, value, sub, shown = compact) {
      set(key, value === null ? '–' : shown(value), sub);
      tiles[key].exactly(value, value !== null && shown(value) !== number(value) && shown === compact);
    },
    /** @param {Key} key @param {Node} element */
    add: (key, element) => tiles[key].element.append(element),
    /**
     * The tiles that one card fills. The card clears them for a new question, and marks them when they are old.
     * @param {readonly Key[]} keys
     */
    part(keys) {
      const some = keys.map(key => tiles[key]);
      return {
        clear() {
          for (const key of keys) set(key, '–', '');
          for (const tile of some) tile.exactly(null);
        },
        /** @param {boolean} isStale */
        stale(isStale) {
          for (const { element } of some) element.toggleAttribute('data-stale', isStale);
        },
      };
    },
  };
}

/** @typedef {ReturnType<typeof tileOf>} Tile */

/** @param {string} key @param {string} title */
function tileOf(key, title) {
  const value = h('dd', { 'data-tile': key }, '–');
  const sub = h('dd', { class: 'sub' });
  /** @type {HTMLButtonElement} */
  const copy = h('button', {
    ...{ type: 'button', class: 'link' },
    onclick: () => copyText(copy.dataset.value ?? '', copy),
  });
  const exact = h('dd', { class: 'exact', 'data-exact': key, hidden: true }, copy);
  return {
    value,
    sub,
    element: h('div', { class: 'tile' }, h('dt', {}, title), value, exact, sub),
    /** @param {number | null} count */
    exactly(count, isRounded = false) {
      exact.hidden = count === null;
      if (count === null) return;
      copy.dataset.value = String(count);
      const text = isRounded ? number(count) : 'copy';
      copy.setAttribute('aria-label', `${text} ${isRounded ? 'copy' : number(count)}, ${title}`);
      copy.title = 'Copy';
      if (copy.dataset.copied === undefined) setText(copy, text);
    },
  };
}
