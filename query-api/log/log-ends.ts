/** Returns the ends of the log to routes that can also answer without them, while Kafka does not answer. */
import type { CountedLog } from './counted-log.ts';

/** Returns the end offset of each partition, or undefined when Kafka does not answer. */
export type LogEnds = () => Promise<ReadonlyMap<number, number> | undefined>;

export function logEndsOf({ endOffsets }: Pick<CountedLog, 'endOffsets'>): LogEnds {
  return () => endOffsets().catch(() => undefined);
}
