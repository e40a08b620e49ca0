/** The log as requests ask for it: they wait two seconds at most, and all who ask within one share an answer. */
import { cached } from '../../infra/cached.ts';
import { inTime } from '../../infra/in-time.ts';
import type { Pipeline } from './counted-log.ts';

/** Its answers reject where Kafka is away or slow. `each`: of each ClickHouse node that is read there is one. */
export function patientPipeline(
  pipeline: Pipeline,
  now: () => number,
  each: <T>(make: () => T) => () => T = onlyOne,
): Pipeline {
  const positions = each(() => cached(() => inTime(pipeline.sinkPositions()), 1_000, now));
  const ofNodes = pipeline.nodePositions?.bind(pipeline);
  return {
    endOffsets: cached(() => inTime(pipeline.endOffsets()), 1_000, now),
    sinkPositions: async () => await positions()(),
    ...(ofNodes ? { nodePositions: cached(() => inTime(ofNodes()), 1_000, now) } : {}),
  };
}

function onlyOne<T>(make: () => T): () => T {
  const made = make();
  return () => made;
}
