/** The log for requests. A request waits two seconds at most, and all requests within a second share an answer. */
import { cached } from '../../infra/cached.ts';
import { inTime } from '../../infra/in-time.ts';
import type { CountedLog } from './counted-log.ts';

/**
 * Its answers reject when Kafka is away or slow. `each` keeps one answer for each choice of ClickHouse nodes
 * (replicas.ts).
 */
export function patientLog(
  countedLog: CountedLog,
  each: <T>(make: () => T) => () => T = onlyOne,
  clock = () => performance.now(),
): CountedLog {
  const positions = each(() => cached(() => inTime(countedLog.sinkPositions()), 1_000, clock));
  const ofNodes = countedLog.nodePositions?.bind(countedLog);
  const ends = countedLog.highWatermarks?.bind(countedLog);
  return {
    endOffsets: cached(() => inTime(countedLog.endOffsets()), 1_000, clock),
    sinkPositions: async () => await positions()(),
    ...(ends ? { highWatermarks: cached(() => inTime(ends()), 1_000, clock) } : {}),
    ...(ofNodes ? { nodePositions: cached(() => inTime(ofNodes()), 1_000, clock) } : {}),
  };
}

function onlyOne<T>(make: () => T): () => T {
  const made = make();
  return () => made;
}
