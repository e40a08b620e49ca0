/**
 * A plain (not transactional) producer that survives its broker.
 *
 * After a failed send kafkajs rewinds the sequence numbers of its idempotent producer: a later send with other records
 * would reuse them, and the broker would swallow those as duplicates of the first. So a client whose send failed is
 * thrown away, and the next send gets a new one with a new producer id. For the same reason sends never overlap
 * (kafkajs#598): each waits for the one before.
 */
import type { Producer as KafkaProducer } from 'kafkajs';
import type { KafkaClient } from './client.ts';
import { translate } from './errors.ts';

export interface OutgoingRecord {
  readonly partition: number;
  /** What a compacted topic keeps the last record of. */
  readonly key?: string;
  /** Null: in a compacted topic, that there is nothing under the key any more. */
  readonly value: Buffer | string | null;
  /** Several values: the header stands there so often. */
  readonly headers?: Readonly<Record<string, string | string[]>>;
}

export interface Producer extends AsyncDisposable {
  /**
   * Resolves when the brokers have acknowledged all records as `acks` asks.
   * @throws Retryable: none, some or all of them may be in the log
   */
  send(topic: string, records: readonly OutgoingRecord[]): Promise<void>;
}

export interface ProducerOptions {
  /** -1: all in-sync replicas, idempotent; 1: the leader; 0: nobody is asked. */
  readonly acks: -1 | 1 | 0;
  /** A send gives up after about this long. */
  readonly timeoutMs: number;
}

export function createProducer(kafka: KafkaClient, { acks, timeoutMs }: ProducerOptions): Producer {
  let current: Promise<KafkaProducer> | undefined;
  let last: Promise<unknown> = Promise.resolve();
  let closed = false;

  const connected = () => {
    current ??= connect(kafka, acks === -1, timeoutMs);
    return current;
  };
  const discard = async () => {
    const broken = current;
    current = undefined;
    await broken?.then(client => client.disconnect()).catch(() => undefined);
  };
  const sendNow = async (topic: string, records: readonly OutgoingRecord[]) => {
    if (closed) throw translate(new Error('the producer is closed'), `produce to ${topic}`);
    try {
      const client = await connected();
      await client.send({ topic, acks, timeout: timeoutMs, messages: records.map(asMessage) });
    } catch (error) {
      await discard();
      throw translate(error, `produce to ${topic}`);
    }
  };

  return {
    send(topic, records) {
      const sent = last.then(() => sendNow(topic, records));
      last = sent.catch(() => undefined);
      return sent;
    },
    async [Symbol.asyncDispose]() {
      await last;
      closed = true;
      await discard();
    },
  };
}

async function connect(kafka: KafkaClient, idempotent: boolean, timeoutMs: number): Promise<KafkaProducer> {
  const producer = kafka.producer({
    idempotent,
    maxInFlightRequests: 1,
    allowAutoTopicCreation: false,
    // kafkajs passes over records for partitions that it has not heard of, and resolves. A new partition is used no sooner
    // than HOT_AD_NOTICE_MS (at least three times this) after it was made.
    metadataMaxAge: 10_000,
    // With a first pause of 100 ms doubling to 1 s, this many attempts last about `timeoutMs`.
    retry: {
      initialRetryTime: 100,
      multiplier: 2,
      maxRetryTime: 1_000,
      retries: Math.max(1, Math.round(timeoutMs / 1_000)),
    },
  });
  await producer.connect();
  return producer;
}

function asMessage({ partition, key, value, headers }: OutgoingRecord) {
  return { partition, value, ...(key === undefined ? {} : { key }), ...(headers ? { headers: { ...headers } } : {}) };
}
