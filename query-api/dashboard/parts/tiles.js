/** A row of numbers that change in place: as they are read at a glance, and exact, to be copied. */
import { h, setText } from '../dom.js';
import { compact, number } from '../format.js';
import { copyText } from './take.js';

/** `names`: key → what it is. `set(key, value, sub)`: `sub` is a text or elements. */
export function createTiles(label, names) {
  const tiles = new Map(Object.entries(names).map(([key, title]) => [key, tileOf(key, title)]));
  const set = (key, value, sub) => {
    const tile = tiles.get(key);
    setText(tile.value, value);
    if (typeof sub === 'string') setText(tile.sub, sub);
    else if (sub !== undefined) tile.sub.replaceChildren(...[sub].flat());
  };
  return {
    element: h(
      'dl',
      { class: 'tiles', 'aria-label': label },
      [...tiles.values()].map(tile => tile.element),
    ),
    set,
    /** A count: rounded where it is long, and exact beside it. null: not known. `shown`: how it is written. */
    count(key, value, sub, shown = compact) {
      set(key, value === null ? '–' : shown(value), sub);
      tiles.get(key).exactly(value, value !== null && shown(value) !== number(value) && shown === compact);
    },
    add: (key, element) => tiles.get(key).element.append(element),
    /** Some of the tiles, for who fills them: they are emptied when they belong to another question, and marked when they are old. */
    part(keys) {
      const some = keys.map(key => tiles.get(key));
      return {
        clear() {
          for (const key of keys) set(key, '–', '');
          for (const tile of some) tile.exactly(null);
        },
        stale(isStale) {
          for (const { element } of some) element.toggleAttribute('data-stale', isStale);
        },
      };
    },
  };
}

function tileOf(key, title) {
  const value = h('dd', { 'data-tile': key }, '–');
  const sub = h('dd', { class: 'sub' });
  const copy = h('button', { type: 'button', class: 'link', onclick: () => copyText(copy.dataset.value, copy) });
  const exact = h('dd', { class: 'exact', 'data-exact': key, hidden: true }, copy);
  return {
    value,
    sub,
    element: h('div', { class: 'tile' }, h('dt', {}, title), value, exact, sub),
    exactly(count, isRounded) {
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
