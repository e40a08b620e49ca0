/**
 * Why a number is smaller than somebody else's: all lines of an ad that have come in for the range, and what became of them.
 *
 * Lines came in time, and were counted or known as duplicates at once, or were set aside. What restatements have added to
 * clicks and duplicates stood among those set aside. Of these, what a recount has looked at (`restated`) and what has not
 * become clicks were copies: no count changes by them, so they are in no other number of the page. Only where no filter
 * stands between, as what was set aside is told of all countries.
 */
import { h } from '../dom.js';
import { counted, number } from '../format.js';

export function createLinesSum() {
  let known = {};
  const element = h('p', { class: 'notice', 'data-lines-sum': '', hidden: true });
  const draw = () => {
    const sum = linesSumOf(known);
    element.hidden = sum === undefined;
    if (sum === undefined) return;
    const { lines, clicks, copies, lateCopies, waiting, never } = sum;
    const late = lateCopies > 0 ? ` (${number(lateCopies)} of them came late)` : '';
    element.textContent = `${counted(lines, 'line has', 'lines have')} come in for this ad and range = ${counted(clicks, 'click', 'clicks')} + ${counted(copies, 'duplicate', 'duplicates')}${late} + ${number(waiting)} late and waiting + ${number(never)} in no count.`;
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

/**
 * `count`, `duplicates`: as they are stated; `added`, `addedDuplicates`: by restatements; `restated`, `waiting`, `never`:
 * lines that were set aside. Undefined where not all is known, or a number was restated for another reason than late clicks.
 */
export function linesSumOf({ isFiltered, count, duplicates, added, addedDuplicates, restated, waiting, never }) {
  const all = [count, duplicates, added, addedDuplicates, restated, waiting, never];
  if (isFiltered !== false || all.some(part => typeof part !== 'number')) return undefined;
  const lateCopies = restated - added;
  const copies = duplicates - addedDuplicates + lateCopies;
  if (lateCopies < 0 || copies < 0) return undefined;
  return { lines: count + copies + waiting + never, clicks: count, copies, lateCopies, waiting, never };
}
