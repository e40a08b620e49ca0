/** A recount finds what was billed while a node erases persons, whose clicks then stand under two names. */
import { describe, expect, it } from 'vitest';
import type { CellChange } from '../../../aggregator/restatement.ts';
import { erasedClick } from '../../../aggregator/sink/erased-rows.ts';
import { ErasureBook } from '../../../ingest/privacy/erasure-book.ts';
import { noRules } from '../../../ingest/validity/rules.ts';
import { erasuresMeanwhile } from '../../../query-api/jobs/recount/erased-meanwhile.ts';
import { recountSteps } from '../../../query-api/jobs/recount/recount-steps.ts';
import { eraseInto } from '../../support/erased-book.ts';

const minute = 500_000 * 3_600_000;
const rules = { ...noRules.rules, user_clicks_per_minute: 1, address_clicks_per_minute: 2 };
const set = { version: 1, rules };
const line = (i: number, userId: string) =>
  JSON.stringify({
    ...{ click_id: `0${i}`, event_id: `e${i}`, ad_id: 'a', clicked_at: minute + i, received_at: 0, country: 'KR' },
    ...{ user_id: userId, ip: '203.0.113.7' },
  });
/** What was billed: of two users at one address, each click after the first is too fast. */
const billed = { minute: minute / 1_000, ad_id: 'a', country: 'KR', partition: 0, revision: 0, clicks: 4 };
const stated = JSON.stringify({
  ...{ ...billed, duplicates: 0, late: 0, rules: 1, invalid: 2, invalid_by: { user_velocity: 2 } },
});

/** `read` returns line `i` as the node has it then. */
async function recount(book: ErasureBook, read: (i: number) => string, done: readonly string[] = []) {
  let asked = 0;
  const rows = done.map(part => ({ part, at: 1 }));
  const queries = {
    rawPage: async () => Buffer.from(asked < 4 ? `${read(asked++)}\n` : ''),
    rulesOf: async () => [{ minute, rules: 1 }],
    stated: async () => Buffer.from(`${stated}\n`),
    statedRows: async () => 1,
  };
  const steps = recountSteps([{ from: minute, to: minute + 60_000 }], {
    ...{ queries, partitions: 1, hashSeed: 1, pageRows: 1 },
    rules: { rulesAt: () => set, setOf: () => set },
    erasures: erasuresMeanwhile({ book, readToEnd: async () => undefined }, () => [
      { clickhouse: { query: async <T>() => rows as T[] } },
    ]),
  });
  const found: CellChange[] = [];
  for await (const { changes } of steps) found.push(...changes);
  return found;
}

const users = ['u', 'v', 'u', 'v'];
const asClicked = (i: number) => line(i, users[i]!);

describe('a recount, while a person is erased,', () => {
  it.each([0, 1, 2, 3])('changes nothing where the node has changed line %i, and no other', async changed => {
    const book = new ErasureBook();
    eraseInto(book, minute + 60_000, 'u', 'v');
    const read = (i: number) => (i === changed ? (erasedClick(asClicked(i), book) ?? '') : asClicked(i));
    expect(await recount(book, read)).toEqual([]);
  });

  it('is repeated where that was asked for between two of its pages, and then changes nothing', async () => {
    const book = new ErasureBook();
    const read = (i: number) => {
      if (i === 2 && book.version === 0) eraseInto(book, minute + 60_000, 'u', 'v');
      return i >= 2 ? (erasedClick(asClicked(i), book) ?? '') : asClicked(i);
    };
    await expect(recount(book, read)).rejects.toThrow('persons were erased while their clicks were read');
    expect(await recount(book, read)).toEqual([]);
  });

  it('takes what a node has that has erased everybody as it is', async () => {
    const book = new ErasureBook();
    eraseInto(book, minute + 60_000, 'u', 'v');
    const erased = (i: number) => erasedClick(asClicked(i), book) ?? '';
    expect(await recount(book, erased, book.names)).toEqual([]);
  });
});
