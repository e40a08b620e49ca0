/** A produce request written in one go is byte for byte the one kafkajs writes. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { crc32c } from '../../../../infra/kafka/crc32c.ts';
import { produceRequest, produceRequestOfKafkajs } from '../../../../infra/kafka/produce-encoder.ts';
import { frame, frameOfKafkajs, type RequestBody } from '../../../../infra/kafka/request-frame.ts';

const require = createRequire(import.meta.url);
const Encoder: new () => { writeBuffer(bytes: Buffer): RequestBody } = require('kafkajs/src/protocol/encoder.js');
const crcOfKafkajs = require('kafkajs/src/protocol/recordBatch/crc32C/index.js');

const bytes = fc.oneof(
  fc.uint8Array({ maxLength: 1_000 }).map(b => Buffer.from(b)),
  fc.string({ unit: 'grapheme', maxLength: 50 }),
);
const message = fc.record(
  {
    key: fc.option(bytes),
    value: fc.option(bytes),
    partition: fc.nat(3),
    headers: fc.dictionary(
      fc.string({ maxLength: 10 }),
      fc.oneof(bytes, fc.array(bytes, { minLength: 1, maxLength: 3 })),
    ),
  },
  { requiredKeys: ['value'] },
);
const partition = fc.record({
  partition: fc.nat(1_000),
  firstSequence: fc.nat(),
  messages: fc.array(message, { minLength: 1, maxLength: 40 }),
});
const request = fc.record({
  acks: fc.constantFrom(-1, 0, 1),
  timeout: fc.nat(60_000),
  transactionalId: fc.option(fc.string({ minLength: 1 })),
  producerId: fc.oneof(fc.constant('-1'), fc.bigInt({ min: 0n, max: 2n ** 62n }).map(String)),
  producerEpoch: fc.nat(30_000),
  compression: fc.constantFrom(0, 0, 1),
  topicData: fc.array(fc.record({ topic: fc.string(), partitions: fc.array(partition, { maxLength: 3 }) }), {
    maxLength: 3,
  }),
});

beforeEach(() => vi.useFakeTimers({ now: 1_763_800_000_000, toFake: ['Date'] }));
afterEach(() => vi.useRealTimers());

it('writes the bytes that kafkajs writes', async () => {
  await fc.assert(
    fc.asyncProperty(request, async given => {
      const [ours, theirs] = [produceRequest(given), produceRequestOfKafkajs(given)];
      expect((await ours.encode()).buffer.equals((await theirs.encode()).buffer)).toBe(true);
      expect({ ...ours, encode: 0, expectResponse: 0 }).toEqual({ ...theirs, encode: 0, expectResponse: 0 });
    }),
    { numRuns: 300 },
  );
});

it('leaves records with times of their own to kafkajs', async () => {
  const given = {
    acks: -1,
    timeout: 1,
    topicData: [{ topic: 't', partitions: [{ partition: 0, messages: [{ value: 'x', timestamp: '12345' }] }] }],
  };
  const [ours, theirs] = [produceRequest(given), produceRequestOfKafkajs(given)];
  expect((await ours.encode()).buffer.equals((await theirs.encode()).buffer)).toBe(true);
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
