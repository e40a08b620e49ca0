/** Erasures that several processes write into one log of limited room. */
import { describe, expect, it } from 'vitest';
import type { OutgoingRecord } from '../../../../infra/kafka/outgoing-record.ts';
import { names } from '../../../../infra/topics.ts';
import { ErasureBook, mostErasedForms } from '../../../../ingest/privacy/erasure-book.ts';
import { erasureRecords, formOf, readErasure } from '../../../../ingest/privacy/erasure-record.ts';
import { erasureLogOver } from '../../../../query-api/log/erasure-log.ts';

const textsOf = (name: string, n: number) => Array.from({ length: n }, (_, i) => `${name}-${i}`);

/** As if the log had begun with this much. */
class FilledBook extends ErasureBook {
  readonly #filled: number;
  constructor(filled: number) {
    super();
    this.#filled = filled;
  }

  override get size(): number {
    return this.#filled + super.size;
  }
}

/** A log that already holds all but `room`. */
function setUp(room: number) {
  const log: OutgoingRecord[] = [];
  const send = async (_topic: string, records: readonly OutgoingRecord[]) => {
    await new Promise(resolve => setImmediate(resolve));
    log.push(...records);
  };
  /** Of one process. */
  const build = () => {
    const book = new FilledBook(mostErasedForms - room);
    let next = 0;
    const readToEnd = async () => {
      await new Promise(resolve => setImmediate(resolve));
      for (; next < log.length; next++) {
        const { value, headers } = log[next]!;
        const record = { offset: next, timestamp: 1, value: Buffer.from(String(value)) };
        book.take(readErasure('erasures', { ...record, headers: headers as Record<string, string> }));
      }
    };
    const producer = { send, [Symbol.asyncDispose]: () => Promise.resolve() };
    const deps = { kafka: undefined as never, names: names(''), erasures: { book, readToEnd }, nodes: [] };
    return { book, readToEnd, ...erasureLogOver(producer, deps) };
  };
  return { log, build };
}

describe('the room for erasures', () => {
  it('is that of the log, also of what this process has not read yet', async () => {
    const { log, build } = setUp(1_000);
    const { room } = build();
    expect(await room()).toBe(1_000);
    log.push(...erasureRecords(textsOf('other', 10).map(formOf), 1).records);
    expect(await room()).toBe(989);
  });

  it('is exceeded by one record of each process at most, however many persons each has found room for', async () => {
    const { build } = setUp(60_000);
    const [one, other] = [build(), build()];
    for (const { room } of [one, other]) expect(await room()).toBe(60_000);
    const begun = await Promise.all([one.begin(textsOf('a', 59_000), 1), other.begin(textsOf('b', 59_000), 1)]);
    expect(begun.map(({ isWhole }) => isWhole)).toEqual([false, false]);
    await one.readToEnd();
    expect(one.book.size).toBeGreaterThan(mostErasedForms);
    expect(one.book.size).toBeLessThanOrEqual(mostErasedForms + 2 * 20_001);
  });
});
