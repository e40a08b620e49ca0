/** The country, the facts and the kept address of a click that a browser has sent itself, by its whole address. */
import { createSecretKey } from 'node:crypto';
import { expect, it } from 'vitest';
import type { ClickLines } from '../../../ingest/click-lines.ts';
import { FactFinder } from '../../../ingest/fact-finding/fact-finder.ts';
import { createPersonalData, hashedIp } from '../../../ingest/privacy/personal-data.ts';
import { createKeepClick } from '../../../ingest/spool/keep-click.ts';
import { facts } from '../../../ingest/validity/facts.ts';
import { click, clicksOf } from '../../support/clicks.ts';

it.each([
  ['203.0.113.7', 'ZZ', 'KR'],
  ['203.0.113.7', 'DE', 'DE'],
  ['2001:db8:1:2::3', 'ZZ', 'BR'],
  [undefined, 'ZZ', 'ZZ'],
])(
  'of %s are, sent as %s, %s, and that it has no user agent; the address is kept as the settings say',
  async (ip, country, expected) => {
    for (const rule of ['full', 'none'] as const) {
      const kept: unknown[] = [];
      const keep = createKeepClick({
        clickLog: {
          append: async (lines: ClickLines) => {
            kept.push(...clicksOf(lines).map(each => [each.country, each.facts, each.ip]));
          },
        },
        kept: {
          countryOfAddress: text => (text === '203.0.113.7' ? 'KR' : text === '2001:db8:1:2::3' ? 'BR' : 'ZZ'),
          finder: new FactFinder(),
          personal: createPersonalData({ ip: rule, userId: 'plain', salt: 'fixed' }),
        },
      });
      await keep(click({ country, ip, userId: undefined }), { trace: undefined, network: 'any' });
      expect(kept).toEqual([[expected, facts.missing.bit, rule === 'full' ? ip : undefined]]);
    }
  },
);

it('hashes the address of a visitor in an inner network also where it looks like a hash, which nobody has posted', async () => {
  const key = createSecretKey('k'.repeat(43), 'utf8');
  const kept: unknown[] = [];
  const keep = createKeepClick({
    clickLog: {
      append: async (lines: ClickLines) => {
        kept.push(...clicksOf(lines).map(({ ip }) => ip));
      },
    },
    kept: { personal: createPersonalData({ ip: 'hashed', userId: 'hashed', salt: 'fixed', key }) },
  });
  const ip = 'fd12:3456:789a:1111:2222:3333:4444:5555';
  await keep(click({ ip }), { trace: undefined, network: 'any' });
  expect(kept).toEqual([hashedIp(key, ip, '')]);
});
