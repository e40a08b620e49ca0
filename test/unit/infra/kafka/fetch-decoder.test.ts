/** Batches read whole say what kafkajs' own messages say, of whatever kafkajs' own encoder writes. */
import { createRequire } from 'node:module';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  type BatchMessage,
  decodeBatches,
  decodeMessagesOfKafkajs,
  recordsFrom,
} from '../../../../infra/kafka/fetch-decoder.ts';
import { RecordBatch } from '../../../../infra/kafka/record-batch.ts';

const require = createRequire(import.meta.url);
const Decoder = require('kafkajs/src/protocol/decoder.js');
const WrittenRecord = require('kafkajs/src/protocol/recordBatch/record/v0/index.js');
const { RecordBatch: WrittenBatch } = require('kafkajs/src/protocol/recordBatch/v0/index.js');
const KafkajsBatch = require('kafkajs/src/consumer/batch.js');

const bytes = fc.uint8Array({ maxLength: 300 }).map(b => Buffer.from(b));
/** Of a header named like something that objects have, kafkajs makes nonsense. */
const text = fc.string({ minLength: 1, maxLength: 10, unit: 'grapheme' }).filter(name => !(name in {}));
const records = fc.array(
  fc.record({
    timestampDelta: fc.oneof(fc.nat(100), fc.integer({ min: -1e6, max: 2 ** 41 })),
    key: fc.option(bytes),
    value: fc.option(bytes),
    headers: fc.dictionary(text, fc.oneof(bytes, fc.array(bytes, { minLength: 1, maxLength: 3 }))),
  }),
  { minLength: 1, maxLength: 20 },
);
const batch = fc.record({ records, gap: fc.nat(3), gzip: fc.boolean(), appendTime: fc.boolean() });
/** Batches of no transaction, then a transaction of at least one batch: our topics have one transactional writer each. */
const turns = fc.array(
  fc.record({
    plain: fc.array(batch, { maxLength: 2 }),
    transaction: fc.array(batch, { minLength: 1, maxLength: 3 }),
    ending: fc.constantFrom('abort', 'commit'),
  }),
  { minLength: 1, maxLength: 3 },
);
type Batch = typeof batch extends fc.Arbitrary<infer T> ? T : never;
type Turns = typeof turns extends fc.Arbitrary<infer T> ? T : never;

const firstTimestamp = 1_763_800_000_000;

/** Attributes that brokers set beside the encoder's. */
const appendTimeBit = 8;
const controlBit = 32;

async function encode({ records, gzip, appendTime }: Omit<Batch, 'gap'>, firstOffset: number, transactional = false) {
  const { buffer } = await WrittenBatch({
    compression: gzip ? 1 : 0,
    firstOffset,
    firstTimestamp,
    maxTimestamp: firstTimestamp + 77,
    producerId: transactional ? 7 : 8,
    transactional,
    lastOffsetDelta: records.length - 1,
    records: records.map((record, offsetDelta) => WrittenRecord({ ...record, offsetDelta })),
  });
  buffer[22] |= appendTime ? appendTimeBit : 0;
  return Buffer.from(buffer);
}

async function marker(ending: string, offset: number): Promise<Buffer> {
  const key = Buffer.from([0, 0, 0, ending === 'abort' ? 0 : 1]);
  const record = { timestampDelta: 0, key, value: Buffer.alloc(6), headers: {} };
  const bytes = await encode({ records: [record], gzip: false, appendTime: true }, offset, true);
  bytes[22]! |= controlBit;
  return bytes;
}

/** A log, and where its aborted transactions begin, as a broker tells them. */
async function logOf(given: Turns) {
  const parts: Buffer[] = [];
  const aborted: { producerId: string; firstOffset: number; markerAt: number }[] = [];
  let end = 5;
  const add = async (batch: Batch, transactional: boolean) => {
    end += batch.gap;
    parts.push(await encode(batch, end, transactional));
    end += batch.records.length;
  };
  for (const { plain, transaction, ending } of given) {
    for (const batch of plain) await add(batch, false);
    const firstOffset = end + transaction[0]!.gap;
    for (const batch of transaction) await add(batch, true);
    if (ending === 'abort') aborted.push({ producerId: '7', firstOffset, markerAt: end });
    parts.push(await marker(ending, end++));
  }
  return { bytes: Buffer.concat(parts), aborted, end };
}

/** As it stands in the response to a fetch. */
function inResponse(log: Buffer) {
  const length = Buffer.alloc(4);
  length.writeInt32BE(log.length);
  return new Decoder(Buffer.concat([length, log, Buffer.from('what follows')]));
}

it('reads the records that kafkajs reads, also where the end is cut off', async () => {
  await fc.assert(
    fc.asyncProperty(turns, fc.nat(), fc.boolean(), async (given, cut, isCut) => {
      const { bytes } = await logOf(given);
      // kafkajs itself needs the magic byte of the first batch.
      const log = isCut ? bytes.subarray(0, 17 + (cut % (bytes.length - 17))) : bytes;
      const [theirs, ours] = [inResponse(log), inResponse(log)];
      const expected = await decodeMessagesOfKafkajs(theirs);
      const messages = await decodeBatches(ours);
      expect(
        [...recordsFrom(0, messages)].map(({ offset, timestamp, value, headers }) => ({
          offset,
          timestamp,
          value,
          headers,
        })),
      ).toEqual(
        expected.map(({ offset, timestamp, value, headers }) => ({
          offset: Number(offset),
          timestamp: Number(timestamp),
          value,
          headers,
        })),
      );
      expect(ours.offset).toBe(theirs.offset);
    }),
    { numRuns: 100 },
  );
});

it('lets through what kafkajs lets through, from any offset, and tells where it begins and ends', async () => {
  await fc.assert(
    fc.asyncProperty(turns, fc.nat(), async (given, from) => {
      const { bytes, aborted, end } = await logOf(given);
      const fetchedOffset = String(5 + (from % (end - 5)));
      const abortedTransactions = aborted
        .filter(({ markerAt }) => markerAt >= Number(fetchedOffset))
        .map(({ producerId, firstOffset }) => ({ producerId, firstOffset: String(firstOffset) }));
      const partition = { partition: 0, highWatermark: String(end), abortedTransactions };
      const theirs = new KafkajsBatch('t', fetchedOffset, {
        ...partition,
        messages: withoutMarkerKeys(await decodeMessagesOfKafkajs(inResponse(bytes))),
      });
      const ours = new KafkajsBatch('t', fetchedOffset, {
        ...partition,
        messages: await decodeBatches(inResponse(bytes)),
      });
      const offsets = [...recordsFrom(Number(fetchedOffset), ours.messages as BatchMessage[])].map(
        ({ offset }) => offset,
      );
      expect(offsets).toEqual(theirs.messages.map(({ offset }: { offset: string }) => Number(offset)));
      expect(ours.lastOffset()).toBe(theirs.lastOffset());
      expect(ours.isEmpty()).toBe(theirs.isEmpty());
      const startsAt = Number(ours.firstOffset());
      expect(startsAt).toBeGreaterThanOrEqual(Number(fetchedOffset));
      expect(startsAt).toBeLessThanOrEqual(Number(theirs.messagesWithinOffset[0].offset));
    }),
    { numRuns: 100 },
  );
});

/** kafkajs takes any record with a marker's key for the end of a transaction; whole batches know better. */
function withoutMarkerKeys(messages: Awaited<ReturnType<typeof decodeMessagesOfKafkajs>>) {
  return messages.map(message =>
    Reflect.get(message, 'isControlRecord') || message.key?.length !== 4 ? message : { ...message, key: null },
  );
}

it('says so where a batch is in a format older than headers, or damaged', async () => {
  const record = { timestampDelta: 0, key: null, value: Buffer.from('x'), headers: {} };
  const bytes = await encode({ records: [record], gzip: false, appendTime: true }, 5);
  const old = Buffer.from(bytes);
  old[16] = 1;
  await expect(decodeBatches(inResponse(old))).rejects.toThrow('format 1');
  const damaged = Buffer.from(bytes);
  damaged[61] = 0x7e;
  const messages = await decodeBatches(inResponse(damaged));
  expect(() => [...recordsFrom(0, messages)]).toThrow('damaged record, offset 5');
});

it('takes headers for what they are, whatever their name', async () => {
  const headers = { ['__proto__']: Buffer.from('a'), constructor: Buffer.from('b') };
  const record = { timestampDelta: 0, key: null, value: Buffer.from('x'), headers };
  const bytes = await encode({ records: [record], gzip: false, appendTime: true }, 0);
  const [read] = [...new RecordBatch(bytes)];
  expect(Object.entries(read?.headers ?? {}).map(([name, value]) => [name, String(value)])).toEqual([
    ['__proto__', 'a'],
    ['constructor', 'b'],
  ]);
});
