import { describe, expect, it } from 'vitest';
import { OutdatedRows, RetryingInsert } from '../../../aggregator/sink/retrying-insert.ts';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { RefusedRows, Retryable } from '../../../infra/errors.ts';
import { createLog } from '../../../infra/log.ts';
import { noErasures } from '../../support/no-erasures.ts';

const current = () => true;

/** `outcomes`: what the calls reject with, one after the other. Later calls succeed. */
function insertInto(
  outcomes: unknown[] = [],
  during: () => Promise<void> = async () => undefined,
  erasures: { check(): void } = noErasures,
) {
  const given: Buffer[] = [];
  const clickhouse = {
    async insert(_table: string, ndjson: Buffer) {
      given.push(ndjson);
      await during();
      const outcome = outcomes.shift();
      if (outcome !== undefined) throw outcome;
    },
  } as unknown as ClickHouse;
  return {
    given,
    inserting: new RetryingInsert({ clickhouse, node: 'only', erasures, log: createLog('test', 'fatal') }),
  };
}

const rows = (...pieces: string[]) => pieces.map(piece => Buffer.from(piece));

describe('retrying insert', () => {
  it('does not repeat rows that were made before a person was erased', async () => {
    let isCurrent = true;
    const { given, inserting } = insertInto([new Retryable('away'), new Retryable('away')], async () => {
      isCurrent = given.length < 2;
    });
    await expect(inserting.insert('t', rows('a'), () => isCurrent)).rejects.toThrow(OutdatedRows);
    expect(given).toHaveLength(2);
  });

  it('inserts nothing while it is not known who was erased', async () => {
    let isKnown = false;
    const check = () => {
      if (isKnown) return;
      isKnown = true;
      throw new Error('topic erasures is not known');
    };
    const { given, inserting } = insertInto([], undefined, { check });
    const inserted = inserting.insert('t', rows('a'), current);
    expect([given.length, inserting.failing]).toEqual([0, 'topic erasures is not known']);
    await inserted;
    expect(given).toHaveLength(1);
  });

  it('joins the pieces of rows, and repeats them unchanged until they are inserted', async () => {
    const { given, inserting } = insertInto([new Retryable('away'), new Error('busy')]);
    await inserting.insert('t', rows('{"a"', ':1}\n'), current);
    expect(given.map(String)).toEqual(Array(3).fill('{"a":1}\n'));
  });

  it('says why it does not succeed, until it does', async () => {
    const seen: unknown[] = [];
    const { inserting } = insertInto([new Retryable('away')], async () => {
      seen.push(inserting.failing);
    });
    await inserting.insert('t', rows('a'), current);
    expect([...seen, inserting.failing]).toEqual([undefined, 'away', undefined]);
  });

  it('does not repeat rows that ClickHouse refuses', async () => {
    const { given, inserting } = insertInto([new RefusedRows('bad')]);
    await expect(inserting.insert('t', rows('a'), current)).rejects.toThrow('bad');
    expect(given).toHaveLength(1);
  });

  it('uses one memory for all inserts, but never that of an insert that failed', async () => {
    const { given, inserting } = insertInto([undefined, new Retryable('no answer')]);
    for (const text of ['aa', 'b', 'c', 'd']) await inserting.insert('t', rows(text), current);
    const memories = given.map(({ buffer }) => buffer);
    expect(memories[1]).toBe(memories[0]);
    expect(memories[2]).toBe(memories[1]);
    expect(memories[3]).not.toBe(memories[2]);
    expect(memories[4]).toBe(memories[3]);
    expect(String(given[2])).toBe('b');
  });

  it('ends its pause and the repetition when it is closed', async () => {
    const { given, inserting } = insertInto(Array.from({ length: 100 }, () => new Retryable('away')));
    const inserted = inserting.insert('t', rows('a'), current);
    await expect.poll(() => inserting.failing).toBe('away');
    const before = given.length;
    inserting.close();
    await expect(inserted).rejects.toThrow('away');
    await expect(inserting.insert('t', rows('b'), current)).rejects.toThrow('away');
    expect(given.slice(before).map(String)).toEqual(['b']);
  });
});
