import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { acksOf, createAckChain, formatAcks, mintedAt, readAcks, wasAcknowledged } from '../../../ingest/ack-chain.ts';
import { createClickIdMint } from '../../../ingest/click-id.ts';

const writer = '01KAQ5Z7ZZ0000000000000001';
/** Batches of so many lines; those that `isAcknowledged` tells are. */
function chainOf(sizes: readonly number[], isAcknowledged: (batch: number) => boolean = () => true) {
  const chain = createAckChain(writer);
  const headers = sizes.map(lines => {
    const { batch, header } = chain.begin(0, lines);
    if (isAcknowledged(batch)) chain.acknowledged(0, batch);
    return header;
  });
  return { chain, headers };
}

describe('the header of a batch', () => {
  it('tells its number and lines, and what was acknowledged before it', () => {
    const { headers } = chainOf([5, 7, 1, 2], batch => batch !== 2);
    expect(headers).toEqual([
      `1.${writer}.1.5.0.0.0`,
      `1.${writer}.2.7.1.1.5`,
      `1.${writer}.3.1.1.2.5`,
      `1.${writer}.4.2.3.5.6`,
    ]);
  });

  it('tells of each partition by itself', () => {
    const chain = createAckChain(writer);
    chain.acknowledged(4, chain.begin(4, 10).batch);
    expect(chain.begin(7, 1).header).toBe(`1.${writer}.1.1.0.0.0`);
    expect(chain.begin(4, 1).header).toBe(`1.${writer}.2.1.1.1.10`);
  });

  it('tells the outcome of the 32 batches before it, each of them, and of none that is longer ago', () => {
    const outcomes = fc.array(fc.boolean(), { minLength: 1, maxLength: 80 });
    fc.assert(
      fc.property(outcomes, acknowledged => {
        const { headers } = chainOf(
          acknowledged.map(() => 1),
          batch => acknowledged[batch - 1] ?? false,
        );
        const acks = readAcks(headers.at(-1) ?? '');
        for (let batch = 1; acks && batch < acks.batch; batch++) {
          const told = wasAcknowledged(acks, batch);
          if (told === undefined) expect(acks.batch - batch).toBeGreaterThan(32);
          else expect(told).toBe(acknowledged[batch - 1]);
        }
        expect(acks?.total).toBe(acknowledged.slice(0, -1).filter(Boolean).length);
      }),
    );
  });

  it('takes less than 80 bytes after a year of ten batches a second', () => {
    const header = formatAcks({ writer, batch: 3e8, lines: 5_000, last: 3e8 - 1, outcomes: 2 ** 32 - 1, total: 1e12 });
    expect(header.length).toBeLessThan(80);
  });

  it('is read as it was written', () => {
    const number = fc.integer({ min: 0, max: 999_999_999_999_999 });
    const any = fc.record({
      batch: number.map(n => Math.max(2, n)),
      lines: number,
      outcomes: fc.nat(0xffff_ffff),
      total: number,
    });
    fc.assert(
      fc.property(any, given => {
        const acks = { writer, ...given, last: given.batch - 1 };
        expect(readAcks(formatAcks(acks))).toEqual(acks);
      }),
    );
  });

  it.each([
    ['', 'nothing'],
    ['2.01KAQ5Z7ZZ0000000000000001.1.5.0.0.0', 'another version'],
    ['1.01KAQ5Z7ZZ000000000000000.1.5.0.0.0', 'a short writer'],
    ['1.01KAQ5Z7ZZ0000000000000001.0.5.0.0.0', 'batch 0'],
    ['1.01KAQ5Z7ZZ0000000000000001.2.5.2.1.5', 'a batch that tells of itself'],
    ['1.01KAQ5Z7ZZ0000000000000001.2.5.0.0.5', 'lines of no batch'],
    ['1.01KAQ5Z7ZZ0000000000000001.2.-5.1.1.5', 'a negative number'],
    ['1.01KAQ5Z7ZZ0000000000000001.2.9999999999999999.1.1.5', 'more than a number holds'],
    [' 1.01KAQ5Z7ZZ0000000000000001.1.5.0.0.0', 'a space before'],
  ])('%j is none: %s', header => {
    expect(readAcks(header)).toBeUndefined();
  });

  it('is found among the headers of a record, once or not at all', () => {
    expect(acksOf(undefined)).toBeUndefined();
    expect(acksOf({ traceparent: 'x' })).toBeUndefined();
    expect(acksOf({ acks: Buffer.from('1.x') })).toBe('1.x');
    expect(readAcks(acksOf({ acks: [Buffer.from(`1.${writer}.1.5.0.0.0`), 'b'] }) ?? '')).toBeUndefined();
    expect(acksOf({ acks: Buffer.alloc(1 << 20) })?.length).toBeLessThan(200);
  });
});

describe('what is owed', () => {
  it('is a word about the last acknowledged batch, until a record with one is acknowledged itself', () => {
    const chain = createAckChain(writer);
    const first = chain.begin(3, 5);
    expect(chain.owed()).toEqual([]);
    chain.acknowledged(3, first.batch);
    expect(chain.owed()).toEqual([3]);
    const failed = chain.begin(3, 0);
    expect(chain.owed()).toEqual([3]);
    const statement = chain.begin(3, 0);
    expect(statement.batch).toBe(failed.batch + 1);
    chain.acknowledged(3, statement.batch);
    expect(chain.owed()).toEqual([]);
  });

  it('is nothing where nothing was acknowledged', () => {
    const chain = createAckChain(writer);
    chain.begin(0, 5);
    chain.begin(0, 5);
    expect(chain.owed()).toEqual([]);
  });

  it('is still owed where the batch after it may not be in the log', () => {
    const chain = createAckChain(writer);
    chain.acknowledged(0, chain.begin(0, 5).batch);
    chain.begin(0, 5);
    expect(chain.owed()).toEqual([0]);
    chain.acknowledged(0, chain.begin(0, 2).batch);
    // The first is told of now, the third is not.
    expect(chain.owed()).toEqual([0]);
  });
});

it('takes no acknowledgement of a batch that is not the last, nor a second one', () => {
  const chain = createAckChain(writer);
  const first = chain.begin(0, 5);
  const second = chain.begin(0, 5);
  expect(() => chain.acknowledged(0, first.batch)).toThrow(
    'batch 1 of partition 0 is not under way: the last one is 2',
  );
  chain.acknowledged(0, second.batch);
  expect(() => chain.acknowledged(0, second.batch)).toThrow('not under way');
  expect(() => chain.acknowledged(9, 1)).toThrow('not under way');
});

it('wants a ULID for a writer, and reads from it when it was minted', () => {
  expect(() => createAckChain('ingest-1')).toThrow('writer: must be a ULID: "ingest-1"');
  const now = 1_763_800_020_123;
  expect(mintedAt(createClickIdMint()(now))).toBe(now);
});
