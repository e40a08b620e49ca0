/** Under which texts the clicks of one person are looked for. */
import { createSecretKey } from 'node:crypto';
import { expect, it } from 'vitest';
import { createPersonalData, hashedUserId } from '../../../ingest/privacy/personal-data.ts';
import { filterOf } from '../../../query-api/http/asked-filter.ts';
import { createKeptForms } from '../../../query-api/http/kept-forms.ts';

const key = createSecretKey('k'.repeat(43), 'utf8');
const former = createSecretKey('f'.repeat(43), 'utf8');
const hourMs = 3_600_000;
const noon = Date.UTC(2026, 10, 29, 12);

const forms = createKeptForms([key, former]);

it('are the plain one and the hashes of all keys, whichever way of hashing was set when the click came', () => {
  const range = { from: noon - 36 * hourMs, to: noon + 36 * hourMs };
  const found = forms.ofUserId('u-17', range);
  expect(found[0]).toBe('u-17');
  for (const by of [key, former]) {
    for (const salt of ['fixed', 'daily'] as const) {
      const personal = createPersonalData({ ip: 'hashed', userId: 'hashed', salt, key: by })!;
      for (let at = range.from; at < range.to; at += hourMs) {
        expect(found).toContain(personal.keptUserId('u-17', at));
        expect(forms.ofIp('203.0.113.7', range)).toContain(personal.keptIp('203.0.113.7', at));
      }
    }
  }
  // The plain one, and per key, once and twice: the fixed salt and those of the days from 28 to 30 November.
  expect(new Set(found).size).toBe(1 + 2 * 2 * (1 + 3));
});

it.each(['', '2026-11-29'])('are also those of a click that was fed again when hashes were hashed again (%s)', salt => {
  const range = { from: noon, to: noon + hourMs };
  for (const by of [key, former])
    expect(forms.ofUserId('u-17', range)).toContain(hashedUserId(by, hashedUserId(by, 'u-17', salt), salt));
});

it('are those of a day that the range only touches, and not of the one that it ends before', () => {
  const midnight = Date.UTC(2026, 10, 29);
  const hashes = createKeptForms([key]).ofUserId('u-17', { from: midnight - 60_000, to: midnight });
  const daily = createPersonalData({ ip: 'full', userId: 'hashed', salt: 'daily', key })!;
  expect(hashes).toContain(daily.keptUserId('u-17', midnight - 1));
  expect(hashes).not.toContain(daily.keptUserId('u-17', midnight));
});

it('are the plain one alone without keys', () => {
  expect(createKeptForms([]).ofUserId('u-17', { from: noon, to: noon + hourMs })).toEqual(['u-17']);
});

it('are what a request for a person asks for, each exactly', async () => {
  const keptForms = createKeptForms([key]);
  const range = { from: noon, to: noon + hourMs };
  const filters = { get: async () => undefined };
  const [user, ip] = await filterOf({ user_id: 'u_17%', ip: '203.0.113.7' }, range, { filters, keptForms });
  const hashes = keptForms.ofUserId('u_17%', range).slice(1);
  expect(user).toEqual({
    kind: 'user',
    side: 'in',
    list: ['u\\_17\\%', ...hashes.map(hash => hash.replaceAll('_', '\\_'))],
  });
  expect(ip?.list.slice(1)).toEqual(
    keptForms
      .ofIp('203.0.113.7', range)
      .slice(1)
      .map(address => ({ address, prefix: 128 })),
  );
});
