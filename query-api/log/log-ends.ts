/** The ends of the log for routes that can answer without them: undefined where Kafka does not answer. */
import type { CountedLog } from './counted-log.ts';

/** End offset of each partition; undefined: Kafka does not answer. */
export type LogEnds = () => Promise<ReadonlyMap<number, number> | undefined>;

export function logEndsOf({ endOffsets }: Pick<CountedLog, 'endOffsets'>): LogEnds {
  return () => endOffsets().catch(() => undefined);
}
