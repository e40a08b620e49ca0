/**
 * Where a leg of the sink stands still and inserts nothing more, while it goes on with all other partitions: before a
 * record of an unknown format, or before rows that the store does not take. Offsets behind are not committed, so
 * whoever is assigned the partition next, or replaces this process, begins at the very record.
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
  /** Of the partitions that are read here, why each stands that does. */
  #read = new Map<string, TopicPartition & { readonly error: Corrupt | undefined }>();

  constructor(group: string) {
    this.#group = group;
    halted.set({ group }, 0);
  }

  /** These partitions, and no others, are read here from now on. Returns those of them that are halted already. */
  assign(assigned: ReadonlyMap<string, readonly number[]>): readonly TopicPartition[] {
    const before = this.#read;
    const places = [...assigned].flatMap(([topic, partitions]) => partitions.map(partition => ({ topic, partition })));
    this.#read = new Map(places.map(place => [keyOf(place), { ...place, error: before.get(keyOf(place))?.error }]));
    for (const [key, place] of before) if (!this.#read.has(key)) unknownFormats.remove(this.#labels(place));
    this.#tell();
    return [...this.#read.values()].filter(({ error }) => error !== undefined);
  }

  /** Returns false where the partition is not read here any more. */
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

  /** Undefined, or why one of them stands. */
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
