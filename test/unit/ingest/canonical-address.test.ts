/** Each address has one spelling in the log, that of RFC 5952, however it is posted. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalAddress } from '../../../ingest/canonical-address.ts';
import { FactFinder } from '../../../ingest/fact-finding/fact-finder.ts';
import { keptClick } from '../../../ingest/kept-click.ts';
import { createPersonalData } from '../../../ingest/privacy/personal-data.ts';
import { click } from '../../support/clicks.ts';

const groups = fc.array(fc.oneof(fc.constant(0), fc.constant(0), fc.integer({ min: 0, max: 0xffff })), {
  minLength: 8,
  maxLength: 8,
});
const bits = fc.array(fc.boolean(), { minLength: 8, maxLength: 8 });

/** The same address: with or without leading zeros, in capitals or not, with any one run of zeros left out. */
function spelled(parts: readonly number[], long: readonly boolean[], runAt: number): string {
  const texts = parts.map((part, i) => {
    const hex = long[i] ? part.toString(16).padStart(4, '0') : part.toString(16);
    return long[7 - i] ? hex.toUpperCase() : hex;
  });
  if (parts[runAt] !== 0) return texts.join(':');
  let end = runAt;
  while (parts[end] === 0) end++;
  return `${texts.slice(0, runAt).join(':')}::${texts.slice(end).join(':')}`;
}

describe('an address', () => {
  it('has the same text however it is spelled, and that is the one which a browser shows', () => {
    fc.assert(
      fc.property(groups, bits, fc.integer({ min: 0, max: 7 }), (parts, long, runAt) => {
        const posted = spelled(parts, long, runAt);
        const isMapped = parts.slice(0, 6).join() === '0,0,0,0,0,65535';
        fc.pre(!isMapped && (parts[0]! >> 8 !== 0xfd || !long.every(Boolean)));
        expect(canonicalAddress(posted)).toBe(new URL(`http://[${posted}]`).hostname.slice(1, -1));
      }),
      { numRuns: 2_000 },
    );
  });

  it.each([
    ['203.0.113.7', '203.0.113.7'],
    ['::ffff:203.0.113.7', '203.0.113.7'],
    ['::FFFF:CB00:7107', '203.0.113.7'],
    ['0:0:0:0:0:0:0:1', '::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['64:ff9b::203.0.113.7', '64:ff9b::cb00:7107'],
  ])('%s is kept as %s', (posted, kept) => {
    expect(canonicalAddress(posted)).toBe(kept);
  });

  it('that is a hash, or the token of an erased person, stays as it is', () => {
    const hash = 'fd3b:0001:0000:0000:11f8:c6e9:2d7b:840f';
    expect(canonicalAddress(hash)).toBe(hash);
  });

  it('is spelled so before facts are found and before it is cut, of links and posted clicks alike', () => {
    const posted = click({ ip: '2001:DB8::0:1' });
    for (const sentBy of ['client', 'browser'] as const)
      expect(keptClick(posted, { finder: new FactFinder() }, sentBy).ip).toBe('2001:db8::1');
    const personal = createPersonalData({ ip: 'full', userId: 'plain', userAgent: 'none', salt: 'fixed' });
    expect(keptClick(posted, { personal }).ip).toBe('2001:db8::1');
  });
});
