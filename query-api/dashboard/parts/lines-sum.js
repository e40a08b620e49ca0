/**
 * Explains why a count is smaller than the number of lines that a client has sent: it adds up all lines of an ad that were
 * received for the range.
 *
 * A line that arrives in time is counted, or found to be a duplicate. A line that arrives too late is quarantined. A recount
 * looks at it later (`restated`): then it becomes a click (`added`), or it is a copy. Such copies add no click, so most of
 * them are in no other number of the page (those that are, are `addedDuplicates`). The sum is not shown for a filter, because quarantine is known for all countries together.
 */
import { h } from '../dom.js';
import { counted, number } from '../format.js';

/**
 * The numbers of one ad. `count` are distinct clicks, of which `invalid` are invalid. `count` and `duplicates` are those of the answer; `added` and `addedDuplicates` are the part of them
 * that restatements have added. `restated`, `waiting` and `never` are lines in quarantine, by their outcome.
 * @typedef {{ readonly isFiltered?: boolean, readonly count?: number, readonly invalid?: number | null, readonly duplicates?: number,
 *   readonly added?: number, readonly addedDuplicates?: number, readonly restated?: number, readonly waiting?: number,
 *   readonly never?: number }} Numbers
 */

export function createLinesSum() {
  /** @type {Numbers} */
  let known = {};
  const element = h('p', { class: 'notice', 'data-lines-sum': '', hidden: true });
  const draw = () => {
    const sum = linesSumOf(known);
    element.hidden = sum === undefined;
    if (sum === undefined) return;
    const { lines, clicks, copies, lateCopies, waiting, never } = sum;
    const late = lateCopies > 0 ? ` (${number(lateCopies)} of them arrived too late)` : '';
    const invalid = known.invalid ? ` (${number(known.invalid)} of them invalid)` : '';
    element.textContent = `${counted(lines, 'line', 'lines')} received for this ad and range = ${counted(clicks, 'click', 'clicks')}${invalid} + ${counted(copies, 'duplicate', 'duplicates')}${late} + ${number(waiting)} waiting for a restatement + ${number(never)} not counted.`;
  };
  return {
    element,
    /** Takes the numbers that are new; the others stay as they are. @param {Numbers} more */
    show(more) {
      known = { ...known, ...more };
      draw();
    },
    clear() {
      known = {};
      draw();
    },
    /** @param {boolean} isStale */
    stale: isStale => element.toggleAttribute('data-stale', isStale),
  };
}

/**
 * Undefined if a number is not known, or if a count was restated for another reason than late clicks.
 * @param {Numbers} numbers
 */
export function linesSumOf({ isFiltered, count, duplicates, added, addedDuplicates, restated, waiting, never }) {
  if (isFiltered !== false || count === undefined || duplicates === undefined) return undefined;
  if (added === undefined || addedDuplicates === undefined) return undefined;
  if (restated === undefined || waiting === undefined || never === undefined) return undefined;
  const lateCopies = restated - added;
  const copies = duplicates - addedDuplicates + lateCopies;
  if (lateCopies < 0 || copies < 0) return undefined;
  return { lines: count + copies + waiting + never, clicks: count, copies, lateCopies, waiting, never };
}
