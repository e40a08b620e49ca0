/**
 * Appends batches to partitions. Each batch is acknowledged or fails by itself.
 *
 * - A partition has at most one batch in progress, and the next one starts after it has been settled. So its sequence
 *   numbers never overtake each other.
 * - A broker has at most one request in progress, with one batch for each of its partitions that has one waiting. So a
 *   slow broker delays only its own partitions. The content of a batch is requested at the last moment (`take`), so
 *   batches grow with the load by themselves.
 * - The result of each partition is examined. A batch is acknowledged only when the partition's leader has acknowledged
 *   it.
 * - A batch that is not acknowledged is written again with the same sequence numbers, to the current leader of the
 *   partition, until `timeoutMs` has passed. A broker that has it already says so. When another broker leads the
 *   partition, a silent broker is not waited for.
 * - A batch that has failed may have been appended. Its sequence numbers are never used for other records, because the
 *   brokers would drop those as copies: the partition gets another identity. A transaction has only one identity, so it
 *   ends with it.
 *
 * The rules are those of Kafka's own producer (KIP-98; `Sender` and `TransactionManager` of its Java client), except
 * that one batch of a partition is in progress where that producer has five.
 */
import { type BrokerRequests, IncompleteAnswer, type NodeId, type TopicPartition } from './broker-requests.ts';
import { brokerError } from './errors.ts';
import { LeaderMap } from './leader-map.ts';
import type { OutgoingRecord } from './outgoing-record.ts';
import {
  noIdentity,
  type ProduceBatch,
  type ProduceRequest,
  type ProduceResult,
  type ProducerIdentity,
} from './produce-request.ts';
import { verdictOn } from './produce-verdict.ts';

export interface PartitionSenderOptions {
  readonly acks: ProduceRequest['acks'];
  /** A batch fails when it was not acknowledged for this long. */
  readonly timeoutMs: number;
  /** For writing in transactions of this id. Without it the sender gets identities of its own, if acks is -1. */
  readonly transaction?: { readonly transactionalId: string; readonly identity: ProducerIdentity };
}

export interface OutgoingBatch {
  /**
   * Is called at most once, when the records are about to be written. They must not change until the batch is settled.
   * When it returns undefined or no records, there is nothing to send any more.
   */
  take(): readonly OutgoingRecord[] | undefined;
  /**
   * The batch was acknowledged, or with an error: it may be in the log. Is called once, and may hand over the next
   * batch.
   */
  settled(error?: Error): void;
}

export interface PartitionSender extends AsyncDisposable {
  /** Batches of one partition are sent in the order in which they are handed over. */
  send(to: TopicPartition, batch: OutgoingBatch): void;
}

interface Batch extends OutgoingBatch {
  readonly lane: Lane;
  readonly deadlineMs: number;
  records: readonly OutgoingRecord[] | undefined;
  /** The broker whose answer is waited for. */
  sentTo: NodeId | undefined;
  /** Why the batch is not acknowledged yet. */
  because: unknown;
  notBeforeMs: number;
  isSettled: boolean;
}

/** The sequence of one partition. */
interface Lane extends TopicPartition {
  identity: ProducerIdentity | undefined;
  sequence: number;
  /** The first one is in progress, or will be next. */
  readonly batches: Batch[];
}

/** The size of one request. The brokers accept 100 MiB. What exceeds it waits for the next request. */
const mostRequestBytes = 32 << 20;
const pauseMs = 50;
/** A broker that has not answered after this time may not be the leader any more. */
const silentMs = 500;

export class Sender implements PartitionSender {
  readonly #requests: BrokerRequests;
  readonly #options: PartitionSenderOptions;
  readonly #lanes = new Map<string, Lane>();
  readonly #leaders: LeaderMap;
  /** Brokers with a request in progress, and since when. */
  readonly #busy = new Map<NodeId, number>();
  #isAskingIdentity = false;
  #askIdentityAtMs = 0;
  #identityError: unknown;
  #isPumping = false;
  #timer: NodeJS.Timeout | undefined;
  /** Set once nothing can be sent any more. */
  #ended: Error | undefined;

  constructor(requests: BrokerRequests, options: PartitionSenderOptions) {
    this.#requests = requests;
    this.#options = options;
    this.#leaders = new LeaderMap(requests, () => this.#pump());
  }

  send({ topic, partition }: TopicPartition, { take, settled }: OutgoingBatch): void {
    const key = keyOf(topic, partition);
    const identity = this.#options.transaction?.identity;
    const lane = this.#lanes.get(key) ?? { topic, partition, identity, sequence: 0, batches: [] };
    this.#lanes.set(key, lane);
    if (this.#ended) {
      settled(this.#ended);
      return;
    }
    lane.batches.push({
      ...{ lane, take, settled, deadlineMs: performance.now() + this.#options.timeoutMs },
      ...{ records: undefined, sentTo: undefined, because: undefined, notBeforeMs: 0, isSettled: false },
    });
    // Everything that is handed over in this turn becomes one request.
    if (this.#isPumping) return;
    this.#isPumping = true;
    queueMicrotask(() => this.#pump());
  }

  /** Waiting batches fail. The caller waits for them if necessary. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#end(new Error('the producer is closed'));
    clearTimeout(this.#timer);
  }

  /** Gives every free broker what waits for it, and checks what has waited too long. */
  #pump(): void {
    this.#isPumping = false;
    const nowMs = performance.now();
    const ready = new Map<NodeId, Batch[]>();
    let nextMs = Number.POSITIVE_INFINITY;
    for (const lane of this.#lanes.values()) {
      this.#expire(lane, nowMs);
      const [batch] = lane.batches;
      if (batch === undefined) continue;
      nextMs = Math.min(nextMs, batch.deadlineMs, nowMs + silentMs);
      const leader = this.#leaders.of(lane);
      if (batch.sentTo !== undefined) {
        this.#leaveSilent(batch, batch.sentTo, leader, nowMs);
        if (batch.sentTo !== undefined) continue;
      }
      if (batch.notBeforeMs > nowMs) nextMs = Math.min(nextMs, batch.notBeforeMs);
      else if (leader === undefined || !this.#hasIdentity(lane)) nextMs = Math.min(nextMs, nowMs + pauseMs);
      else if (!this.#busy.has(leader)) ready.set(leader, [...(ready.get(leader) ?? []), batch]);
    }
    for (const [node, batches] of ready) void this.#request(node, batches);
    for (const [node, sinceMs] of this.#busy)
      if (nowMs - sinceMs > this.#options.timeoutMs) this.#requests.breakOff(node);
    clearTimeout(this.#timer);
    if (nextMs < Number.POSITIVE_INFINITY) this.#timer = setTimeout(() => this.#pump(), Math.max(1, nextMs - nowMs));
  }

  async #request(node: NodeId, batches: readonly Batch[]): Promise<void> {
    const sent: Batch[] = [];
    this.#busy.set(node, performance.now());
    for (const batch of batches) batch.sentTo = node;
    try {
      const results = await this.#requests.produce(node, this.#options.acks, () =>
        this.#contentOf(node, batches, sent),
      );
      const codes = new Map(results.map(result => [keyOf(result.topic, result.partition), result]));
      for (const batch of sent) this.#answered(batch, node, codes.get(keyOf(batch.lane.topic, batch.lane.partition)));
    } catch (error) {
      for (const batch of batches) this.#again(batch, node, error);
    }
    // Batches for which the request had no room wait for the next one.
    for (const batch of batches) if (batch.sentTo === node) batch.sentTo = undefined;
    this.#busy.delete(node);
    this.#pump();
  }

  /**
   * Is called when the bytes are about to be written. Batches that were settled or have moved meanwhile are left out.
   */
  #contentOf(node: NodeId, batches: readonly Batch[], sent: Batch[]): ProduceRequest | undefined {
    const { acks, timeoutMs, transaction } = this.#options;
    const content: ProduceBatch[] = [];
    let bytes = 0;
    for (const batch of batches) {
      if (batch.sentTo !== node || batch.isSettled || bytes > mostRequestBytes) continue;
      batch.records ??= batch.take() ?? [];
      const { lane, records } = batch;
      if (records.length === 0) this.#settle(batch);
      else {
        const { topic, partition, identity = noIdentity, sequence } = lane;
        content.push({
          topic,
          partition,
          producer: identity,
          firstSequence: identity === noIdentity ? -1 : sequence,
          records,
        });
        bytes += records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0);
        sent.push(batch);
      }
    }
    if (content.length === 0) return undefined;
    return { acks, timeoutMs, transactionalId: transaction?.transactionalId, batches: content };
  }

  #answered(batch: Batch, node: NodeId, result: ProduceResult | undefined): void {
    const { topic, partition } = batch.lane;
    const errorCode = result?.errorCode ?? 0;
    const verdict = verdictOn(errorCode);
    if (result === undefined && this.#options.acks !== 0)
      this.#again(batch, node, new IncompleteAnswer(`the answer lacks ${keyOf(topic, partition)}`));
    else if (verdict === 'appended') this.#acknowledge(batch);
    else if (verdict === 'again') this.#again(batch, node, brokerError(errorCode));
    else this.#fail(batch, brokerError(errorCode));
  }

  /** Also called for a broker that was not waited for any longer, because it has the batch. */
  #acknowledge(batch: Batch): void {
    if (batch.isSettled) return;
    const { lane, records } = batch;
    // Sequence numbers start again at 2^31.
    lane.sequence = (lane.sequence + (records?.length ?? 0)) % 2 ** 31;
    this.#settle(batch);
  }

  #again(batch: Batch, node: NodeId, because: unknown): void {
    if (batch.isSettled || batch.sentTo !== node) return;
    batch.sentTo = undefined;
    batch.because = because;
    batch.notBeforeMs = performance.now() + pauseMs;
    this.#leaders.refresh(batch.lane.topic);
  }

  #fail(batch: Batch, error: Error): void {
    if (batch.isSettled) return;
    const { lane, records } = batch;
    if (this.#options.transaction !== undefined) this.#end(error);
    else {
      if (records !== undefined) {
        lane.identity = undefined;
        lane.sequence = 0;
      }
      this.#settle(batch, error);
    }
  }

  #settle(batch: Batch, error?: Error): void {
    const { lane } = batch;
    batch.isSettled = true;
    batch.sentTo = undefined;
    lane.batches.splice(lane.batches.indexOf(batch), 1);
    batch.settled(error);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { batches } of this.#lanes.values()) for (const batch of [...batches]) this.#settle(batch, this.#ended);
  }

  #expire({ topic, partition, batches }: Lane, nowMs: number): void {
    for (const batch of batches.filter(({ deadlineMs }) => deadlineMs <= nowMs)) {
      const because = batch.because ?? this.#leaders.lastError ?? this.#identityError ?? 'no answer';
      const why = because instanceof Error ? because.message : because;
      const message = `${keyOf(topic, partition)} not acknowledged within ${this.#options.timeoutMs} ms: ${why}`;
      this.#fail(batch, new Error(message, { cause: because }));
    }
  }

  /**
   * A broker that hangs, or is cut off, does not say that another one leads its partitions now. The other brokers do.
   */
  #leaveSilent(batch: Batch, node: NodeId, leader: NodeId | undefined, nowMs: number): void {
    const sinceMs = this.#busy.get(node) ?? nowMs;
    if (nowMs - sinceMs < silentMs) return;
    if (leader === undefined || leader === node) this.#leaders.refresh(batch.lane.topic);
    else batch.sentTo = undefined;
  }

  /**
   * Returns whether the lane may be written to. If it has no identity, one is requested, and used for all lanes that
   * have none at that time.
   */
  #hasIdentity(lane: Lane): boolean {
    if (lane.identity !== undefined || this.#options.acks !== -1) return true;
    if (this.#isAskingIdentity || performance.now() < this.#askIdentityAtMs) return false;
    this.#isAskingIdentity = true;
    this.#requests
      .newProducer()
      .then(
        identity => {
          for (const each of this.#lanes.values()) each.identity ??= identity;
          this.#identityError = undefined;
        },
        error => {
          this.#identityError = error;
          this.#askIdentityAtMs = performance.now() + 4 * pauseMs;
        },
      )
      .finally(() => {
        this.#isAskingIdentity = false;
        this.#pump();
      });
    return false;
  }
}

function keyOf(topic: string, partition: number): string {
  return `${topic}[${partition}]`;
}
