/**
 * Writes clicks to topic `clicks`, with the clicks of many requests in one record.
 *
 * `append` resolves only when the brokers have acknowledged every one of its clicks. When it rejects, none, some or all
 * of them may be in the log, and the caller may append them again, because their event_ids make copies harmless.
 *
 * Each partition has one batch in progress at a time. Meanwhile its next batch collects, so batches grow with the load
 * by themselves, and the linger time matters only under low load. A batch is built at the moment when its broker is
 * free.
 *
 * When the brokers of a partition are away, nobody waits for long. A click that is not acknowledged after `timeoutMs`
 * is given up. After a failed batch, new clicks of that partition are refused at once for a short while. Then the next
 * append tries again, so recovery needs no help. Other partitions continue. The waiting bytes never exceed
 * `maxBufferBytes`, and those of one partition are limited to a part of that.
 *
 * Every record says what was acknowledged to this process before it (ack-chain.ts). When no next batch comes to say it,
 * a record without lines does, a second later and at the end.
 */
import { messageOf, Retryable } from '../infra/errors.ts';
import type { OutgoingRecord } from '../infra/kafka/outgoing-record.ts';
import type { Producer } from '../infra/kafka/producer.ts';
import { counter, gauge, histogram } from '../infra/metrics.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import { type AckChain, ackHeader } from './ack-chain.ts';
import { Append } from './append.ts';
import { type Batch, ClickBuffer, maxPartitionSendBytes } from './click-buffer.ts';
import type { ClickLines } from './click-lines.ts';
import { clickHeaders } from './click-records.ts';
import type { RoutedClick } from './hot-ads/rule.ts';

export interface ClickLogOptions {
  readonly topic: string;
  /** @throws Retryable when the partition cannot be determined yet */
  readonly partitionFor: (click: RoutedClick, client: string) => number;
  readonly producer: Pick<Producer, 'sendBatch'>;
  readonly ackChain: AckChain;
  readonly lingerMs: number;
  /** For one record, at most 1 MiB. */
  readonly maxBatchBytes: number;
  /** For all clicks that are not acknowledged yet. */
  readonly maxBufferBytes: number;
  readonly timeoutMs: number;
}

export interface ClickLog extends AsyncDisposable {
  /**
   * `trace` belongs to the request that brings the lines, and `client` is its sender. @throws Retryable when they are
   * not acknowledged. It throws at once, with nothing appended, when `refusal()` gives a reason, when the buffer is
   * full, or when a click's partition is unknown or does not acknowledge
   */
  append(lines: ClickLines, trace?: TraceContext, client?: string): Promise<void>;
  /** Why all clicks are refused at the moment, or undefined. */
  refusal(): Retryable | undefined;
  readonly pendingBytes: number;
  /** Sends what waits without lingering. Resolves when nothing waits and nothing is in progress any more. */
  drain(): Promise<void>;
}

/** After a failed batch, clicks of its partition are refused for this long. */
export const backOffMs = 1_000;
/** The share of the buffer that one partition may use, so that a leader that is away does not fill it for all. */
const partOfBuffer = 1 / 4;
/** What was acknowledged is recorded in the log after this long at the latest, plus the time until the next look. */
const statedAfterMs = 1_000;
const lookEveryMs = 250;

export function createClickLog(options: ClickLogOptions): ClickLog {
  return new BatchingClickLog(options);
}

interface Partition {
  /** A batch is handed over and not settled yet. */
  isUnderWay: boolean;
  sendingBytes: number;
  /** When the oldest of the waiting clicks arrived. Not used while none waits. */
  waitingSinceMs: number;
  refusedUntilMs: number;
  refusedBecause: string;
  /** The last append for which it was considered. */
  lookedAtFor: number;
  acknowledgedAtMs: number;
}

class BatchingClickLog implements ClickLog {
  readonly #options: ClickLogOptions;
  readonly #buffer: ClickBuffer<Append>;
  /** By number. */
  readonly #partitions: (Partition | undefined)[] = [];
  #appends = 0;
  readonly #partitionBytes: number;
  #sendingBytes = 0;
  #lingerTimer: NodeJS.Timeout | undefined;
  /** The partitions of the lines of one append. */
  #routed = new Uint16Array(64);
  readonly #stating: NodeJS.Timeout;
  #draining: PromiseWithResolvers<void> | undefined;
  #closed = false;

  constructor(options: ClickLogOptions) {
    this.#options = options;
    this.#buffer = new ClickBuffer(options.maxBatchBytes);
    this.#stating = setInterval(() => this.#state(performance.now() - statedAfterMs), lookEveryMs);
    this.#partitionBytes = Math.max(options.maxBufferBytes * partOfBuffer, 2 * maxPartitionSendBytes);
  }

  get pendingBytes(): number {
    return this.#buffer.queuedBytes + this.#sendingBytes;
  }

  refusal(): Retryable | undefined {
    if (this.#closed) return new Retryable('ingest is stopping');
    if (this.pendingBytes >= this.#options.maxBufferBytes) return this.#full();
    return undefined;
  }

  async append(lines: ClickLines, trace?: TraceContext, client = ''): Promise<void> {
    const refusal = this.refusal();
    if (refusal) throw refusal;
    if (lines.count === 0) return;
    const { maxBufferBytes, timeoutMs } = this.#options;
    if (this.pendingBytes + lines.end > maxBufferBytes) throw this.#full();
    const routed = this.#route(lines, client);
    const append = new Append(trace);
    const chunks = this.#buffer.add(lines, routed, append);
    append.begin(chunks, timeoutMs, () =>
      append.fail(new Retryable(`Kafka did not acknowledge the clicks within ${timeoutMs} ms`)),
    );
    this.#schedule();
    return append.done;
  }

  async drain(): Promise<void> {
    this.#draining ??= Promise.withResolvers();
    const { promise } = this.#draining;
    this.#schedule();
    await promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    clearInterval(this.#stating);
    await this.drain();
    this.#state(Number.POSITIVE_INFINITY);
    await this.drain();
  }

  /**
   * Returns the partition of each line. @throws Retryable when one of the partitions accepts none at the moment;
   * nothing was added then
   */
  #route(lines: ClickLines, client: string): Uint16Array {
    if (this.#routed.length < lines.count) this.#routed = new Uint16Array(2 * lines.count);
    for (let i = 0; i < lines.count; i++) this.#routed[i] = this.#options.partitionFor(lines.clickOf(i), client);
    const nowMs = performance.now();
    this.#appends++;
    for (let i = 0; i < lines.count; i++) {
      const number = this.#routed[i]!;
      const partition = this.#partitionOf(number);
      if (partition.lookedAtFor === this.#appends) continue;
      partition.lookedAtFor = this.#appends;
      if (nowMs < partition.refusedUntilMs) throw new Retryable(partition.refusedBecause);
      const queuedBytes = this.#buffer.queuedBytesOf(number);
      if (queuedBytes + partition.sendingBytes >= this.#partitionBytes) throw this.#full(number);
      if (queuedBytes === 0) partition.waitingSinceMs = nowMs;
    }
    return this.#routed;
  }

  /**
   * Hands over what is due, together with everything else that waits and may be sent, so that it shares the requests to
   * the brokers.
   */
  #schedule(): void {
    bufferBytes.set(this.pendingBytes);
    const { lingerMs, maxBatchBytes } = this.#options;
    let oldestMs = Number.POSITIVE_INFINITY;
    const waiting: number[] = [];
    for (let number = 0; number < this.#partitions.length; number++) {
      const queuedBytes = this.#buffer.queuedBytesOf(number);
      if (queuedBytes === 0 || this.#partitionOf(number).isUnderWay) continue;
      const { waitingSinceMs } = this.#partitionOf(number);
      waiting.push(number);
      const isDue = this.#draining !== undefined || queuedBytes >= maxBatchBytes;
      oldestMs = Math.min(oldestMs, isDue ? Number.NEGATIVE_INFINITY : waitingSinceMs);
    }
    const restMs = oldestMs + lingerMs - performance.now();
    if (waiting.length === 0) this.#endDrain();
    else if (lingerMs === 0 || restMs <= 0) {
      clearTimeout(this.#lingerTimer);
      this.#lingerTimer = undefined;
      for (const number of waiting) this.#handOver(number);
    } else this.#lingerTimer ??= setTimeout(() => this.#onLingered(), restMs);
  }

  #onLingered(): void {
    this.#lingerTimer = undefined;
    this.#schedule();
  }

  /**
   * Appends statements for batches that were acknowledged before that time, where no batch in progress or waiting will
   * record it.
   */
  #state(untilMs: number): void {
    for (const number of this.#options.ackChain.owed()) {
      const { isUnderWay, acknowledgedAtMs, refusedUntilMs } = this.#partitionOf(number);
      if (isUnderWay || acknowledgedAtMs > untilMs || performance.now() < refusedUntilMs) continue;
      this.#handOver(number);
    }
  }

  #handOver(number: number): void {
    const { topic, producer, ackChain } = this.#options;
    const partition = this.#partitionOf(number);
    partition.isUnderWay = true;
    let batch: Batch<Append> | undefined;
    let begun: ReturnType<AckChain['begin']> | undefined;
    let observe = () => 0;
    producer.sendBatch(
      { topic, partition: number },
      {
        take: () => {
          batch = this.#buffer.take(number);
          partition.sendingBytes = batch.bytes;
          this.#sendingBytes += batch.bytes;
          if (batch.lines === 0 && !ackChain.owed().includes(number)) return undefined;
          begun = ackChain.begin(number, batch.lines);
          observe = produceSeconds.startTimer();
          const records = batch.lines > 0 ? batch.records : [{ partition: number, value: '', headers: clickHeaders }];
          return withHeader(records, begun.header);
        },
        settled: error => {
          if (begun && !error) ackChain.acknowledged(number, begun.batch);
          this.#settled(partition, number, batch, error);
          observe();
        },
      },
    );
  }

  #settled(partition: Partition, number: number, batch: Batch<Append> | undefined, error: Error | undefined): void {
    const { chunks = [], bytes = 0 } = batch ?? {};
    partition.isUnderWay = false;
    partition.sendingBytes = 0;
    this.#sendingBytes -= bytes;
    if (error) {
      const failure = new Retryable(`Kafka did not acknowledge the clicks: ${messageOf(error)}`, { cause: error });
      partition.refusedBecause = failure.message;
      partition.refusedUntilMs = performance.now() + backOffMs;
      sends.inc({ outcome: 'failed' });
      for (const { waiter } of chunks) waiter.fail(failure);
    } else if (bytes > 0) {
      partition.acknowledgedAtMs = performance.now();
      sends.inc({ outcome: 'acknowledged' });
      sendBytes.observe(bytes);
      for (const { waiter } of chunks) waiter.acknowledge();
    }
    this.#buffer.release(number, chunks);
    this.#schedule();
  }

  #partitionOf(number: number): Partition {
    const partition = this.#partitions[number] ?? {
      ...{ isUnderWay: false, sendingBytes: 0, waitingSinceMs: 0, lookedAtFor: 0 },
      ...{ refusedUntilMs: 0, refusedBecause: '', acknowledgedAtMs: 0 },
    };
    this.#partitions[number] = partition;
    return partition;
  }

  #endDrain(): void {
    if (this.#partitions.some(partition => partition?.isUnderWay)) return;
    this.#draining?.resolve();
    this.#draining = undefined;
  }

  #full(partition?: number): Retryable {
    const whose = partition === undefined ? '' : ` of partition ${partition}`;
    return new Retryable(`the buffer${whose} is full: ${this.pendingBytes} bytes in total wait for Kafka`);
  }
}

function withHeader(records: readonly OutgoingRecord[], header: string): OutgoingRecord[] {
  return records.map(record => ({ ...record, headers: { ...record.headers, [ackHeader]: header } }));
}

const sends = counter(
  'ingest_sends_total',
  'Batches that were sent to Kafka; each contains the waiting clicks of one partition',
  ['outcome'],
);
const produceSeconds = histogram(
  'ingest_produce_seconds',
  'Time from building a batch of one partition to its acknowledgement',
);
const sendBytes = histogram(
  'ingest_send_bytes',
  'Bytes of click lines in an acknowledged batch',
  [],
  [1e3, 1e4, 1e5, 1e6, 4e6],
);
const bufferBytes = gauge('ingest_buffer_bytes', 'Bytes of click lines that are not acknowledged yet');
