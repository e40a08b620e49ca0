/** Compares a count with the count of an equally long range right before it. */
import { h } from '../dom.js';
import { number } from '../format.js';

/** @import { SeriesAnswer } from '../api-types.ts' */

/** @param {number} count @param {SeriesAnswer['previous']} previous */
export function comparison(count, previous) {
  if (!previous) return '';
  const before = `${number(previous.count)} in the range before`;
  if (previous.count === 0) return h('span', {}, before);
  const by = (100 * (count - previous.count)) / previous.count;
  const size = Math.abs(by);
  const text = `${by >= 0 ? '+' : '−'}${size < 100 ? size.toFixed(1) : number(Math.round(size))} %`;
  return h('span', {}, h('span', { class: by < 0 ? 'down' : 'up' }, text), ` (${before})`);
}
