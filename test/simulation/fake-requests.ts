/**
 * What writing asks the brokers (broker-requests.ts), over the fake broker. Requests and answers may be lost or come late on
 * the way (`Network`), and an answer may lack a partition that was written.
 */

import type { BrokerRequests, TopicPartition, TransactionalIdentity } from '../../infra/kafka/broker-requests.ts';
import type { Committed } from '../../infra/kafka/committed.ts';
import type { ProduceRequest, ProduceResult } from '../../infra/kafka/produce-request.ts';
import type { FakeBroker } from './fake-broker.ts';
import type { Network } from './fake-kafka.ts';

export class FakeRequests implements BrokerRequests {
  readonly #broker: FakeBroker;
  readonly #network: Network;
  #closed = false;

  constructor(broker: FakeBroker, network: Network) {
    this.#broker = broker;
    this.#network = network;
  }

  async leaders(topic: string) {
    return await this.#call('leaders', () => this.#broker.leaders(topic));
  }

  async produce(
    _node: number,
    _acks: number,
    request: () => ProduceRequest | undefined,
  ): Promise<readonly ProduceResult[]> {
    const content = request();
    if (content === undefined) return [];
    const { batches, transactionalId } = content;
    // As bytes on the way: the memory of the records may be used again once they are written.
    const copies = batches.map(({ records, ...batch }) => ({
      batch,
      messages: records.map(({ value, headers }) => ({
        value: value === null ? null : Buffer.from(value),
        ...(headers ? { headers: headers as Record<string, string> } : {}),
      })),
    }));
    const results = await this.#call('produce', () =>
      copies.map(({ batch, messages }) => {
        const { topic, partition } = batch;
        return {
          topic,
          partition,
          errorCode: this.#broker.produceBatch(batch, messages, transactionalId),
          appendedAt: -1,
        };
      }),
    );
    return results.filter(() => !this.#network.chance(0.01));
  }

  async newProducer() {
    return await this.#call('newProducer', () => this.#broker.newProducer());
  }

  async initTransactions(transactionalId: string, timeoutMs: number) {
    return await this.#call('initProducerId', () => this.#broker.initTransactions(transactionalId, timeoutMs));
  }

  async addPartitions(
    { transactionalId, producerEpoch }: TransactionalIdentity,
    partitions: readonly TopicPartition[],
  ) {
    await this.#call('addPartition', () => {
      for (const { topic, partition } of partitions) {
        this.#broker.addPartition(transactionalId, producerEpoch, topic, partition);
      }
    });
  }

  async addOffsets({ transactionalId, producerEpoch }: TransactionalIdentity, group: string) {
    await this.#call('addOffsets', () => this.#broker.addOffsets(transactionalId, producerEpoch, group));
  }

  async commitOffset(
    { transactionalId, producerEpoch }: TransactionalIdentity,
    group: string,
    { topic, partition }: TopicPartition,
    commit: Committed,
  ) {
    await this.#call('commitOffsetsInTransaction', () =>
      this.#broker.commitOffsetsIn(transactionalId, producerEpoch, group, topic, partition, commit),
    );
  }

  async endTransaction({ transactionalId, producerEpoch }: TransactionalIdentity, outcome: 'commit' | 'abort') {
    const operation = outcome === 'commit' ? 'commitTransaction' : 'abortTransaction';
    await this.#call(operation, () =>
      this.#broker.endTransaction(transactionalId, producerEpoch, outcome === 'commit'),
    );
  }

  breakOff(): void {}

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
  }

  async #call<T>(operation: Parameters<Network['call']>[0], effect: () => T): Promise<T> {
    if (this.#closed) throw new Error('the connections are closed');
    return await this.#network.call(operation, effect);
  }
}
