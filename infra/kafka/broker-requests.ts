/**
 * Defines the requests of the writing side to the brokers. Each call sends one request to one broker and resolves with
 * the broker's answer, after checking that it covers everything that was asked.
 *
 * Nothing is repeated here. Whether a request may be repeated depends on its purpose, and partition-sender.ts and
 * transactional-producer.ts decide it. kafkajs-requests.ts is the real implementation; the simulation has its own.
 */
import type { Committed } from './committed.ts';
import type { ProduceRequest, ProduceResult, ProducerIdentity } from './produce-request.ts';

export interface BrokerRequests extends AsyncDisposable {
  /**
   * Returns the leaders of a topic's partitions, by partition, as one broker knows them now. Partitions without a
   * leader are left out. The broker that answers first is believed, and another one is asked first the next time,
   * because a broker that is cut off from the cluster may have outdated knowledge.
   */
  leaders(topic: string): Promise<ReadonlyMap<number, NodeId>>;
  /**
   * `request` is called once the connection exists, just before its bytes are written, so its content may wait until
   * then. It returns undefined when there is nothing to send any more. `acks` is that of the request; with 0 there is
   * no answer, and there are no results. @throws Error when it is not known what was appended
   */
  produce(
    node: NodeId,
    acks: ProduceRequest['acks'],
    request: () => ProduceRequest | undefined,
  ): Promise<readonly ProduceResult[]>;
  /** Returns an identity of its own, for writing outside of transactions. */
  newProducer(): Promise<ProducerIdentity>;
  /** Fences every earlier producer of the transactional id. */
  initTransactions(transactionalId: string, transactionTimeoutMs: number): Promise<ProducerIdentity>;
  addPartitions(to: TransactionalIdentity, partitions: readonly TopicPartition[]): Promise<void>;
  addOffsets(to: TransactionalIdentity, group: string): Promise<void>;
  commitOffset(to: TransactionalIdentity, group: string, of: TopicPartition, commit: Committed): Promise<void>;
  endTransaction(of: TransactionalIdentity, outcome: 'commit' | 'abort'): Promise<void>;
  /** Ends the connection. The requests on it fail, and the next request makes a new one. */
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

/** An answer that lacks something that was asked. `type` has the form of broker errors. */
export class IncompleteAnswer extends Error {
  override readonly name = 'IncompleteAnswer';
  readonly type = 'INCOMPLETE_ANSWER';
}
