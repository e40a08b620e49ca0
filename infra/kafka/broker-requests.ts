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
