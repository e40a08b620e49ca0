/**
 * What the writing side asks the brokers, one request at a time: each call sends one request to one broker and resolves with
 * what that broker answered, checked to speak of everything that was asked. Nothing is repeated here: whether a request
 * may be repeated depends on what it was for, and is decided by partition-sender.ts and transactional-producer.ts.
 *
 * The real one is kafkajs-requests.ts; the simulation has its own.
 */
import type { Committed } from './committed.ts';
import type { ProduceRequest, ProduceResult, ProducerIdentity } from './produce-request.ts';

export interface BrokerRequests extends AsyncDisposable {
  /**
   * The leaders of a topic's partitions, by partition, as one broker knows them now. Partitions that have none are left out.
   * Whichever broker answers first is believed, and another is asked first the next time: one that is cut off from the rest
   * of the cluster may tell what was.
   */
  leaders(topic: string): Promise<ReadonlyMap<number, NodeId>>;
  /**
   * `request` is called once the connection stands, just before its bytes are written: what it returns may have waited
   * until then. Undefined: there is nothing to send any more. `acks` is the request's; with 0 there is no answer, and there
   * are no results.
   * @throws Error: it is not known what of it was appended
   */
  produce(
    node: NodeId,
    acks: ProduceRequest['acks'],
    request: () => ProduceRequest | undefined,
  ): Promise<readonly ProduceResult[]>;
  /** An identity of one's own, for writing outside of transactions. */
  newProducer(): Promise<ProducerIdentity>;
  /** Fences every earlier producer of the transactional id. */
  initTransactions(transactionalId: string, transactionTimeoutMs: number): Promise<ProducerIdentity>;
  addPartitions(to: TransactionalIdentity, partitions: readonly TopicPartition[]): Promise<void>;
  addOffsets(to: TransactionalIdentity, group: string): Promise<void>;
  commitOffset(to: TransactionalIdentity, group: string, of: TopicPartition, commit: Committed): Promise<void>;
  endTransaction(of: TransactionalIdentity, outcome: 'commit' | 'abort'): Promise<void>;
  /** The connection is broken off; what was asked over it fails. The next request makes a new one. */
  breakOff(node: NodeId): void;
}

/** What is asked for waiting until something is appended (append-watch.ts). */
export interface AppendWaits extends Pick<BrokerRequests, 'leaders' | typeof Symbol.asyncDispose> {
  /**
   * The end of the partition's log, once it is beyond `offset`, or after `waitMs`.
   * @throws Error: it is not the leader, the offset is none of the log's, or there was no answer
   */
  endBeyond(node: NodeId, of: TopicPartition, offset: number, waitMs: number): Promise<number>;
}

/** Of a broker. */
export type NodeId = number;

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

export interface TransactionalIdentity extends ProducerIdentity {
  readonly transactionalId: string;
}

/** An answer that lacks what was asked for. `type` as the brokers' errors have it. */
export class IncompleteAnswer extends Error {
  override readonly name = 'IncompleteAnswer';
  readonly type = 'INCOMPLETE_ANSWER';
}
