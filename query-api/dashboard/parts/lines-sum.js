/**
 * Why a number is smaller than that of somebody else: all lines of an ad that came in for the range, and what became of each
 * kind. Only where no filter stands between, as what was set aside is told of all countries.
 */
import { h } from '../dom.js';
import { counted, number } from '../format.js';

export function createLinesSum() {
  let known = {};
  const element = h('p', { class: 'notice w12', 'data-lines-sum': '', hidden: true });
  const draw = () => {
    const { isFiltered, count, duplicates, waiting, never } = known;
    const parts = [count, duplicates, waiting, never];
    element.hidden = isFiltered !== false || parts.some(part => part === undefined);
    if (element.hidden) return;
    const all = parts.reduce((sum, part) => sum + part, 0);
    element.textContent = `${counted(all, 'line has come in', 'lines have come in')} for this ad and range = ${counted(count, 'click', 'clicks')} + ${counted(duplicates, 'duplicate', 'duplicates')} + ${number(waiting)} late and waiting + ${number(never)} in no count.`;
  };
  return {
    element,
    /** What is told of them now; the rest stays as it is. */
    show(more) {
      known = { ...known, ...more };
      draw();
    },
    clear() {
      known = {};
      draw();
    },
    stale: isStale => element.toggleAttribute('data-stale', isStale),
  };
}
