/** The log as requests ask for it: they wait two seconds at most, and all who ask within one share an answer. */
import { cached } from '../../infra/cached.ts';
import { inTime } from '../../infra/in-time.ts';
import type { CountedLog } from './counted-log.ts';

/** Its answers reject where Kafka is away or slow. `each`: of each ClickHouse node that is read there is one. */
export function patientLog(
  countedLog: CountedLog,
  now: () => number,
  each: <T>(make: () => T) => () => T = onlyOne,
): CountedLog {
  const positions = each(() => cached(() => inTime(countedLog.sinkPositions()), 1_000, now));
  const ofNodes = countedLog.nodePositions?.bind(countedLog);
  return {
    endOffsets: cached(() => inTime(countedLog.endOffsets()), 1_000, now),
    sinkPositions: async () => await positions()(),
    ...(ofNodes ? { nodePositions: cached(() => inTime(ofNodes()), 1_000, now) } : {}),
  };
}

function onlyOne<T>(make: () => T): () => T {
  const made = make();
  return () => made;
}
