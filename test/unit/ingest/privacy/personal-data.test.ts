/** What is kept of the fields that say who a person is. */
import { createHmac, createSecretKey } from 'node:crypto';
import { isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isText, limits } from '../../../../ingest/click.ts';
import { addressTokenOf, formOf, tokenOf } from '../../../../ingest/privacy/erasure-record.ts';
import {
  createPersonalData,
  hashedIp,
  hashedUserId,
  type PersonalDataRules,
} from '../../../../ingest/privacy/personal-data.ts';

const key = createSecretKey('k'.repeat(43), 'utf8');
const other = createSecretKey('l'.repeat(43), 'utf8');
const at = Date.UTC(2026, 10, 29, 12);
const dayMs = 24 * 3_600_000;

function kept(rules: Partial<PersonalDataRules>) {
  const personal = createPersonalData({ ip: 'full', userId: 'plain', salt: 'fixed', key, ...rules });
  if (personal === undefined) throw new Error('nothing is changed by these rules');
  return personal;
}

it('is everything by default, for which nothing is made', () => {
  expect(createPersonalData({ ip: 'full', userId: 'plain', salt: 'fixed' })).toBeUndefined();
});

describe('a truncated address', () => {
  it.each([
    ['203.0.113.7', '203.0.113.0'],
    ['::ffff:203.0.113.7', '203.0.113.0'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1::'],
    ['2001:DB8:0001:ffff::1', '2001:db8:1::'],
    ['::1', '::'],
  ])('of %s is %s', (ip, network) => {
    expect(kept({ ip: 'truncated' }).keptIp(ip, at)).toBe(network);
  });

  it('is the same for all addresses of its network, and says nothing of the rest', () => {
    const truncated = kept({ ip: 'truncated' });
    fc.assert(
      fc.property(fc.ipV4(), fc.integer({ min: 0, max: 255 }), (ip, last) => {
        const [a, b, c] = ip.split('.');
        expect(truncated.keptIp(ip, at)).toBe(truncated.keptIp(`${a}.${b}.${c}.${last}`, at));
      }),
    );
  });
});

describe('a hash', () => {
  const hashed = kept({ ip: 'hashed', userId: 'hashed' });

  it('of an address has the form of one that no visitor has, and of an id that of an id', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), ip => {
        const form = hashed.keptIp(ip, at) ?? '';
        expect(form).toMatch(/^fd/);
        expect([isIP(form), form.length <= limits.ipLength]).toEqual([6, true]);
      }),
    );
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), id => {
        expect(isText(hashed.keptUserId(id, at), limits.userIdLength)).toBe(true);
      }),
    );
  });

  it('is the HMAC-SHA256 that the contract states, by which another program finds a person', () => {
    const of = (text: string) => createHmac('sha256', 'k'.repeat(43)).update(text).digest();
    expect(hashed.keptUserId('u-17', at)).toBe(`hashed:${of('user_id\n\nu-17').subarray(0, 16).toString('base64url')}`);
    const daily = kept({ userId: 'hashed', salt: 'daily' });
    const ofDay = of('user_id\n2026-11-29\nu-17').subarray(0, 16).toString('base64url');
    expect(daily.keptUserId('u-17', at)).toBe(`hashed:${ofDay}`);
  });

  it('is the same for all spellings of an address, and another for another address, person or key', () => {
    const spellings = ['2001:db8::1', '2001:0DB8:0:0::1', '2001:db8:0:0:0:0:0:1'];
    expect(new Set(spellings.map(ip => hashed.keptIp(ip, at))).size).toBe(1);
    expect(hashed.keptIp('::ffff:203.0.113.7', at)).toBe(hashed.keptIp('203.0.113.7', at));
    expect(hashed.keptIp('203.0.113.8', at)).not.toBe(hashed.keptIp('203.0.113.7', at));
    const ids = ['u-17', 'u-18', 'U-17', 'u-17 '];
    expect(new Set(ids.map(id => hashed.keptUserId(id, at))).size).toBe(ids.length);
    const byOther = kept({ ip: 'hashed', userId: 'hashed', key: other });
    expect(byOther.keptUserId('u-17', at)).not.toBe(hashed.keptUserId('u-17', at));
    expect(byOther.keptIp('203.0.113.7', at)).not.toBe(hashed.keptIp('203.0.113.7', at));
  });

  it('with the daily salt is the same all day in UTC, and another one on the next day', () => {
    const daily = kept({ ip: 'hashed', userId: 'hashed', salt: 'daily' });
    const forms = (time: number) => [daily.keptUserId('u-17', time), daily.keptIp('203.0.113.7', time)];
    const begin = Date.UTC(2026, 10, 29);
    expect(forms(begin)).toEqual(forms(begin + dayMs - 1));
    for (const time of [begin - 1, begin + dayMs]) {
      expect(forms(time)[0]).not.toBe(forms(begin)[0]);
      expect(forms(time)[1]).not.toBe(forms(begin)[1]);
    }
    expect(hashed.keptUserId('u-17', begin)).toBe(hashed.keptUserId('u-17', begin + dayMs));
  });
});

describe('what was kept once, and is posted again', () => {
  const settings = fc.record({
    salt: fc.constantFrom('fixed' as const, 'daily' as const),
    key: fc.constantFrom(key, other),
  });
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });

  it('stays as it is, whatever setting and key have made it, and so do the token and the address of an erased person', () => {
    fc.assert(
      fc.property(settings, settings, text, fc.oneof(fc.ipV4(), fc.ipV6()), (first, then, id, ip) => {
        const [one, two] = [first, then].map(each => kept({ ip: 'hashed', userId: 'hashed', ...each }));
        const userId = one?.keptUserId(id, at) ?? '';
        expect(two?.keptUserId(userId, at + dayMs)).toBe(userId);
        const address = one?.keptIp(ip, at) ?? '';
        expect(two?.keptIp(address, at + dayMs)).toBe(address);
        const token = tokenOf(id, formOf(id));
        expect(one?.keptUserId(token, at)).toBe(token);
        expect(one?.keptIp(addressTokenOf(id, ip), at)).toBe(addressTokenOf(id, ip));
      }),
    );
  });

  it('is hashed where its form is another one, or where it is the address of a visitor', () => {
    const hashed = kept({ ip: 'hashed', userId: 'hashed' });
    const form = hashed.keptUserId('u-17', at);
    const others = [
      `${form}x`,
      ` ${form}`,
      `${form}\n`,
      form.slice(0, -1),
      `${form.slice(0, -1)}B`,
      'hashed:',
      'erased:u-17',
    ];
    for (const id of others) expect(hashed.keptUserId(id, at)).toBe(hashedUserId(key, id, ''));
    const address = hashed.keptIp('203.0.113.7', at) ?? '';
    for (const ip of ['fd12:3456:789a:1::1', 'fe80:1111:1111:1111:1111:1111:1111:1111', address.toUpperCase()])
      expect(hashed.keptIp(ip, at)).toBe(hashedIp(key, ip, ''));
    expect(hashed.keptVisitorIp(address, at)).toBe(hashedIp(key, address, ''));
    expect(kept({ ip: 'truncated' }).keptIp(address, at)).not.toBe(address);
    expect(kept({ ip: 'none' }).keptIp(address, at)).toBeUndefined();
  });
});

it('keeps nothing of an address where the rule is none', () => {
  expect(kept({ ip: 'none' }).keptIp('203.0.113.7', at)).toBeUndefined();
});
