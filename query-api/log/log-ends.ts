/** The ends of the log for all who have other things to tell, too. */
import type { Pipeline } from './counted-log.ts';

/** End offset of each partition; undefined: Kafka does not answer. */
export type LogEnds = () => Promise<ReadonlyMap<number, number> | undefined>;

export function logEndsOf({ endOffsets }: Pick<Pipeline, 'endOffsets'>): LogEnds {
  return () => endOffsets().catch(() => undefined);
}
