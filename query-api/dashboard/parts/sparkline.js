/** Draws the last values of one number as a line. */
import { svg } from '../dom.js';

export function createSparkline(kept = 60) {
  const area = svg('path', { class: 'area' });
  const line = svg('path');
  const element = svg(
    'svg',
    { class: 'spark', viewBox: '0 0 100 30', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    area,
    line,
  );
  /** @type {number[]} */
  const values = [];
  return {
    element,
    /** @param {number} value */
    add(value) {
      values.push(value);
      if (values.length > kept) values.shift();
      if (values.length < 2) return;
      const top = Math.max(...values, 1);
      /** @param {number} i */
      const x = i => (100 - ((values.length - 1 - i) * 100) / (kept - 1)).toFixed(1);
      const path = values.map((at, i) => `${x(i)},${(29 - (at / top) * 27).toFixed(1)}`).join('L');
      line.setAttribute('d', `M${path}`);
      area.setAttribute('d', `M${x(0)},30L${path}L100,30Z`);
    },
  };
}
