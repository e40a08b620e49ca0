/**
 * Compares how far a leg of the sink has come in its partitions with the end of the log, which shows whether it has
 * stalled.
 */
import type { Admin, Isolation } from '../../infra/kafka/admin.ts';
import type { Reading } from '../../infra/kafka/stall-watch.ts';

export class SinkPositions {
  readonly #next = new Map<string, { topic: string; partition: number; next?: number }>();

  /** From now on exactly these partitions are read here. */
  assign(assigned: ReadonlyMap<string, readonly number[]>): void {
    this.#next.clear();
    for (const [topic, partitions] of assigned) {
      for (const partition of partitions) this.#next.set(nameOf(topic, partition), { topic, partition });
    }
  }

  passed(topic: string, partition: number, next: number): void {
    const position = this.#next.get(nameOf(topic, partition));
    if (position) position.next = next;
  }

  /** The partition is halted for a known reason, so it is not watched. */
  leave(topic: string, partition: number): void {
    this.#next.delete(nameOf(topic, partition));
  }

  /**
   * Returns the readings by name of the partition. The position is the further one of what was processed here and what
   * is committed: a batch of an earlier assignment may end after the next assignment has begun, and then reports a
   * place that another member passed long ago. What is committed is asked only for topics in which something was not
   * processed here.
   */
  async readings(
    admin: Pick<Admin, 'endOffsets' | 'commits'>,
    group: string,
    isolation: Isolation,
  ): Promise<Map<string, Reading>> {
    const topics = [...new Set([...this.#next.values()].map(({ topic }) => topic))];
    const known = await Promise.all(
      topics.map(async topic => {
        const ends = await admin.endOffsets(topic, isolation);
        const isPassed = [...this.#next.values()].every(
          ({ topic: of, partition, next = 0 }) => of !== topic || next >= (ends.get(partition) ?? 0),
        );
        return [topic, ends, isPassed ? none : await admin.commits(group, topic)] as const;
      }),
    );
    const readings = new Map<string, Reading>();
    for (const [topic, ends, commits] of known) {
      for (const [name, position] of this.#next) {
        if (position.topic !== topic) continue;
        const { partition, next = 0 } = position;
        const committed = commits.get(partition)?.offset ?? 0;
        readings.set(name, { position: Math.max(next, committed), end: ends.get(partition) ?? 0 });
      }
    }
    return readings;
  }
}

const none: Awaited<ReturnType<Admin['commits']>> = new Map();

function nameOf(topic: string, partition: number): string {
  return `${topic}[${partition}]`;
}
