/**
 * Inserts rows of several partitions together, and then commits their offsets: at least once, in that order.
 *
 * All tables replace rows by key and version. So rows that are inserted again change nothing, whether after a crash, a
 * lost answer or a rebalance, and also when they come again in other batches.
 *
 * An insert that fails because ClickHouse is away or busy is repeated until it succeeds (retrying-insert.ts). The caller's
 * batch waits, and its consumer reads no further. A batch whose partition a rebalance takes away while it waits for its
 * turn is left out. It comes again, here or elsewhere, and nothing piles up.
 *
 * A caller that has read everything in the log waits until `intervalMs` has passed since its insert began, so that the
 * next insert is larger. A caller that is behind does not wait.
 *
 * Rows that were made before an erasure became known are never sent after it, however long they have waited: the caller
 * has to make them again (`OutdatedRows`).
 */

import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { Corrupt, messageOf, RefusedRows } from '../../infra/errors.ts';
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../infra/log.ts';
import { InsertQueue, isBehind, type QueuedBatch } from './insert-queue.ts';
import { type KnownErasures, OutdatedRows, RetryingInsert } from './retrying-insert.ts';
import { byForm, type TableRows } from './table-rows.ts';

export interface BatchInserterOptions {
  readonly clickhouse: ClickHouse;
  /** The name of the ClickHouse node, for metrics. */
  readonly node: string;
  readonly log: Logger;
  readonly erasures: KnownErasures;
  readonly lingerMs: number;
  readonly maxBatchBytes: number;
  /** The time between the beginnings of two inserts while there is nothing more in the log. */
  readonly intervalMs: number;
  commit(topic: string, nextOffsets: ReadonlyMap<number, number>): Promise<void>;
  /** Inserts what can be inserted of a batch that ClickHouse refuses to parse. */
  onRefused(batch: FetchedBatch, error: RefusedRows): Promise<void>;
}

const heartbeatMs = 2_000;

export class BatchInserter {
  readonly #options: BatchInserterOptions;
  readonly #queue: InsertQueue;
  readonly #inserting: RetryingInsert;
  #isFlushing = false;

  constructor(options: BatchInserterOptions) {
    const { lingerMs, maxBatchBytes } = options;
    this.#options = options;
    this.#queue = new InsertQueue({ lingerMs, maxBatchBytes, onDue: () => void this.#flush() });
    this.#inserting = new RetryingInsert(options);
  }

  /** Why inserting does not succeed at the moment, or undefined. */
  get failing(): string | undefined {
    return this.#inserting.failing;
  }

  /** For how long the current insert has been in progress. 0 when there is none. */
  get insertingForMs(): number {
    return this.#inserting.insertingForMs;
  }

  /** A failed insert is not repeated any more. Waiting batches are rejected, and come again to whoever reads next. */
  close(): void {
    this.#inserting.close();
  }

  /**
   * Resolves when ClickHouse has the batch's rows. Rejects when the group rebalances before that. The rows must have
   * been made just now. @throws OutdatedRows
   */
  async insert(batch: FetchedBatch, rows: TableRows): Promise<void> {
    const queued = this.#queue.add(batch, rows, this.#options.erasures.book.version);
    const heartbeats = setInterval(() => {
      batch.heartbeat().catch(error => {
        queued.abandoned = true;
        this.#queue.remove(queued);
        queued.done.reject(error);
      });
    }, heartbeatMs);
    await queued.done.promise.finally(() => clearInterval(heartbeats));
  }

  async #flush(): Promise<void> {
    this.#queue.cancelTimer();
    if (this.#isFlushing || this.#queue.isEmpty) return;
    this.#isFlushing = true;
    const taken = this.#queue.takeNext();
    const startedAt = performance.now();
    try {
      await this.#insertAll(taken);
      await this.#commitAll(taken);
      const isAnyBehind = taken.some(({ batch }) => isBehind(batch));
      const restMs = isAnyBehind ? 0 : startedAt + this.#options.intervalMs - performance.now();
      for (const { done } of taken) restMs > 0 ? setTimeout(done.resolve, restMs) : done.resolve();
    } catch (error) {
      await this.#onFailure(taken, error);
    }
    this.#isFlushing = false;
    if (!this.#queue.isEmpty) void this.#flush();
  }

  async #insertAll(taken: readonly QueuedBatch[]): Promise<void> {
    const isCurrent = () => taken.every(({ erasures }) => erasures === this.#options.erasures.book.version);
    for (const [step, [table, , columns]] of (taken[0]?.rows ?? []).entries()) {
      for (const rows of byForm(taken.flatMap(queued => queued.rows[step]?.[1] ?? [])))
        await this.#inserting.insert(table, rows, isCurrent, columns);
    }
  }

  /** Lets `onRefused` insert each batch alone when ClickHouse refused the rows. Rejects the batches after other errors. */
  async #onFailure(taken: readonly QueuedBatch[], error: unknown): Promise<void> {
    for (const queued of taken) {
      try {
        if (!(error instanceof RefusedRows)) throw error;
        // Inserting line by line takes long. While `failing` is set, nobody takes that for a stall.
        this.#inserting.failing = messageOf(error);
        await this.#options.onRefused(queued.batch, error);
        await this.#commitAll([queued]);
        queued.done.resolve();
        this.#inserting.failing = undefined;
      } catch (again) {
        // The caller halts the partition after a contradiction. Inserts of other partitions may still succeed.
        this.#inserting.failing =
          again instanceof Corrupt || again instanceof OutdatedRows ? undefined : messageOf(again);
        queued.done.reject(again);
      }
    }
  }

  /** A failed commit costs only work: the same rows will be inserted again later. */
  async #commitAll(taken: readonly QueuedBatch[]): Promise<void> {
    for (const [topic, offsets] of nextOffsets(taken)) {
      await this.#options
        .commit(topic, offsets)
        .catch(error => this.#options.log.warn({ topic, why: messageOf(error) }, 'offsets not committed'));
    }
  }
}

/** By topic and partition. An abandoned batch is inserted but not committed, because another may own its partition. */
function nextOffsets(taken: readonly QueuedBatch[]): Map<string, Map<number, number>> {
  const topics = new Map<string, Map<number, number>>();
  for (const { batch, abandoned } of taken) {
    if (abandoned) continue;
    const offsets = topics.get(batch.topic) ?? new Map<number, number>();
    topics.set(batch.topic, offsets.set(batch.partition, batch.nextOffset));
  }
  return topics;
}
