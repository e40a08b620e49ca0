/** A row of numbers that change in place. */
import { h, setText } from '../dom.js';

/** `names`: key → what it is. `set(key, value, sub)`: `sub` is a text or elements. */
export function createTiles(label, names) {
  const tiles = new Map(
    Object.entries(names).map(([key, title]) => {
      const value = h('dd', { 'data-tile': key }, '–');
      const sub = h('dd', { class: 'sub' });
      return [key, { value, sub, element: h('div', { class: 'tile' }, h('dt', {}, title), value, sub) }];
    }),
  );
  return {
    element: h(
      'dl',
      { class: 'tiles', 'aria-label': label },
      [...tiles.values()].map(tile => tile.element),
    ),
    set(key, value, sub) {
      const tile = tiles.get(key);
      setText(tile.value, value);
      if (typeof sub === 'string') setText(tile.sub, sub);
      else if (sub !== undefined) tile.sub.replaceChildren(...[sub].flat());
    },
    add: (key, element) => tiles.get(key).element.append(element),
  };
}
