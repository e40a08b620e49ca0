/** A produce request written in one go is byte for byte the one kafkajs writes, and an answer is read as kafkajs reads it. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { crc32c } from '../../../../infra/kafka/crc32c.ts';
import { decodeProduced, encodeProduce } from '../../../../infra/kafka/produce-request.ts';
import { frame, frameOfKafkajs, type RequestBody } from '../../../../infra/kafka/request-frame.ts';

const require = createRequire(import.meta.url);
interface Encoder {
  readonly buffer: Buffer;
  writeBuffer(bytes: Buffer): RequestBody;
  writeInt16(value: number): Encoder;
  writeInt32(value: number): Encoder;
  writeInt64(value: number): Encoder;
  writeString(value: string): Encoder;
  writeArray(encoders: readonly Encoder[]): Encoder;
}
const Encoder: new () => Encoder = require('kafkajs/src/protocol/encoder.js');
const requestOfKafkajs: (request: object) => {
  encode(): Promise<RequestBody>;
} = require('kafkajs/src/protocol/requests/produce/v7/request.js');
const responseOfKafkajs: {
  decode(answer: Buffer): Promise<{ topics: readonly KafkajsResult[] }>;
} = require('kafkajs/src/protocol/requests/produce/v7/response.js');
interface KafkajsResult {
  readonly topicName: string;
  readonly partitions: readonly { readonly partition: number; readonly errorCode: number }[];
}
const crcOfKafkajs = require('kafkajs/src/protocol/recordBatch/crc32C/index.js');

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 1_000 }).map(b => Buffer.from(b)),
  fc.string({ unit: 'grapheme', maxLength: 50 }),
);
const text = fc.string({ unit: 'grapheme', maxLength: 50 });
const record = fc.record(
  {
    key: text,
    value: fc.option(bytes),
    partition: fc.nat(3),
    headers: fc.dictionary(
      fc.string({ maxLength: 10 }),
      fc.oneof(text, fc.array(text, { minLength: 1, maxLength: 3 })),
    ),
  },
  { requiredKeys: ['value', 'partition'] },
);
const producer = fc.record({
  producerId: fc.oneof(fc.constant('-1'), fc.bigInt({ min: 0n, max: 2n ** 62n }).map(String)),
  producerEpoch: fc.nat(30_000),
});
const batch = fc.record({
  topic: fc.constantFrom('a', 'b', 'c'),
  partition: fc.nat(1_000),
  firstSequence: fc.nat(),
  records: fc.array(record, { minLength: 1, maxLength: 40 }),
});
const request = fc.record({
  acks: fc.constantFrom(-1, 0, 1),
  timeoutMs: fc.nat(60_000),
  transactionalId: fc.option(fc.string({ minLength: 1 }), { nil: undefined }),
  producer,
  batches: fc.uniqueArray(batch, { maxLength: 6, selector: ({ topic, partition }) => `${topic} ${partition}` }),
});

beforeEach(() => vi.useFakeTimers({ now: 1_763_800_000_000, toFake: ['Date'] }));
afterEach(() => vi.useRealTimers());

it('writes the bytes that kafkajs writes', async () => {
  await fc.assert(
    fc.asyncProperty(request, async ({ acks, timeoutMs, transactionalId, producer, batches }) => {
      const topicData = [...Map.groupBy(batches, ({ topic }) => topic)].map(([topic, ofTopic]) => ({
        topic,
        partitions: ofTopic.map(({ records, ...rest }) => ({ ...rest, messages: records })),
      }));
      const theirs = requestOfKafkajs({ acks, timeout: timeoutMs, transactionalId, ...producer, topicData });
      const ours = encodeProduce({
        ...{ acks: acks as -1 | 0 | 1, timeoutMs, transactionalId },
        batches: batches.map(each => ({ ...each, producer })),
      });
      expect(ours.buffer.equals((await theirs.encode()).buffer)).toBe(true);
    }),
    { numRuns: 300 },
  );
});

it('reads every partition’s result, and refuses an answer that is cut short', async () => {
  const result = fc.record({ partition: fc.nat(1_000), errorCode: fc.integer({ min: -1, max: 120 }) });
  const answers = fc.array(
    fc.record({ topic: fc.string({ unit: 'grapheme', maxLength: 20 }), results: fc.array(result, { maxLength: 5 }) }),
    { maxLength: 4 },
  );
  await fc.assert(
    fc.asyncProperty(answers, async topics => {
      const body = new Encoder().writeArray(
        topics.map(({ topic, results }) =>
          new Encoder()
            .writeString(topic)
            .writeArray(
              results.map(({ partition, errorCode }) =>
                new Encoder().writeInt32(partition).writeInt16(errorCode).writeInt64(7).writeInt64(8).writeInt64(9),
              ),
            ),
        ),
      );
      const answer = Buffer.from(body.writeInt32(0).buffer);
      const theirs = (await responseOfKafkajs.decode(answer)).topics.flatMap(({ topicName, partitions }) =>
        partitions.map(({ partition, errorCode }) => ({ topic: topicName, partition, errorCode, appendedAt: 8 })),
      );
      expect(decodeProduced(answer)).toEqual(theirs);
      if (theirs.length > 0)
        expect(() => decodeProduced(answer.subarray(0, answer.length - 4 - 25))).toThrow(RangeError);
    }),
  );
});

it('reckons the checksum that kafkajs reckons, in however many pieces', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 100 })), pieces => {
      expect(crc32c(pieces)).toBe(crcOfKafkajs(Buffer.concat(pieces)));
    }),
  );
  expect(crc32c([Buffer.from('123456789')])).toBe(0xe3069283);
});

const requests = fc.record({
  correlationId: fc.nat(),
  clientId: fc.string(),
  apiKey: fc.nat(60),
  apiVersion: fc.nat(12),
  body: fc.uint8Array({ maxLength: 3_000 }),
});

it('puts the length and head before a request that kafkajs puts there', async () => {
  await fc.assert(
    fc.asyncProperty(requests, async ({ correlationId, clientId, apiKey, apiVersion, body }) => {
      const encode = async () => new Encoder().writeBuffer(Buffer.from(body));
      const given = { correlationId, clientId, request: { apiKey, apiVersion, encode } };
      expect((await frame(given)).buffer.equals((await frameOfKafkajs(given)).buffer)).toBe(true);
    }),
  );
});
