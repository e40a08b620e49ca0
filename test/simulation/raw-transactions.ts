/** Transactions step by step, so that they can be left open, aborted, or fenced in the middle. */
import type { BrokerRequests, TransactionalIdentity } from '../../infra/kafka/broker-requests.ts';
import type { KafkaClient } from '../../infra/kafka/client.ts';
import { verdictOn } from '../../infra/kafka/produce-verdict.ts';
import type { Names } from '../../infra/topics.ts';
import { eventually } from '../support/wait.ts';

export async function openRaw(kafka: KafkaClient, transactionalId: string, timeoutMs = 10_000) {
  const requests = kafka.brokerRequests();
  const initialized = await patiently(() => requests.initTransactions(transactionalId, timeoutMs));
  const identity = { transactionalId, ...initialized };
  let sequence = 0;
  return {
    transaction: async () => transactionOf(requests, identity, () => sequence++),
    [Symbol.asyncDispose]: () => requests[Symbol.asyncDispose](),
  };
}

function transactionOf(requests: BrokerRequests, identity: TransactionalIdentity, sequence: () => number) {
  return {
    /** One record, always to the same partition. */
    async send(topic: string, value: string, partition = 0): Promise<void> {
      await patiently(() => requests.addPartitions(identity, [{ topic, partition }]));
      const records = [{ partition, value }];
      const batch = { topic, partition, producer: identity, firstSequence: sequence(), records };
      const { transactionalId } = identity;
      const request = { acks: -1, timeoutMs: 5_000, transactionalId, batches: [batch] } as const;
      // A broker says of a new topic that it leads it a moment before it does so. The sequence stays, so nothing doubles.
      await eventually(`${topic} written`, async () => {
        const node = (await requests.leaders(topic)).get(partition);
        if (node === undefined) return false;
        const [result] = await requests.produce(node, -1, () => request);
        if (result !== undefined && verdictOn(result.errorCode) === 'again') return false;
        if (result?.errorCode !== 0) throw new Error(`error code ${result?.errorCode}`);
        return true;
      });
    },
    async sendOffsets({ aggregatorGroup, topic }: Names, offset: number): Promise<void> {
      await patiently(() => requests.addOffsets(identity, aggregatorGroup));
      const of = { topic: topic('clicks'), partition: 0 };
      await requests.commitOffset(identity, aggregatorGroup, of, { offset, metadata: '' });
    },
    commit: () => requests.endTransaction(identity, 'commit'),
    abort: () => requests.endTransaction(identity, 'abort'),
  };
}

/** While the markers of the transaction before are written, or a coordinator loads. */
async function patiently<T>(work: () => Promise<T>): Promise<T> {
  let value: { readonly of: T } | undefined;
  await eventually('the coordinator', async () => {
    value = await work().then(
      of => ({ of }),
      () => undefined,
    );
    return value !== undefined;
  });
  return value!.of;
}
