/** Defines the metrics of the roll-up. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const blocksRolledUp = counter(
  'rolled_up_blocks_total',
  'Blocks of the roll-up (top lists and sums) that were worked out, by window in minutes',
  ['window'],
);
export const blocksDue = gauge(
  'rolled_up_blocks_due',
  'Blocks of the roll-up that were due in the stretch that was examined last',
);
