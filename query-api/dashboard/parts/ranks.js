/** A top list whose rows move to their new places. */
import { h, setText } from '../dom.js';
import { number } from '../format.js';

/** `hrefOf(key)`: where a name leads; `nameOf(key)`: what is shown for it. */
export function createRanks({ label, hrefOf, nameOf = key => key, isMono = false }) {
  const list = h('ol', { class: 'ranks', 'aria-label': label });
  const rows = new Map();
  const calm = matchMedia('(prefers-reduced-motion: reduce)');

  const rowOf = key => {
    const parts = {
      rank: h('span', { class: 'rank' }),
      name: h(hrefOf ? 'a' : 'span', {
        class: `name ${isMono ? 'mono' : ''}`,
        href: hrefOf?.(key),
        title: nameOf(key),
      }),
      count: h('span', { class: 'count' }),
      more: h('span', { class: 'more' }),
    };
    parts.name.append(nameOf(key));
    return { ...parts, element: h('li', { 'data-key': key }, Object.values(parts)) };
  };

  return {
    element: list,
    /** `items`: `{ key, count, more? }`, in order. */
    show(items) {
      const wasAt = new Map([...rows].map(([key, row]) => [key, row.element.offsetTop]));
      const most = Math.max(1, ...items.map(item => item.count));
      const kept = new Set(items.map(item => item.key));
      for (const [key, row] of rows) {
        if (kept.has(key)) continue;
        row.element.remove();
        rows.delete(key);
      }
      for (const [i, { key, count, more = '' }] of items.entries()) {
        const row = rows.get(key) ?? rowOf(key);
        rows.set(key, row);
        setText(row.rank, String(i + 1));
        setText(row.count, number(count));
        setText(row.more, more);
        row.element.style.setProperty('--share', (count / most).toFixed(3));
        if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
      }
      if (!calm.matches) for (const [key, row] of rows) move(row.element, wasAt.get(key));
    },
  };
}

function move(element, from) {
  const by = from === undefined ? 0 : from - element.offsetTop;
  if (by === 0) return;
  element.animate([{ transform: `translateY(${by}px)` }, { transform: 'none' }], { duration: 350, easing: 'ease-out' });
}
