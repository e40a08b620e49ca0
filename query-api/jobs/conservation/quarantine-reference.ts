/**
 * Up to which position quarantined lines are compared, and when those that are missing will not come any more.
 *
 * A transaction's quarantined lines and its progress stand in two topics, which the sink reads apart, so progress may
 * be seen first. What is missing has to be there when three things have happened one after the other: progress of a
 * later transaction is seen, so that the one in question is complete in every topic; the end of the quarantine topic
 * is asked for; the sink's committed offset has reached that end. Without Kafka nothing is concluded.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { SinkPosition } from '../../log/counted-log.ts';

export interface QuarantineReference {
  /** Only lines before are compared. */
  readonly position: number;
  /** As progress says of that position. */
  readonly quarantined: number;
  readonly hasPassed: boolean;
}

export class QuarantineReferences {
  readonly #taken = new Map<number, QuarantineReference & { readonly end?: number }>();

  /** Whether some lines are waited for: then the positions of the sinks are of use. */
  get areAwaited(): boolean {
    return this.#taken.size > 0;
  }

  /** By partition. `sinks` must have been asked for after `progress` was read, and before the lines are counted. */
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

  /** The comparison is done: the next one is with newer progress. */
  settle(partition: number): void {
    this.#taken.delete(partition);
  }
}
