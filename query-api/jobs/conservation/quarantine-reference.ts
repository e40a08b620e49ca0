/**
 * Chooses the position up to which quarantined lines are compared, and decides when missing lines will not come any
 * more.
 *
 * The quarantined lines of a transaction and its progress are in two topics. The sink reads these independently, so
 * progress may become visible first. Lines that are missing must have arrived when three things have happened in this
 * order:
 *
 * 1. Progress of a later transaction is seen. So the transaction in question is complete in every topic.
 * 2. The end of the quarantine topic is asked for.
 * 3. The sink's committed offset has reached that end.
 *
 * While Kafka does not answer, nothing is concluded.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { SinkPosition } from '../../log/counted-log.ts';

export interface QuarantineReference {
  /** Only lines before this offset are compared. */
  readonly position: number;
  /** The number of quarantined lines that progress says for this position. */
  readonly quarantined: number;
  readonly hasPassed: boolean;
}

export class QuarantineReferences {
  readonly #taken = new Map<number, QuarantineReference & { readonly end?: number }>();

  /** Whether the comparison waits for lines. Only then are the positions of the sinks needed. */
  get areAwaited(): boolean {
    return this.#taken.size > 0;
  }

  /**
   * Returns references by partition. `sinks` must be asked for after `progress` was read and before lines are counted.
   */
  next(
    progress: Iterable<Progress>,
    sinks: readonly SinkPosition[] | undefined,
  ): ReadonlyMap<number, QuarantineReference> {
    for (const { partition, position, quarantined } of progress) {
      const taken = this.#taken.get(partition);
      if (taken === undefined) {
        this.#taken.set(partition, { position, quarantined, hasPassed: false });
        continue;
      }
      const sink = sinks?.find(s => s.topicName === 'quarantine' && s.partition === partition);
      if (sink === undefined || position <= taken.position) continue;
      const end = taken.end ?? sink.end;
      this.#taken.set(partition, { ...taken, end, hasPassed: taken.hasPassed || sink.position >= end });
    }
    return this.#taken;
  }

  /** Ends the comparison of a partition. The next one uses newer progress. */
  settle(partition: number): void {
    this.#taken.delete(partition);
  }
}
