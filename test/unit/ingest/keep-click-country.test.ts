/** The country of a click that a browser has sent itself. */
import { expect, it } from 'vitest';
import type { ClickLines } from '../../../ingest/click-lines.ts';
import { createKeepClick } from '../../../ingest/spool/keep-click.ts';
import { click, clicksOf } from '../../support/clicks.ts';

it.each([
  ['203.0.113.7', 'ZZ', 'KR'],
  ['203.0.113.7', 'DE', 'DE'],
  ['2001:db8:1:2::/64', 'ZZ', 'BR'],
  ['unknown', 'ZZ', 'ZZ'],
])('of client %s is, sent as %s, %s, and the address is not kept', async (network, country, expected) => {
  const kept: { country: string; ip?: string | undefined }[] = [];
  const keep = createKeepClick({
    clickLog: { append: async (lines: ClickLines) => void kept.push(...clicksOf(lines)) },
    kept: { countryOfAddress: ip => (ip === '203.0.113.7' ? 'KR' : ip === '2001:db8:1:2::' ? 'BR' : 'ZZ') },
  });
  await keep(click({ country, ip: undefined, userId: undefined }), { trace: undefined, network });
  expect(kept.map(each => [each.country, each.ip])).toEqual([[expected, undefined]]);
});
