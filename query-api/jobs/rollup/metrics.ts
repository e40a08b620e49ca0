/** The metrics of what is worked out beforehand. */
import { counter, gauge } from '../../../infra/metrics.ts';

export const blocksRolledUp = counter('rolled_up_blocks_total', 'Top lists and sums worked out, by window', ['window']);
export const blocksDue = gauge('rolled_up_blocks_due', 'Those due of the stretch that was looked at last');
