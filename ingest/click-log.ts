/**
 * Writes clicks to topic `clicks`, many requests to a record. `append` resolves only when the brokers have acknowledged
 * every one of its clicks; when it rejects, none, some or all of them may be in the log, and the caller may append them
 * again (their event_ids make the copies harmless).
 *
 * One send is under way at a time (the producer's sequence numbers allow no more); meanwhile the next batch collects,
 * so batches grow by themselves with the load and the linger matters only when it is low.
 *
 * When Kafka is away nobody waits for long: a click that was not acknowledged after `timeoutMs` is given up, and after
 * a failed send new clicks are refused at once for a short while. Then the next append tries again: recovery needs no
 * help. What waits in memory never exceeds `maxBufferBytes`.
 */
import { messageOf, Retryable } from '../infra/errors.ts';
import type { Producer } from '../infra/kafka/producer.ts';
import { counter, gauge, histogram } from '../infra/metrics.ts';
import type { TraceContext } from '../infra/trace-context.ts';
import { Append } from './append.ts';
import { type Batch, ClickBuffer } from './click-buffer.ts';
import type { ClickLines } from './click-lines.ts';
import type { RoutedClick } from './hot-ads/rule.ts';

export interface ClickLogOptions {
  readonly topic: string;
  readonly partitions: number;
  /** @throws Retryable where it cannot be told yet */
  readonly partitionFor: (click: RoutedClick) => number;
  readonly producer: Producer;
  readonly lingerMs: number;
  /** Of one record, at most 1 MiB. */
  readonly maxBatchBytes: number;
  /** Of all clicks not yet acknowledged. */
  readonly maxBufferBytes: number;
  readonly timeoutMs: number;
}

export interface ClickLog extends AsyncDisposable {
  /**
   * `trace`: of the request that brings them.
   * @throws Retryable: not acknowledged; at once and with nothing appended where `refusal()` says so, the buffer is full,
   * or the partition of a click cannot be told
   */
  append(lines: ClickLines, trace?: TraceContext): Promise<void>;
  /** Why clicks are refused at the moment, if they are. */
  refusal(): Retryable | undefined;
  readonly pendingBytes: number;
  /** Sends without lingering what waits; resolves when nothing waits any more. */
  drain(): Promise<void>;
}

/** After a failed send clicks are refused for so long. */
export const backOffMs = 1_000;

export function createClickLog(options: ClickLogOptions): ClickLog {
  return new BatchingClickLog(options);
}

class BatchingClickLog implements ClickLog {
  readonly #options: ClickLogOptions;
  readonly #buffer: ClickBuffer<Append>;
  #sending: Promise<void> | undefined;
  #sendingBytes = 0;
  #lingerTimer: NodeJS.Timeout | undefined;
  /** When the oldest click of the buffer came. */
  #waitingSinceMs = 0;
  #refusedUntilMs = 0;
  #refusedBecause = '';
  /** The send under way takes so long that clicks in it were given up. */
  #stalled = false;
  #draining = 0;
  #closed = false;

  constructor(options: ClickLogOptions) {
    this.#options = options;
    this.#buffer = new ClickBuffer(options.partitions, options.maxBatchBytes);
  }

  get pendingBytes(): number {
    return this.#buffer.queuedBytes + this.#sendingBytes;
  }

  refusal(): Retryable | undefined {
    if (this.#closed) return new Retryable('ingest is stopping');
    if (this.#stalled) return new Retryable(`Kafka has not answered for ${this.#options.timeoutMs} ms`);
    if (performance.now() < this.#refusedUntilMs) return new Retryable(this.#refusedBecause);
    if (this.pendingBytes >= this.#options.maxBufferBytes) return this.#full();
    return undefined;
  }

  async append(lines: ClickLines, trace?: TraceContext): Promise<void> {
    const refusal = this.refusal();
    if (refusal) throw refusal;
    if (lines.count === 0) return;
    const { partitionFor, maxBufferBytes, timeoutMs } = this.#options;
    if (this.pendingBytes + lines.end > maxBufferBytes) throw this.#full();
    const append = new Append(trace);
    if (this.#buffer.queuedBytes === 0) this.#waitingSinceMs = performance.now();
    const chunks = this.#buffer.add(lines, partitionFor, append);
    append.begin(chunks, timeoutMs, () => this.#onTimeout(append));
    this.#schedule();
    return append.done;
  }

  async drain(): Promise<void> {
    this.#draining++;
    while (this.pendingBytes > 0) {
      this.#schedule();
      await this.#sending;
    }
    this.#draining--;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    await this.drain();
  }

  #schedule(): void {
    bufferBytes.set(this.pendingBytes);
    if (this.#sending || this.#buffer.queuedBytes === 0) return;
    const restMs = this.#waitingSinceMs + this.#options.lingerMs - performance.now();
    if (this.#options.lingerMs === 0 || restMs <= 0 || this.#buffer.hasFullRecord || this.#draining > 0)
      this.#sendNext();
    else this.#lingerTimer ??= setTimeout(() => this.#sendNext(), restMs);
  }

  #sendNext(): void {
    clearTimeout(this.#lingerTimer);
    this.#lingerTimer = undefined;
    const batch = this.#buffer.take();
    if (batch.records.length === 0) return;
    for (const { waiter } of batch.chunks) waiter.sent = true;
    this.#sendingBytes = batch.bytes;
    this.#sending = this.#send(batch).finally(() => {
      this.#sending = undefined;
      this.#sendingBytes = 0;
      this.#stalled = false;
      this.#schedule();
    });
  }

  async #send({ records, chunks, bytes }: Batch<Append>): Promise<void> {
    const observe = produceSeconds.startTimer();
    try {
      await this.#options.producer.send(this.#options.topic, records);
      this.#refusedUntilMs = 0;
      sends.inc({ outcome: 'acknowledged' });
      sendBytes.observe(bytes);
      for (const { waiter } of chunks) waiter.acknowledge();
    } catch (error) {
      const failure = new Retryable(`Kafka did not acknowledge the clicks: ${messageOf(error)}`, { cause: error });
      this.#refusedBecause = failure.message;
      this.#refusedUntilMs = performance.now() + backOffMs;
      sends.inc({ outcome: 'failed' });
      for (const { waiter } of chunks) waiter.fail(failure);
    } finally {
      this.#buffer.release(chunks);
      observe();
    }
  }

  #onTimeout(append: Append): void {
    if (append.sent && this.#sending) this.#stalled = true;
    append.fail(new Retryable(`Kafka did not acknowledge the clicks within ${this.#options.timeoutMs} ms`));
  }

  #full(): Retryable {
    return new Retryable(
      `the buffer is full: ${this.pendingBytes} of ${this.#options.maxBufferBytes} bytes wait for Kafka`,
    );
  }
}

const sends = counter('ingest_sends_total', 'Sends to Kafka, each with the waiting clicks of all partitions', [
  'outcome',
]);
const produceSeconds = histogram(
  'ingest_produce_seconds',
  'Time from handing a send to the producer to its acknowledgement',
);
const sendBytes = histogram(
  'ingest_send_bytes',
  'Bytes of click lines in an acknowledged send',
  [],
  [1e3, 1e4, 1e5, 1e6, 4e6, 16e6, 64e6],
);
const bufferBytes = gauge('ingest_buffer_bytes', 'Bytes of click lines not yet acknowledged');
