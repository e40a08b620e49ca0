/** The log as requests ask for it: they wait two seconds at most, and all who ask within one share an answer. */
import { cached } from './cached.ts';
import type { Pipeline } from './counted-log.ts';
import { inTime } from './in-time.ts';

/** Its answers reject where Kafka is away or slow. */
export function patientPipeline(pipeline: Pipeline, now: () => number): Pipeline {
  return {
    endOffsets: cached(() => inTime(pipeline.endOffsets()), 1_000, now),
    sinkPositions: cached(() => inTime(pipeline.sinkPositions()), 1_000, now),
  };
}
