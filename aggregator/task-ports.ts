/** What a task is given, and what it needs of the world outside. */
import type { Committed } from '../infra/kafka/committed.ts';
import type { TransactionContent } from '../infra/kafka/transactional-producer.ts';
import type { Names } from '../infra/topics.ts';
import type { AggregatorSettings } from './core/partition-aggregator.ts';

export interface TaskPorts {
  /** Fences all earlier writers of the partition; the writer lives until its first failure. */
  openWriter(): Promise<TaskWriter>;
  committed(): Promise<Committed | undefined>;
  range(): Promise<{ start: number; end: number }>;
  /** No batches until `readFrom`. Throws while there is no membership to read with. */
  pause(): void;
  /** From now on batches are to come from `offset`. Throws while there is no membership to read with. */
  readFrom(offset: number): void;
  appendTick(): Promise<void>;
  /** Over how many partitions clicks up to this event time may be spread; more than there are: it is not known. */
  partitionsAt(eventTime: number): number;
  /** Of this process, this one among them. */
  tasks(): number;
  /** Monotonic ms. */
  now(): number;
}

export interface TaskWriter extends AsyncDisposable {
  commit(content: TransactionContent): Promise<void>;
}

export interface TaskSettings {
  readonly aggregator: AggregatorSettings;
  readonly names: Names;
  /** While few clicks come. */
  readonly commitIntervalMs: number;
  /** At least `commitIntervalMs`: the most it grows to. */
  readonly commitMaxIntervalMs: number;
  readonly commitMaxLines: number;
  readonly tickIntervalMs: number;
  readonly withoutCommit: 'fail' | 'earliest';
}
