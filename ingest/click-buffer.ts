/**
 * Click lines waiting to be sent, per partition, first come first served. Bounds what one send may carry: kafkajs packs
 * all records of one send for one partition into one record batch (the topic takes 8 MiB), and all partitions of one
 * broker into one request (the broker takes 100 MiB).
 */
import type { OutgoingRecord } from '../infra/kafka/producer.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import type { ClickLines } from './click-lines.ts';
import { clickHeaders } from './click-records.ts';
import type { RoutedClick } from './hot-ads/rule.ts';
import { addTrace, headersOf } from './record-traces.ts';

/** Whoever waits for a chunk: one call of `append`. */
export interface Waiter {
  /** Answered already (in time or not): its chunks that were not sent yet need not be. */
  readonly settled: boolean;
  /** Of the request it waits for. */
  readonly trace?: TraceContext | undefined;
}

/** Lines of one append for one partition, at most one record's worth: `[start, end)` of a memory, each with its newline. */
export interface Chunk<W extends Waiter> {
  readonly partition: number;
  readonly memory: RecordMemory;
  readonly start: number;
  end: number;
  readonly waiter: W;
}

/** Lines of one partition, in the order they came. Used again once no chunk lies in it any more. */
interface RecordMemory {
  readonly bytes: Buffer;
  end: number;
  chunks: number;
}

export interface Batch<W extends Waiter> {
  readonly records: readonly OutgoingRecord[];
  readonly chunks: readonly Chunk<W>[];
  readonly bytes: number;
}

export const maxPartitionSendBytes = 4 * 1024 * 1024 - 64 * 1024;
export const maxSendBytes = 32 * 1024 * 1024;

export class ClickBuffer<W extends Waiter> {
  /** Some partition has a whole record waiting. */
  hasFullRecord = false;
  queuedBytes = 0;
  readonly #queues: Chunk<W>[][];
  readonly #queueBytes: number[];
  /** Where a partition's next lines go. */
  readonly #open: (RecordMemory | undefined)[];
  #free: RecordMemory[] = [];
  readonly #maxRecordBytes: number;
  #first = 0;
  /** Of the lines of one append. */
  #partitions = new Uint16Array(64);

  constructor(partitions: number, maxRecordBytes: number) {
    this.#queues = Array.from({ length: partitions }, () => []);
    this.#queueBytes = Array.from({ length: partitions }, () => 0);
    this.#open = Array.from({ length: partitions }, () => undefined);
    this.#maxRecordBytes = maxRecordBytes;
  }

  /**
   * Copies the lines, and says in how many chunks they wait.
   * @throws what `partitionFor` throws, with nothing added
   */
  add(lines: ClickLines, partitionFor: (click: RoutedClick) => number, waiter: W): number {
    if (this.#partitions.length < lines.count) this.#partitions = new Uint16Array(2 * lines.count);
    const partitions = this.#partitions;
    for (let i = 0; i < lines.count; i++) partitions[i] = partitionFor(lines.clickOf(i));
    const chunks: Chunk<W>[] = [];
    const last = new Map<number, Chunk<W>>();
    for (let i = 0; i < lines.count; i++) {
      const partition = partitions[i]!;
      const [start, end] = [lines.startOf(i), lines.startOf(i + 1)];
      const memory = this.#memoryFor(partition, end - start);
      let chunk = last.get(partition);
      if (chunk?.memory !== memory) {
        chunk = { partition, memory, start: memory.end, end: memory.end, waiter };
        memory.chunks++;
        chunks.push(chunk);
        last.set(partition, chunk);
      }
      memory.end += lines.bytes.copy(memory.bytes, memory.end, start, end);
      chunk.end = memory.end;
    }
    for (const chunk of chunks) {
      const { partition } = chunk;
      this.#queues[partition]!.push(chunk);
      const bytes = this.#queueBytes[partition]! + bytesOf(chunk);
      this.#queueBytes[partition] = bytes;
      this.queuedBytes += bytesOf(chunk);
      if (bytes >= this.#maxRecordBytes) this.hasFullRecord = true;
    }
    return chunks.length;
  }

  /** Nobody reads these chunks any more: their send has been acknowledged, or has failed for good. */
  release(chunks: readonly Chunk<W>[]): void {
    for (const { partition, memory } of chunks) {
      if (--memory.chunks > 0) continue;
      memory.end = 0;
      const isSpare = memory !== this.#open[partition] && memory.bytes.length === this.#maxRecordBytes;
      if (isSpare && this.#free.length < this.#queues.length) this.#free.push(memory);
    }
  }

  /** Takes out what the next send may carry, leaving out chunks nobody waits for any more. */
  take(): Batch<W> {
    const chunks: Chunk<W>[] = [];
    const records: OutgoingRecord[] = [];
    let bytes = 0;
    for (let i = 0; i < this.#queues.length; i++) {
      // Each send starts with another partition, so that none starves when a send is full.
      const partition = (this.#first + i) % this.#queues.length;
      const taken = this.#takeFrom(partition, Math.min(maxPartitionSendBytes, maxSendBytes - bytes));
      for (const chunk of taken) bytes += bytesOf(chunk);
      records.push(...recordsOf(partition, taken, this.#maxRecordBytes));
      chunks.push(...taken);
    }
    this.#first = (this.#first + 1) % this.#queues.length;
    this.hasFullRecord = this.#queueBytes.some(queued => queued >= this.#maxRecordBytes);
    return { records, chunks, bytes };
  }

  #takeFrom(partition: number, maxBytes: number): Chunk<W>[] {
    const queue = this.#queues[partition]!;
    const taken: Chunk<W>[] = [];
    const dropped: Chunk<W>[] = [];
    let takenBytes = 0;
    let droppedBytes = 0;
    let count = 0;
    for (; count < queue.length; count++) {
      const chunk = queue[count]!;
      if (chunk.waiter.settled) {
        droppedBytes += bytesOf(chunk);
        dropped.push(chunk);
        continue;
      }
      if (takenBytes + bytesOf(chunk) > maxBytes) break;
      takenBytes += bytesOf(chunk);
      taken.push(chunk);
    }
    queue.splice(0, count);
    this.release(dropped);
    this.#queueBytes[partition]! -= takenBytes + droppedBytes;
    this.queuedBytes -= takenBytes + droppedBytes;
    return taken;
  }

  /** With room for a line of so many bytes. One that is longer than a record may be has a record of its own. */
  #memoryFor(partition: number, bytes: number): RecordMemory {
    const open = this.#open[partition];
    if (open !== undefined && open.end + bytes <= this.#maxRecordBytes) return open;
    const size = Math.max(bytes, this.#maxRecordBytes);
    const spare = size === this.#maxRecordBytes ? this.#free.pop() : undefined;
    const memory = spare ?? { bytes: Buffer.allocUnsafeSlow(size), end: 0, chunks: 0 };
    this.#open[partition] = memory;
    return memory;
  }
}

/** Chunks that lie one behind the other become one record, up to `maxBytes`. */
function recordsOf<W extends Waiter>(
  partition: number,
  chunks: readonly Chunk<W>[],
  maxBytes: number,
): OutgoingRecord[] {
  const records: OutgoingRecord[] = [];
  for (let i = 0; i < chunks.length; ) {
    const { memory, start } = chunks[i]!;
    const traces: TraceContext[] = [];
    let end = start;
    for (; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      if (chunk.memory !== memory || chunk.start !== end || (end > start && chunk.end - start > maxBytes)) break;
      if (chunk.waiter.trace) addTrace(traces, chunk.waiter.trace);
      end = chunk.end;
    }
    const headers = traces.length > 0 ? { ...clickHeaders, ...headersOf(traces) } : clickHeaders;
    // Newlines stand between lines.
    records.push({ partition, value: memory.bytes.subarray(start, end - 1), headers });
  }
  return records;
}

function bytesOf({ start, end }: { readonly start: number; readonly end: number }): number {
  return end - start;
}
