import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Corrupt, UnknownFormat } from '../../../../infra/errors.ts';
import { assertKnown, recordContract } from '../../../../infra/kafka/record-contract.ts';
import { KeyBook } from '../../../../infra/keys/key-book.ts';
import { createKeyCheck } from '../../../../infra/keys/key-check.ts';
import { type KeyChange, keyRecord } from '../../../../infra/keys/key-record.ts';
import { mintKeyText } from '../../../../infra/keys/key-text.ts';
import { createdKey, rotatedKey } from '../../../../infra/keys/new-key.ts';
import { tenantOf } from '../../../../infra/keys/tenant.ts';
import type { OwnQuotas } from '../../../../infra/quotas/quotas.ts';
import { keyLogRecord, keysInMemory } from '../../../support/api-keys.ts';

const doer = { by: 'operator at the broker' };
const at = 1_800_000_000_000;

/** A key, and what its changes do to it. */
function setUp(wanted: { readonly expiresAt?: number } = {}) {
  const keys = keysInMemory();
  const first = keys.add({ scopes: ['read'], ...wanted }, at);
  const id = first.slice(9, 25);
  const key = () => keys.book.get(id) ?? expect.unreachable();
  const kindOf = (text: string, now: number) => keys.check(text, now).kind;
  const rotate = async (overlapMs: number, now: number) => {
    const { text, change } = rotatedKey(key(), overlapMs, doer, now);
    await keys.append(change);
    return text;
  };
  const revoke = (now: number) => keys.append({ kind: 'revoked', id, at: now, ...doer });
  return { keys, id, first, key, kindOf, rotate, revoke };
}

describe('a key', () => {
  it('is right with its whole secret and no other', () => {
    const { first, id, kindOf } = setUp();
    expect(kindOf(first, at)).toBe('right');
    for (let i = 0; i < 200; i++) expect(kindOf(mintKeyText(id).text, at)).toBe('unknown');
    expect(kindOf(mintKeyText().text, at)).toBe('unknown');
    expect(kindOf(`${first}0`, at)).toBe('malformed');
  });

  it('is not right with a secret whose hash begins alike', () => {
    const { keys, id, first } = setUp();
    const [change] = keys.changes;
    if (change?.kind !== 'created') return expect.unreachable();
    // No secret is known that has these hashes, so the stored ones are changed instead.
    for (const place of [0, 16, 32, 62]) {
      const hash = change.secret_sha256;
      const other = hash.slice(0, place) + (hash.startsWith('00', place) ? '01' : '00') + hash.slice(place + 2);
      const book = new KeyBook();
      book.take(keyLogRecord({ ...change, secret_sha256: other }));
      expect({ place, kind: createKeyCheck(asked => book.get(asked))(first, at).kind }).toEqual({
        place,
        kind: 'unknown',
      });
    }
    expect(keys.book.get(id)).toBeDefined();
  });

  it('ends when it expires, to the millisecond', () => {
    const { first, kindOf } = setUp({ expiresAt: at + 1_000 });
    expect([at + 999, at + 1_000, at + 1_001].map(now => kindOf(first, now))).toEqual(['right', 'expired', 'expired']);
  });

  it('ends when it is revoked, also after it was right', async () => {
    const { first, kindOf, revoke } = setUp();
    expect(kindOf(first, at)).toBe('right');
    await revoke(at + 1);
    expect(kindOf(first, at + 1)).toBe('revoked');
  });

  it('has two secrets for as long as a rotation says, and then one', async () => {
    const { first, kindOf, rotate } = setUp();
    const second = await rotate(5_000, at + 10);
    expect([first, second].map(text => kindOf(text, at + 10))).toEqual(['right', 'right']);
    expect([first, second].map(text => kindOf(text, at + 5_009))).toEqual(['right', 'right']);
    expect([first, second].map(text => kindOf(text, at + 5_010))).toEqual(['replaced', 'right']);
  });

  it('has one secret at once when it is rotated without an overlap', async () => {
    const { first, kindOf, rotate } = setUp();
    const second = await rotate(60_000, at + 1);
    const third = await rotate(0, at + 2);
    expect([first, second, third].map(text => kindOf(text, at + 2))).toEqual(['unknown', 'replaced', 'right']);
  });

  it('goes by the newest rotation although the clock of who made it was behind', async () => {
    const { first, kindOf, rotate } = setUp();
    const second = await rotate(0, at + 10_000);
    const third = await rotate(0, at + 20);
    expect([first, second, third].map(text => kindOf(text, at + 10_001))).toEqual(['unknown', 'replaced', 'right']);
  });

  it('does not come back by a rotation that was decided before its revocation', async () => {
    const { key, keys, kindOf, revoke } = setUp();
    const { text, change } = rotatedKey(key(), 1_000, doer, at + 1);
    await revoke(at + 2);
    await keys.append(change);
    expect(kindOf(text, at + 3)).toBe('revoked');
  });

  it('is what its changes make of it together, in whatever order and however often they are read', async () => {
    const { keys, rotate, revoke, first, id } = setUp({ expiresAt: at + 90_000 });
    const texts = [first, await rotate(5_000, at + 10), await rotate(0, at + 20), await rotate(7_000, at + 30)];
    const withEnd = [...keys.changes];
    await revoke(at + 40);
    for (const changes of [withEnd, [...keys.changes]]) {
      const verdictsOf = (order: readonly KeyChange[]) => {
        const book = new KeyBook();
        for (const change of order) book.take(keyLogRecord(change));
        const check = createKeyCheck(asked => book.get(asked));
        const times = [at, at + 25, at + 31, at + 6_000, at + 7_030, at + 90_000];
        return times.map(now => texts.map(text => check(text, now).kind));
      };
      const expected = verdictsOf(changes);
      fc.assert(
        fc.property(
          fc.shuffledSubarray(changes, { minLength: changes.length }),
          fc.array(fc.constantFrom(...changes)),
          (order, again) => {
            expect(verdictsOf([...order, ...again])).toEqual(expected);
          },
        ),
      );
    }
    expect(keys.book.get(id)?.revoked?.at).toBe(at + 40);
  });
});

describe('quotas of a key', () => {
  it('are those of its newest change, all together, in whatever order changes are read', () => {
    const { change } = createdKey({ label: 'x', scopes: ['ingest'], quotas: { connections: 3, exports: 2 } }, doer, at);
    const limited = (changeId: string, later: number, quotas: OwnQuotas): KeyChange => ({
      ...{ kind: 'limited', id: change.id, change: changeId.repeat(16), quotas, at: at + later, ...doer },
    });
    const first = limited('1', 5, { connections: 9 });
    const second = limited('2', 9, { clicks_per_second: 0 });
    const sameMoment = limited('3', 9, {});
    for (const [changes, expected] of [
      [[change], { connections: 3, exports: 2 }],
      [[first, change], { connections: 9 }],
      [[change, second, first], { clicks_per_second: 0 }],
      [[sameMoment, second, change], {}],
    ] as const) {
      const book = new KeyBook();
      for (const each of changes) book.take(keyLogRecord(each));
      expect(book.get(change.id)?.quotas).toEqual(expected);
    }
  });

  it('are read by no release that would not hold to them', () => {
    const formatOf = (wanted: object) =>
      keyRecord(createdKey({ label: 'x', scopes: ['ingest'], ...wanted }, doer, at).change).headers?.[
        'adclicks_format'
      ];
    expect([formatOf({}), formatOf({ quotas: {} }), formatOf({ quotas: { exports: 1 } })]).toEqual(['1', '1', '2']);
  });
});

describe('a record of topic keys', () => {
  const { change } = createdKey({ label: 'x', scopes: ['read'] }, doer, at);
  const record = keyLogRecord(change);

  it.each([
    ['of an unknown kind', { ...record, headers: { kind: 'pardoned', adclicks_format: '1' } }],
    ['of an unknown format', { ...record, headers: { kind: 'created', adclicks_format: '4' } }],
  ])('%s is not passed over', (_, wrong) => {
    expect(() => new KeyBook().take(wrong)).toThrow(UnknownFormat);
  });

  it.each([
    ['no JSON', 'adclicks'],
    ['without a hash', JSON.stringify({ ...change, secret_sha256: '' })],
    ['without who did it', JSON.stringify({ ...change, by: undefined })],
    ['of no key', JSON.stringify({ ...change, id: '../../x' })],
    ['deleted', null],
  ])('with a value that is %s is not passed over, and not shown', (_, value) => {
    const wrong = { ...record, value: value === null ? null : Buffer.from(value) };
    expect(() => new KeyBook().take(wrong)).toThrow(Corrupt);
    expect(() => new KeyBook().take(wrong)).toThrow(/^topic keys, offset 0: the value is no "created" record$/);
  });

  const tenant = { id: 'acme', adIdPrefixes: ['acme-'] };
  const limited = keyLogRecord(createdKey({ label: 'x', scopes: ['read'], tenant }, doer, at).change);

  it('that is limited to a tenant has a format which a release without tenants does not read', () => {
    const before = recordContract({ created: [1], rotated: [1], revoked: [1] });
    const topic = { topic: 'keys', partition: 0 };
    expect(() => assertKnown(before, topic, limited)).toThrow(UnknownFormat);
    expect(() => assertKnown(before, topic, record)).not.toThrow();
    const book = new KeyBook();
    book.take(limited);
    expect(book.list().map(tenantOf)).toEqual([tenant]);
  });

  it.each([
    ['alone', {}],
    ['beside a tenant', { tenant }],
    ['beside quotas', { quotas: { exports: 1 } }],
  ])('that is limited to a region, %s, has a format which a release without regions does not read', (_, others) => {
    const { change: made } = createdKey({ label: 'x', scopes: ['read'], region: 'eu', ...others }, doer, at);
    const before = recordContract({ created: [1, 2], rotated: [1], limited: [1], revoked: [1] });
    const topic = { topic: 'keys', partition: 0 };
    expect(() => assertKnown(before, topic, keyLogRecord(made))).toThrow(UnknownFormat);
    expect(() => assertKnown(before, topic, limited)).not.toThrow();
    const book = new KeyBook();
    book.take(keyLogRecord(made));
    expect(book.get(made.id)?.created.region).toBe('eu');
    const asFormat2 = { ...keyLogRecord(made), headers: limited.headers };
    expect(() => new KeyBook().take(asFormat2 as typeof record)).toThrow(Corrupt);
  });

  it.each([
    ['of a tenant in the format of a key for all', { ...limited, headers: record.headers }],
    ['for all in the format of a key of a tenant', { ...record, headers: limited.headers }],
  ])('%s is not passed over', (_, wrong) => {
    expect(() => new KeyBook().take(wrong as typeof record)).toThrow(Corrupt);
  });

  it('that makes a public key has format 2, so that an older release lets nobody in, and all others have format 1', () => {
    const wanted = { label: 'x', scopes: ['ingest:public'], adIdPrefix: 'ad-', origins: ['https://shop.example'] };
    const { change: limited } = createdKey(wanted, doer, at);
    expect(keyLogRecord(limited).headers?.['adclicks_format']).toBe('2');
    expect(record.headers?.['adclicks_format']).toBe('1');
    const book = new KeyBook();
    book.take(keyLogRecord(limited));
    expect(book.get(limited.id)?.created).toMatchObject({ origins: wanted.origins, ad_id_prefix: 'ad-' });
  });

  it('with fields that are not known is read', () => {
    const book = new KeyBook();
    book.take({ ...record, value: Buffer.from(JSON.stringify({ ...change, colour: 'blue' })) });
    expect(book.size).toBe(1);
  });

  it('is not written where nobody could read it', () => {
    expect(() => keyLogRecord({ ...change, by: '' })).toThrow('a "created" record that nobody could read');
  });

  it('holds no secret', () => {
    const { text, change: made } = createdKey({ label: 'x', scopes: ['read'] }, doer, at);
    const written = JSON.stringify(keyLogRecord(made)) + String(keyLogRecord(made).value);
    expect(written).not.toContain(text.slice(26, 69));
  });
});
