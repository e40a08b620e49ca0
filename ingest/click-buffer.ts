/**
 * Click lines waiting to be sent, per partition, first come first served. Bounds what one send may carry: kafkajs packs
 * all records of one send for one partition into one record batch (the topic takes 8 MiB), and all partitions of one
 * broker into one request (the broker takes 100 MiB).
 */
import type { OutgoingRecord } from '../infra/kafka/producer.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import type { ClickLines } from './click-lines.ts';
import type { RoutedClick } from './hot-ads/rule.ts';
import { addTrace, headersOf } from './record-traces.ts';

/** Whoever waits for a chunk: one call of `append`. */
export interface Waiter {
  /** Answered already (in time or not): its chunks that were not sent yet need not be. */
  readonly settled: boolean;
  /** Of the request it waits for. */
  readonly trace?: TraceContext | undefined;
}

/** Lines of one append for one partition, at most one record's worth. */
export interface Chunk<W extends Waiter> {
  readonly partition: number;
  /** Each with its newline. */
  readonly lines: Buffer;
  readonly waiter: W;
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
  readonly #maxRecordBytes: number;
  #first = 0;

  constructor(partitions: number, maxRecordBytes: number) {
    this.#queues = Array.from({ length: partitions }, () => []);
    this.#queueBytes = Array.from({ length: partitions }, () => 0);
    this.#maxRecordBytes = maxRecordBytes;
  }

  add(chunk: Chunk<W>): void {
    this.#queues[chunk.partition]!.push(chunk);
    const bytes = this.#queueBytes[chunk.partition]! + chunk.lines.length;
    this.#queueBytes[chunk.partition] = bytes;
    this.queuedBytes += chunk.lines.length;
    if (bytes >= this.#maxRecordBytes) this.hasFullRecord = true;
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
      for (const chunk of taken) bytes += chunk.lines.length;
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
    let takenBytes = 0;
    let droppedBytes = 0;
    let count = 0;
    for (; count < queue.length; count++) {
      const chunk = queue[count]!;
      if (chunk.waiter.settled) {
        droppedBytes += chunk.lines.length;
        continue;
      }
      if (takenBytes + chunk.lines.length > maxBytes) break;
      takenBytes += chunk.lines.length;
      taken.push(chunk);
    }
    queue.splice(0, count);
    this.#queueBytes[partition]! -= takenBytes + droppedBytes;
    this.queuedBytes -= takenBytes + droppedBytes;
    return taken;
  }
}

/** Copies of the lines, per partition, in the order given. @throws what `partitionFor` throws */
export function chunksOf<W extends Waiter>(
  lines: ClickLines,
  partitionFor: (click: RoutedClick) => number,
  maxBytes: number,
  waiter: W,
): Chunk<W>[] {
  const partitionOfLine = new Uint16Array(lines.count);
  const bytesLeft = new Map<number, number>();
  for (let i = 0; i < lines.count; i++) {
    const partition = partitionFor(lines.clickOf(i));
    partitionOfLine[i] = partition;
    bytesLeft.set(partition, (bytesLeft.get(partition) ?? 0) + lines.startOf(i + 1) - lines.startOf(i));
  }
  const chunks: Chunk<W>[] = [];
  const open = new Map<number, { memory: Buffer; end: number }>();
  const close = (partition: number, { memory, end }: { memory: Buffer; end: number }) => {
    chunks.push({ partition, lines: memory.subarray(0, end), waiter });
    bytesLeft.set(partition, bytesLeft.get(partition)! - end);
  };
  for (let i = 0; i < lines.count; i++) {
    const partition = partitionOfLine[i]!;
    const [start, end] = [lines.startOf(i), lines.startOf(i + 1)];
    let chunk = open.get(partition);
    if (chunk !== undefined && chunk.end + end - start > chunk.memory.length) {
      close(partition, chunk);
      chunk = undefined;
    }
    if (chunk === undefined) {
      // A line that is longer than a record may be has one of its own.
      const size = Math.max(end - start, Math.min(maxBytes, bytesLeft.get(partition)!));
      chunk = { memory: Buffer.allocUnsafe(size), end: 0 };
      open.set(partition, chunk);
    }
    chunk.end += lines.bytes.copy(chunk.memory, chunk.end, start, end);
  }
  for (const [partition, chunk] of open) close(partition, chunk);
  return chunks;
}

function recordsOf<W extends Waiter>(
  partition: number,
  chunks: readonly Chunk<W>[],
  maxBytes: number,
): OutgoingRecord[] {
  const records: OutgoingRecord[] = [];
  let pieces: Buffer[] = [];
  let bytes = 0;
  let traces: TraceContext[] = [];
  const close = () => {
    const headers = traces.length > 0 ? { headers: headersOf(traces) } : undefined;
    const lines = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, bytes);
    // Newlines stand between lines.
    if (bytes > 0) records.push({ partition, value: lines.subarray(0, -1), ...headers });
    if (headers) traces = [];
    pieces = [];
    bytes = 0;
  };
  for (const { lines, waiter } of chunks) {
    if (bytes + lines.length > maxBytes) close();
    pieces.push(lines);
    if (waiter.trace) addTrace(traces, waiter.trace);
    bytes += lines.length;
  }
  close();
  return records;
}
