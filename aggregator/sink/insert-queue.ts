/**
 * Holds the batches that wait for their insert, and decides when the next insert is due.
 *
 * A small insert costs ClickHouse nearly as much as one ten times its size, and leaves a part that must be merged. So a
 * batch waits for `lingerMs` for others to join it. It does not wait when the queue holds enough for an insert, or when
 * more was in the log already when the batch was fetched: then the next batch comes anyway.
 *
 * The queue itself has no limit. Each partition waits for its batch before it reads on, so there is at most one per
 * partition here.
 */
import type { FetchedBatch } from '../../infra/kafka/group-consumer.ts';
import type { TableRows } from './table-rows.ts';

export interface QueuedBatch {
  readonly batch: FetchedBatch;
  readonly rows: readonly (readonly [table: string, rows: readonly Buffer[], columns?: readonly string[]])[];
  readonly done: PromiseWithResolvers<void>;
  readonly bytes: number;
  /** How many erasures were known when its rows were made. */
  readonly erasures: number;
  /** A rebalance has taken the partition away. The rows may still be inserted, but the offset is not committed. */
  abandoned: boolean;
}

export interface InsertQueueOptions {
  readonly lingerMs: number;
  readonly maxBatchBytes: number;
  /** Is called when an insert is due. It takes the batches with `takeNext`. */
  onDue(): void;
}

export class InsertQueue {
  readonly #options: InsertQueueOptions;
  readonly #waiting: QueuedBatch[] = [];
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: InsertQueueOptions) {
    this.#options = options;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  add(batch: FetchedBatch, tableRows: TableRows, erasures: number): QueuedBatch {
    const rows = [...tableRows];
    const bytes = rows.flatMap(([, pieces]) => pieces).reduce((sum, piece) => sum + piece.length, 0);
    const done = Promise.withResolvers<void>();
    const queued: QueuedBatch = { batch, rows, bytes, erasures, done, abandoned: false };
    this.#waiting.push(queued);
    this.#bytes += bytes;
    const { lingerMs, maxBatchBytes, onDue } = this.#options;
    if (this.#bytes >= maxBatchBytes || lingerMs === 0) onDue();
    else if (isBehind(batch)) this.#scheduleIn(0);
    else if (this.#timer === undefined) this.#scheduleIn(lingerMs);
    return queued;
  }

  /** Takes out one batch. Does nothing when its insert has begun already. */
  remove(queued: QueuedBatch): void {
    const at = this.#waiting.indexOf(queued);
    if (at === -1) return;
    this.#waiting.splice(at, 1);
    this.#bytes -= queued.bytes;
  }

  /** Takes out the oldest batches that fit into one insert. There is at least one, whatever its size, unless none waits. */
  takeNext(): QueuedBatch[] {
    this.cancelTimer();
    const taken = this.#waiting.splice(0, this.#countOfNext());
    for (const { bytes } of taken) this.#bytes -= bytes;
    return taken;
  }

  /** Whatever was scheduled is not called any more. `add` and `takeNext` keep the timer in order by themselves. */
  cancelTimer(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #countOfNext(): number {
    let [count, bytes] = [0, 0];
    for (; count < this.#waiting.length; count++) {
      bytes += this.#waiting[count]!.bytes;
      if (count > 0 && bytes > this.#options.maxBatchBytes) break;
    }
    return count;
  }

  #scheduleIn(ms: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#options.onDue(), ms);
  }
}

/** More was in the log when the batch was fetched, so waiting would gather nothing. */
export function isBehind({ nextOffset, highWatermark }: FetchedBatch): boolean {
  return nextOffset < highWatermark;
}
