/**
 * Holds click lines that wait to be sent, for each partition in the order of arrival. It limits the size of one batch
 * of a partition, because its records become one record batch (the topic accepts 8 MiB).
 */
import type { OutgoingRecord } from '../infra/kafka/outgoing-record.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import type { ClickLines } from './click-lines.ts';
import { clickHeaders } from './click-records.ts';
import { addTrace, headersOf } from './record-traces.ts';

/** The one that waits for a chunk: one call of `append`. */
export interface Waiter {
  /** It was already answered (in time or not), so its unsent chunks need not be sent. */
  readonly settled: boolean;
  /** The trace of the request for which it waits. */
  readonly trace?: TraceContext | undefined;
}

/**
 * Lines of one append for one partition, at most one record's worth: `[start, end)` of a memory, each with its newline.
 */
export interface Chunk<W extends Waiter> {
  readonly memory: RecordMemory;
  readonly start: number;
  end: number;
  lines: number;
  readonly waiter: W;
}

/** Lines of one partition in the order of their arrival. The memory is used again once it holds no chunk any more. */
interface RecordMemory {
  readonly bytes: Buffer;
  end: number;
  chunks: number;
}

/** One batch of one partition. */
export interface Batch<W extends Waiter> {
  readonly records: readonly OutgoingRecord[];
  readonly chunks: readonly Chunk<W>[];
  readonly bytes: number;
  readonly lines: number;
}

/** What waits in one partition. */
interface Queue<W extends Waiter> {
  readonly chunks: Chunk<W>[];
  bytes: number;
  /** The memory for the next lines. */
  open: RecordMemory | undefined;
}

export const maxPartitionSendBytes = 4 * 1024 * 1024 - 64 * 1024;

export class ClickBuffer<W extends Waiter> {
  queuedBytes = 0;
  /** By partition. */
  readonly #queues: (Queue<W> | undefined)[] = [];
  #free: RecordMemory[] = [];
  readonly #maxRecordBytes: number;

  constructor(maxRecordBytes: number) {
    this.#maxRecordBytes = maxRecordBytes;
  }

  queuedBytesOf(partition: number): number {
    return this.#queues[partition]?.bytes ?? 0;
  }

  /** `partitions[i]` is the partition of line i. Copies the lines, and returns in how many chunks they wait. */
  add(lines: ClickLines, partitions: ArrayLike<number>, waiter: W): number {
    let chunks = 0;
    const last = new Map<number, Chunk<W>>();
    for (let i = 0; i < lines.count; i++) {
      const partition = partitions[i]!;
      const queue = this.#queueOf(partition);
      const [start, end] = [lines.startOf(i), lines.startOf(i + 1)];
      const memory = this.#memoryFor(queue, end - start);
      let chunk = last.get(partition);
      if (chunk?.memory !== memory) {
        chunk = { memory, start: memory.end, end: memory.end, lines: 0, waiter };
        memory.chunks++;
        chunks++;
        queue.chunks.push(chunk);
        last.set(partition, chunk);
      }
      memory.end += lines.bytes.copy(memory.bytes, memory.end, start, end);
      chunk.end = memory.end;
      chunk.lines++;
      queue.bytes += end - start;
      this.queuedBytes += end - start;
    }
    return chunks;
  }

  /** Nobody reads these chunks any more, because their batch was acknowledged or has failed for good. */
  release(partition: number, chunks: readonly Chunk<W>[]): void {
    const open = this.#queues[partition]?.open;
    for (const { memory } of chunks) {
      if (--memory.chunks > 0) continue;
      memory.end = 0;
      const isSpare = memory !== open && memory.bytes.length === this.#maxRecordBytes;
      if (isSpare && this.#free.length < this.#queues.length) this.#free.push(memory);
    }
  }

  /** Takes out the content of the partition's next batch, without the chunks for which nobody waits any more. */
  take(partition: number): Batch<W> {
    const queue = this.#queueOf(partition);
    const taken: Chunk<W>[] = [];
    const dropped: Chunk<W>[] = [];
    let [takenBytes, droppedBytes, lines, count] = [0, 0, 0, 0];
    for (; count < queue.chunks.length; count++) {
      const chunk = queue.chunks[count]!;
      const bytes = chunk.end - chunk.start;
      if (chunk.waiter.settled) {
        droppedBytes += bytes;
        dropped.push(chunk);
        continue;
      }
      if (takenBytes + bytes > maxPartitionSendBytes) break;
      takenBytes += bytes;
      lines += chunk.lines;
      taken.push(chunk);
    }
    queue.chunks.splice(0, count);
    this.release(partition, dropped);
    queue.bytes -= takenBytes + droppedBytes;
    this.queuedBytes -= takenBytes + droppedBytes;
    return { records: recordsOf(partition, taken, this.#maxRecordBytes), chunks: taken, bytes: takenBytes, lines };
  }

  #queueOf(partition: number): Queue<W> {
    const queue = this.#queues[partition] ?? { chunks: [], bytes: 0, open: undefined };
    this.#queues[partition] = queue;
    return queue;
  }

  /**
   * Returns a memory with room for a line of this many bytes. A line that is longer than a record should be gets a
   * record of its own.
   */
  #memoryFor(queue: Queue<W>, bytes: number): RecordMemory {
    const { open } = queue;
    if (open !== undefined && open.end + bytes <= this.#maxRecordBytes) return open;
    const size = Math.max(bytes, this.#maxRecordBytes);
    const spare = size === this.#maxRecordBytes ? this.#free.pop() : undefined;
    const memory = spare ?? { bytes: Buffer.allocUnsafeSlow(size), end: 0, chunks: 0 };
    queue.open = memory;
    return memory;
  }
}

/** Joins adjacent chunks into one record of up to `maxBytes`. */
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
    // The newlines are between the lines.
    records.push({ partition, value: memory.bytes.subarray(start, end - 1), headers });
  }
  return records;
}
