/**
 * Click lines waiting to be sent, per partition, first come first served. Bounds what one send may carry: kafkajs packs
 * all records of one send for one partition into one record batch (the topic takes 8 MiB), and all partitions of one
 * broker into one request (the broker takes 100 MiB).
 */
import type { OutgoingRecord } from '../infra/kafka/producer.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import { type Click, formatLine } from './click.ts';
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
  readonly text: string;
  /** With the newline that may have to follow. */
  readonly bytes: number;
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
    const bytes = this.#queueBytes[chunk.partition]! + chunk.bytes;
    this.#queueBytes[chunk.partition] = bytes;
    this.queuedBytes += chunk.bytes;
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
      for (const chunk of taken) bytes += chunk.bytes;
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
        droppedBytes += chunk.bytes;
        continue;
      }
      if (takenBytes + chunk.bytes > maxBytes) break;
      takenBytes += chunk.bytes;
      taken.push(chunk);
    }
    queue.splice(0, count);
    this.#queueBytes[partition]! -= takenBytes + droppedBytes;
    this.queuedBytes -= takenBytes + droppedBytes;
    return taken;
  }
}

/** The canonical lines of `clicks`, per partition, in the order given. @throws what `partitionFor` throws */
export function chunksOf<W extends Waiter>(
  clicks: readonly Click[],
  partitionFor: (click: Click) => number,
  maxBytes: number,
  waiter: W,
): Chunk<W>[] {
  const full: Chunk<W>[] = [];
  const open = new Map<number, Chunk<W>>();
  for (const click of clicks) {
    const partition = partitionFor(click);
    const line = formatLine(click);
    const bytes = Buffer.byteLength(line) + 1;
    const before = open.get(partition);
    if (before && before.bytes + bytes <= maxBytes) {
      open.set(partition, { partition, text: `${before.text}\n${line}`, bytes: before.bytes + bytes, waiter });
    } else {
      if (before) full.push(before);
      open.set(partition, { partition, text: line, bytes, waiter });
    }
  }
  return [...full, ...open.values()];
}

function recordsOf<W extends Waiter>(
  partition: number,
  chunks: readonly Chunk<W>[],
  maxBytes: number,
): OutgoingRecord[] {
  const records: OutgoingRecord[] = [];
  let texts: string[] = [];
  let bytes = 0;
  let traces: TraceContext[] = [];
  const close = () => {
    const headers = traces.length > 0 ? { headers: headersOf(traces) } : undefined;
    if (texts.length > 0) records.push({ partition, value: Buffer.from(texts.join('\n')), ...headers });
    if (headers) traces = [];
    texts = [];
    bytes = 0;
  };
  for (const chunk of chunks) {
    if (bytes + chunk.bytes > maxBytes) close();
    texts.push(chunk.text);
    if (chunk.waiter.trace) addTrace(traces, chunk.waiter.trace);
    bytes += chunk.bytes;
  }
  close();
  return records;
}
