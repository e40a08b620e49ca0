/**
 * A cluster that does to a producer what clusters do: leaders move, brokers hang, refuse, or vanish with the answer, and an
 * answer lacks a partition. It keeps its log as Kafka does: a batch is known by its producer's sequence numbers.
 */
import type { BrokerRequests, NodeId } from '../../../../infra/kafka/broker-requests.ts';
import type { ProduceRequest, ProduceResult, ProducerIdentity } from '../../../../infra/kafka/produce-request.ts';

export type Fate =
  /** Nothing happens to it. */
  | 'answered'
  | 'answer lost'
  | 'request lost'
  /** It answers when it is released. */
  | 'hangs'
  | 'answer lacks a partition'
  /** Neither appended nor answered. */
  | 'partition passed over'
  /** The connection stands when it is released. */
  | 'connects slowly'
  /** Appended by the leader, not by enough replicas yet. */
  | 'timed out after append'
  | 'not enough replicas';

interface PartitionLog {
  readonly values: string[];
  readonly sequences: Map<string, { first: number; next: number }>;
}

const codes = { notLeader: 6, timedOut: 7, notEnoughReplicas: 19, outOfOrder: 45, duplicate: 46 } as const;

export class HostileCluster implements BrokerRequests {
  readonly logs = new Map<number, PartitionLog>();
  readonly leaderOf = new Map<number, NodeId>();
  /** Of the next requests, one after another; then all are answered. */
  readonly fates: Fate[] = [];
  /** What was asked of whom, in order: partitions of a request. */
  readonly asked: { readonly node: NodeId; readonly partitions: readonly number[] }[] = [];
  /** Brokers that hang, and what waits there. */
  readonly #hanging = new Map<NodeId, (() => void)[]>();
  identities = 0;
  /** What the metadata tells, where it is not the truth. */
  readonly toldLeaderOf = new Map<number, NodeId>();

  constructor(leaders: readonly NodeId[]) {
    for (const [partition, node] of leaders.entries()) {
      this.leaderOf.set(partition, node);
      this.logs.set(partition, { values: [], sequences: new Map() });
    }
  }

  valuesOf(partition: number): readonly string[] {
    return this.logs.get(partition)!.values;
  }

  hang(node: NodeId): void {
    if (!this.#hanging.has(node)) this.#hanging.set(node, []);
  }

  release(node: NodeId): void {
    const waiting = this.#hanging.get(node) ?? [];
    this.#hanging.delete(node);
    for (const go of waiting) go();
  }

  async leaders(): Promise<ReadonlyMap<number, NodeId>> {
    return new Map([...this.leaderOf, ...this.toldLeaderOf]);
  }

  async newProducer(): Promise<ProducerIdentity> {
    return { producerId: String(++this.identities), producerEpoch: 0 };
  }

  async produce(
    node: NodeId,
    _acks: number,
    request: () => ProduceRequest | undefined,
  ): Promise<readonly ProduceResult[]> {
    const fate = this.fates.shift() ?? 'answered';
    if (fate === 'connects slowly') await this.#hung(node);
    const content = request();
    if (content === undefined) return [];
    this.asked.push({ node, partitions: content.batches.map(({ partition }) => partition) });
    if (fate === 'hangs' || this.#hanging.has(node)) await this.#hung(node);
    if (fate === 'request lost') throw new Error('connection reset before it was written');
    const written = fate === 'partition passed over' ? content.batches.slice(1) : content.batches;
    const results = written.map(batch => ({
      topic: batch.topic,
      partition: batch.partition,
      errorCode: this.#append(node, batch, fate),
      appendedAt: -1,
    }));
    if (fate === 'answer lost') throw new Error('connection reset before the answer');
    return fate === 'answer lacks a partition' ? results.slice(1) : results;
  }

  breakOff(node: NodeId): void {
    this.release(node);
  }

  initTransactions = notUsed;
  addPartitions = notUsed;
  addOffsets = notUsed;
  commitOffset = notUsed;
  endTransaction = notUsed;

  async [Symbol.asyncDispose](): Promise<void> {}

  async #hung(node: NodeId): Promise<void> {
    this.hang(node);
    await new Promise<void>(go => this.#hanging.get(node)?.push(go));
  }

  #append(
    node: NodeId,
    { partition, producer, firstSequence, records }: ProduceRequest['batches'][number],
    fate: Fate,
  ): number {
    const log = this.logs.get(partition)!;
    if (this.leaderOf.get(partition) !== node) return codes.notLeader;
    if (fate === 'not enough replicas') return codes.notEnoughReplicas;
    const last = log.sequences.get(producer.producerId);
    if (last?.first === firstSequence) return codes.duplicate;
    if (firstSequence !== (last?.next ?? 0)) return codes.outOfOrder;
    log.sequences.set(producer.producerId, { first: firstSequence, next: firstSequence + records.length });
    log.values.push(...records.map(({ value }) => String(value)));
    return fate === 'timed out after append' ? codes.timedOut : 0;
  }
}

async function notUsed(): Promise<never> {
  throw new Error('not part of this cluster');
}
