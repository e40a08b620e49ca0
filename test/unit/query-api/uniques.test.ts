import { describe, expect, it } from 'vitest';
import { maxExactUsers, uniquesOf } from '../../../query-api/answers/uniques.ts';
import type { ExactUsers } from '../../../query-api/store/raw-counts.ts';

const selection = {
  from: 0,
  to: 60_000,
  isSettled: true,
  adIds: ['a', 'b'],
  filter: [],
  uniques: true,
};
const row = (name: string, count: number, users: number) => ({ name, count, users, duplicates: 0 });

/** Remembers how often it was called. */
function rawWith(...found: readonly ExactUsers[]) {
  const raw = {
    asked: 0,
    async exactUsers() {
      raw.asked++;
      return [...found];
    },
  };
  return raw;
}

describe('unique users', () => {
  it('are counted exactly up to the limit of all rows together', async () => {
    const raw = rawWith({ name: 'a', users: 3, count: 9 }, { name: 'b', users: 1, count: 1 });
    const { of, hasMoved } = await uniquesOf(raw, 'ad', selection, [row('a', 9, maxExactUsers - 1), row('b', 1, 1)]);
    expect([...of]).toEqual([
      ['a', { count: 3, is_exact: true }],
      ['b', { count: 1, is_exact: true }],
    ]);
    expect(hasMoved).toBe(false);
  });

  it('are estimated above the limit, which the answer says, and are not counted in memory', async () => {
    const raw = rawWith();
    const { of } = await uniquesOf(raw, 'ad', selection, [row('a', 2e6, maxExactUsers), row('b', 1, 1)]);
    expect(of.get('a')).toEqual({ count: maxExactUsers, is_exact: false });
    expect(of.get('b')).toEqual({ count: 1, is_exact: false });
    expect(raw.asked).toBe(0);
  });

  it('say when clicks came after the counts were read', async () => {
    const raw = rawWith({ name: 'a', users: 3, count: 10 });
    expect((await uniquesOf(raw, 'ad', selection, [row('a', 9, 3)])).hasMoved).toBe(true);
    expect((await uniquesOf(rawWith(), 'ad', selection, [row('a', 9, 3)])).hasMoved).toBe(true);
  });
});
