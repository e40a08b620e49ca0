/** How far a leg of the sink has come in its partitions, beside how far it could be: what tells whether it stands still. */
import type { Admin } from '../../infra/kafka/admin.ts';
import type { Reading } from '../../infra/kafka/stall-watch.ts';

export class SinkPositions {
  readonly #next = new Map<string, { topic: string; partition: number; next?: number }>();

  /** These partitions, and no others, are read here from now on. */
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

  /** By name. A partition of which nothing was read yet since it was assigned stands at the committed offset. */
  async readings(admin: Admin, group: string): Promise<Map<string, Reading>> {
    const topics = new Set([...this.#next.values()].map(({ topic }) => topic));
    const ends = new Map(
      await Promise.all([...topics].map(async topic => [topic, await admin.endOffsets(topic)] as const)),
    );
    const readings = [...this.#next].map(async ([name, { topic, partition, next }]) => {
      const position = next ?? (await admin.committed(group, topic, partition))?.offset ?? 0;
      return [name, { position, end: ends.get(topic)?.get(partition) ?? 0 }] as const;
    });
    return new Map(await Promise.all(readings));
  }
}

function nameOf(topic: string, partition: number): string {
  return `${topic}[${partition}]`;
}
