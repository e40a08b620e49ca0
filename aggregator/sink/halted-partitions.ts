/**
 * Keeps the partitions in which a leg of the sink has halted, while it continues with all others.
 *
 * It halts before a record of an unknown format, or before rows that ClickHouse does not accept. Later offsets are not
 * committed. So the next owner of the partition, or the process that replaces this one, begins exactly at this record.
 */
import { type Corrupt, UnknownFormat } from '../../infra/errors.ts';
import { unknownFormats } from '../../infra/kafka/record-contract.ts';
import { halted } from './metrics.ts';

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export class HaltedPartitions {
  readonly #group: string;
  /** The partitions that are read here, each with the reason when it is halted. */
  #read = new Map<string, TopicPartition & { readonly error: Corrupt | undefined }>();

  constructor(group: string) {
    this.#group = group;
    halted.set({ group }, 0);
  }

  /** From now on exactly these partitions are read here. Returns those of them that are halted already. */
  assign(assigned: ReadonlyMap<string, readonly number[]>): readonly TopicPartition[] {
    const before = this.#read;
    const places = [...assigned].flatMap(([topic, partitions]) => partitions.map(partition => ({ topic, partition })));
    this.#read = new Map(places.map(place => [keyOf(place), { ...place, error: before.get(keyOf(place))?.error }]));
    for (const [key, place] of before) if (!this.#read.has(key)) unknownFormats.remove(this.#labels(place));
    this.#tell();
    return [...this.#read.values()].filter(({ error }) => error !== undefined);
  }

  /** Returns false when the partition is not read here any more. */
  halt(place: TopicPartition, error: Corrupt): boolean {
    const read = this.#read.get(keyOf(place));
    if (read === undefined) return false;
    this.#read.set(keyOf(place), { ...read, error });
    this.#tell();
    return true;
  }

  has(place: TopicPartition): boolean {
    return this.#read.get(keyOf(place))?.error !== undefined;
  }

  /** The reason of one halted partition, or undefined. */
  get why(): string | undefined {
    return [...this.#read.values()].find(({ error }) => error !== undefined)?.error?.message;
  }

  #tell(): void {
    const read = [...this.#read.values()];
    for (const place of read) unknownFormats.set(this.#labels(place), place.error instanceof UnknownFormat ? 1 : 0);
    const isContradiction = read.some(({ error }) => error !== undefined && !(error instanceof UnknownFormat));
    halted.set({ group: this.#group }, isContradiction ? 1 : 0);
  }

  #labels({ topic, partition }: TopicPartition) {
    return { reader: this.#group, topic, partition: String(partition) };
  }
}

function keyOf({ topic, partition }: TopicPartition): string {
  return `${topic}[${partition}]`;
}
