/** Says in one line what a recount changes: how many counts, their clicks, and those that are billed where this is another number. */
import { counted, number, signed } from '../format.js';

/** @import { Replay } from '../api-types.ts' */

/** @param {Pick<Replay, 'diff' | 'rules_effect'>} job */
export function diffText({ diff, rules_effect: effect }) {
  // By named rules very many counts may differ. Only the sums of the effect have all of them.
  const { cells, before, after, invalid_before, invalid_after } = effect
    ? { ...effect, before: effect.clicks_before, after: effect.clicks_after }
    : diff;
  const clicks = `${number(before)} → ${number(after)} clicks (${signed(after - before)})`;
  const [netBefore, netAfter] = [before - invalid_before, after - invalid_after];
  const net =
    invalid_before === 0 && invalid_after === 0
      ? ''
      : `, ${number(netBefore)} → ${number(netAfter)} net (${signed(netAfter - netBefore)})`;
  return `${counted(cells, 'count differs', 'counts differ')}: ${clicks}${net}`;
}
