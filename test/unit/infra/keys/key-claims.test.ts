/** Keys and rotations that several processes have written at once: which of them hold, whoever reads the log, and when. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyBook } from '../../../../infra/keys/key-book.ts';
import { createKeyCheck } from '../../../../infra/keys/key-check.ts';
import { mostKeys } from '../../../../infra/keys/key-claims.ts';
import { type KeyChange, keyRecord, operatorAtBroker } from '../../../../infra/keys/key-record.ts';
import { createdKey, type MadeKey, revokedKey, rotatedKey, voidMark } from '../../../../infra/keys/new-key.ts';
import { sharedPrefix, type Tenant } from '../../../../infra/keys/tenant.ts';
import { keyLogRecord } from '../../../support/api-keys.ts';

const doer = { by: 'somebody' };
const at = 1_800_000_000_000;
const keyOf = (tenant: string, prefix: string, more: { now?: number; expiresAt?: number } = {}) => {
  const wanted = { label: tenant, scopes: ['read'], tenant: { id: tenant, adIdPrefixes: [prefix] } };
  return createdKey({ ...wanted, expiresAt: more.expiresAt }, doer, more.now ?? at);
};
const bookOf = (log: readonly KeyChange[]) => {
  const book = new KeyBook();
  for (const [offset, change] of log.entries()) book.take(keyLogRecord(change, offset));
  return book;
};
/** The labels of the keys that there are. */
const madeBy = (log: readonly KeyChange[]) =>
  bookOf(log)
    .list()
    .map(({ created }) => created.label)
    .sort();
const kindsIn = (log: readonly KeyChange[], now: number, ...texts: readonly string[]) => {
  const book = bookOf(log);
  const check = createKeyCheck(id => book.get(id));
  return texts.map(text => check(text, now).kind);
};
/** As compaction leaves it: of each record key the last record, at its place. */
const compacted = (log: readonly KeyChange[]) => {
  const last = new Map(log.map((change, i) => [keyRecord(change).key, i]));
  return log.filter((change, i) => last.get(keyRecord(change).key) === i);
};

describe('of two keys of tenants with ads in common', () => {
  it.each([
    ['race-', 'race-'],
    ['race-', 'race-sub'],
    ['race-sub', 'race-'],
  ])('the one that was written first is made, and the other lets nobody in: %s, %s', (first, second) => {
    const [a, b] = [keyOf('a', first), keyOf('b', second)];
    const log = [a.change, b.change];
    expect(madeBy(log)).toEqual(['a']);
    expect(kindsIn(log, at, a.text, b.text)).toEqual(['right', 'unknown']);
    expect(bookOf(log).fateOf(a.change)).toBe('holds');
    expect(bookOf(log).fateOf(b.change)).toEqual({
      ...{ why: 'ads', by: a.change.id, own: second, prefix: first, other: 'a' },
    });
    expect(bookOf([a.change]).fateOf(b.change)).toBeUndefined();
    expect(madeBy([b.change, a.change])).toEqual(['b']);
    // Read once more from the beginning, as by a consumer that was replaced.
    expect(madeBy([...log, ...log])).toEqual(['a']);
  });

  it('both are made where they are of one tenant, or where the first one had ended before', () => {
    const [a, same, b] = [keyOf('a', 'x-', { expiresAt: at + 5 }), keyOf('a', 'x-'), keyOf('b', 'x-', { now: at + 5 })];
    expect(madeBy([a.change, same.change])).toEqual(['a', 'a']);
    expect(madeBy([a.change, b.change])).toEqual(['a', 'b']);
    const early = keyOf('b', 'x-', { now: at + 4 });
    expect(madeBy([a.change, early.change])).toEqual(['a']);
    const revoked = revokedKey(a.change.id, doer, at + 3);
    expect(madeBy([a.change, revoked, early.change])).toEqual(['a', 'b']);
    // In another order, as in a copied topic, the time of the revocation says it.
    expect(madeBy([a.change, early.change, revoked])).toEqual(['a', 'b']);
  });

  it('the second stays void when the first is revoked, so that it takes no ads from a third one', () => {
    const [a, wide, c] = [keyOf('a', 'ab'), keyOf('wide', 'a'), keyOf('c', 'ac')];
    const revoked = revokedKey(a.change.id, doer, at + 60_000);
    expect(madeBy([a.change, wide.change, c.change, revoked])).toEqual(['a', 'c']);
  });

  it('the second stays void in whatever order its mark is read, and the first holds', () => {
    const [a, b, c] = [keyOf('a', 'x-'), keyOf('b', 'x-'), keyOf('c', 'y-')];
    const log = [a.change, b.change, c.change, voidMark(b, doer, at + 10)];
    const order = fc.shuffledSubarray(log, { minLength: log.length });
    fc.assert(
      fc.property(order, fc.array(fc.constantFrom(...log)), (first, again) => {
        expect(madeBy([...first, ...again])).toEqual(['a', 'c']);
        expect(kindsIn(first, at, a.text, b.text)).toEqual(['right', 'unknown']);
      }),
    );
  });

  it('the second stays void after compaction, also where the first was written twice and its later copy is left', () => {
    const [a, b, late] = [keyOf('a', 'x-'), keyOf('b', 'x-'), keyOf('late', 'x-y')];
    const log = [a.change, b.change, a.change, voidMark(b, doer, at + 10), late.change];
    expect(compacted(log).map(({ kind, id }) => [kind, id])).toEqual([
      ['created', b.change.id],
      ['created', a.change.id],
      ['revoked', b.change.id],
      ['created', late.change.id],
    ]);
    for (const read of [log, compacted(log)]) expect(madeBy(read)).toEqual(['a']);
  });

  it('the second is revoked for a release that does not know of this', () => {
    const b = keyOf('b', 'x-');
    const { key, headers } = keyRecord(voidMark(b, doer, at + 10));
    expect(headers).toMatchObject({ kind: 'revoked', adclicks_format: '1' });
    expect(key).toMatch(`${b.change.id}|`);
  });

  it('what two revocations say of the first is not forgotten by compaction', () => {
    const [a, b] = [keyOf('a', 'x-'), keyOf('b', 'x-', { now: at + 20 })];
    const revocations = [revokedKey(a.change.id, doer, at + 10), revokedKey(a.change.id, doer, at + 30)] as const;
    const log = [a.change, revocations[0], b.change, revocations[1]];
    expect(madeBy(compacted(log))).toEqual(['a', 'b']);
  });
});

it('a tenant has ads in common with exactly those of whom one prefix begins with one of the other', () => {
  const prefix = fc.string({ unit: fc.constantFrom('a', 'b', '-'), minLength: 1, maxLength: 4 });
  const tenants = fc.array(fc.array(prefix, { minLength: 1, maxLength: 3 }), { maxLength: 12 });
  fc.assert(
    fc.property(tenants, all => {
      const asked = all.map((adIdPrefixes, i) => ({ id: `t${i}`, adIdPrefixes }));
      const log = asked.map(tenant => createdKey({ label: tenant.id, scopes: ['read'], tenant }, doer, at).change);
      const kept: Tenant[] = [];
      for (const tenant of asked) if (sharedPrefix(tenant, kept) === undefined) kept.push(tenant);
      expect(madeBy(log)).toEqual(kept.map(({ id }) => id).sort());
    }),
  );
});

describe('of more keys than there may be', () => {
  it('those that are written last are void, but for what is made at the broker', () => {
    const made = (by: string) => createdKey({ label: by, scopes: ['read'] }, { by }, at).change;
    const log = Array.from({ length: mostKeys - 1 }, () => made('somebody'));
    const [b, ...further] = [createdKey({ label: 'void', scopes: ['read'] }, doer, at), made('last'), made('too many')];
    const marked = [b.change, voidMark(b, doer, at), ...log, ...further, made(operatorAtBroker)];
    const book = bookOf(marked);
    expect(book.size).toBe(mostKeys + 1);
    const labels = new Set(book.list().map(({ created }) => created.label));
    expect(labels).toEqual(new Set(['somebody', 'last', operatorAtBroker]));
  });
});

describe('of two rotations of the same secret', () => {
  const first = createdKey({ label: 'x', scopes: ['read'] }, doer, at);
  const key = bookOf([first.change]).list()[0] ?? expect.unreachable();
  const [one, two] = [rotatedKey(key, 600_000, doer, at + 10), rotatedKey(key, 600_000, doer, at + 11)];
  const states = (log: readonly KeyChange[], now: number, ...others: readonly MadeKey[]) =>
    kindsIn(log, now, first.text, one.text, two.text, ...others.map(({ text }) => text));

  it('the one that was written first holds, and the secret goes on for as long as it has promised', () => {
    for (const [log, expected] of [
      [
        [first.change, one.change, two.change],
        ['right', 'right', 'unknown'],
      ],
      [
        [first.change, two.change, one.change],
        ['right', 'unknown', 'right'],
      ],
    ] as const) {
      for (const now of [at + 12, at + 600_009]) expect(states(log, now)).toEqual(expected);
      expect(states(log, at + 600_011)).toEqual(['replaced', ...expected.slice(1)]);
    }
    const book = bookOf([first.change, one.change, two.change]);
    expect([book.fateOf(one.change), book.fateOf(two.change)]).toEqual(['holds', { why: 'rotated' }]);
  });

  it('the other stays void in whatever order its mark is read, and after compaction', () => {
    const log = [first.change, one.change, two.change, voidMark(two, doer, at + 20)];
    const order = fc.shuffledSubarray(log, { minLength: log.length });
    fc.assert(
      fc.property(order, fc.array(fc.constantFrom(...log)), (shuffled, again) => {
        expect(states([...shuffled, ...again], at + 30)).toEqual(['right', 'right', 'unknown']);
      }),
    );
    const twice = compacted([...log.slice(0, 3), one.change, ...log.slice(3)]);
    expect(twice).toHaveLength(3);
    expect(states(twice, at + 30)).toEqual(['right', 'right', 'unknown']);
  });

  it('a later one replaces what holds, and one of an older release goes by its time', () => {
    const log = [first.change, one.change, two.change];
    const rotated = bookOf(log).list()[0] ?? expect.unreachable();
    const three = rotatedKey(rotated, 0, doer, at + 50);
    expect(states([...log, three.change], at + 50, three)).toEqual(['unknown', 'replaced', 'unknown', 'right']);
    const older = [one, two].map(({ change }) => ({ ...change, replaces: undefined }));
    expect(states([first.change, ...older] as KeyChange[], at + 50)).toEqual(['unknown', 'right', 'right']);
  });

  it('none is forgotten that is in force after very many, and read again', () => {
    let log: readonly KeyChange[] = [first.change];
    let last = first;
    for (let i = 1; i <= 200; i++) {
      const present = bookOf(log).list()[0] ?? expect.unreachable();
      last = rotatedKey(present, 1_000, doer, at + i);
      log = [...log, last.change];
    }
    for (const read of [log, [...log, ...log]]) expect(kindsIn(read, at + 201, last.text, first.text)[0]).toBe('right');
  });
});
