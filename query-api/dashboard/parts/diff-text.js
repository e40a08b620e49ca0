/** Says in one line what a recount changes: how many counts, their clicks, and those that are billed where this is another number. */
import { counted, number, signed } from '../format.js';

/** @import { Replay } from '../api-types.ts' */

/** @param {Pick<Replay['diff'], 'cells' | 'before' | 'after' | 'invalid_before' | 'invalid_after'>} diff */
export function diffText({ cells, before, after, invalid_before, invalid_after }) {
  const clicks = `${number(before)} → ${number(after)} clicks (${signed(after - before)})`;
  const [netBefore, netAfter] = [before - invalid_before, after - invalid_after];
  const net =
    invalid_before === 0 && invalid_after === 0
      ? ''
      : `, ${number(netBefore)} → ${number(netAfter)} net (${signed(netAfter - netBefore)})`;
  return `${counted(cells, 'count differs', 'counts differ')}: ${clicks}${net}`;
}
