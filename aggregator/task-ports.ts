/** Defines the settings of a task and everything that it needs from outside. */
import type { Committed } from '../infra/kafka/committed.ts';
import type { TransactionContent } from '../infra/kafka/transactional-producer.ts';
import type { Names } from '../infra/topics.ts';
import type { AggregatorSettings } from './core/aggregator-settings.ts';

export interface TaskPorts {
  /** Fences all earlier writers of the partition. The writer can be used until its first failure. */
  openWriter(): Promise<TaskWriter>;
  committed(): Promise<Committed | undefined>;
  range(): Promise<{ start: number; end: number }>;
  /** Stops batches until `readFrom` is called. Throws while the consumer is not a member of its group. */
  pause(): void;
  /** Requests batches from `offset` on. Throws while the consumer is not a member of its group. */
  readFrom(offset: number): void;
  appendTick(): Promise<void>;
  /**
   * The number of partitions over which clicks up to this event time may be spread. When it is not known, it is higher
   * than the number of existing partitions.
   */
  partitionsAt(eventTime: number): number;
  /**
   * The rules of invalid traffic are known for all minutes that begin before this (epoch ms). They are the `rulesAt` of
   * the aggregator's settings.
   */
  rulesKnownUntil(): number;
  /** The number of tasks in this process, including this one. */
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
  /** The interval while few clicks come. */
  readonly commitIntervalMs: number;
  /** The interval grows up to this. It is at least `commitIntervalMs`. */
  readonly commitMaxIntervalMs: number;
  readonly commitMaxLines: number;
  readonly tickIntervalMs: number;
  readonly withoutCommit: 'fail' | 'earliest';
}
