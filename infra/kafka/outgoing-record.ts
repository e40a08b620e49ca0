/** A record to be written. The broker gives it its offset and, on our topics, its time. */
export interface OutgoingRecord {
  readonly partition: number;
  /** A compacted topic keeps the last record of each key. */
  readonly key?: string;
  /** In a compacted topic, null means that the key has no value any more. */
  readonly value: Buffer | string | null;
  /** A header with several values is written once for each. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
}
