/** A record to be written. The broker gives it its offset and, on our topics, its time. */
export interface OutgoingRecord {
  readonly partition: number;
  /** What a compacted topic keeps the last record of. */
  readonly key?: string;
  /** Null: in a compacted topic, that there is nothing under the key any more. */
  readonly value: Buffer | string | null;
  /** Several values: the header stands there so often. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
}
