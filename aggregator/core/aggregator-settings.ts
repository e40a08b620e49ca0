/** Defines what the core is told about its partition. With the log, it decides everything that the core returns. */
import type { RulesAt } from '../../ingest/validity/rules.ts';

export interface AggregatorSettings {
  readonly partition: number;
  readonly outOfOrdernessMs: number;
  readonly allowedLatenessMs: number;
  /** 32 random bits, which are a secret of the process (id-hash.ts). */
  readonly hashSeed: number;
  /**
   * The rules by which the clicks of each minute are judged. Left out: by none, all clicks are valid. The answer must be
   * known before a click of the minute is counted, and must be the same in every process at every time.
   */
  readonly rulesAt?: RulesAt;
}
