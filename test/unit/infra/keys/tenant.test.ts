/** Whose an ad is, and what two tenants have in common: nothing. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ownsAd, sharedPrefix, sightOf, type Tenant } from '../../../../infra/keys/tenant.ts';

const text = fc.stringMatching(/^[ab.]{1,4}$/);
const tenantOf = (id: string) =>
  fc.array(text, { minLength: 1, maxLength: 3 }).map((adIdPrefixes): Tenant => ({ id, adIdPrefixes }));

describe('two tenants', () => {
  it('have an ad in common exactly if the prefixes of one begin with those of the other', () => {
    fc.assert(
      fc.property(tenantOf('one'), tenantOf('other'), (one, other) => {
        // The longest prefix of two that overlap is itself an ad of both.
        const ads = [...one.adIdPrefixes, ...other.adIdPrefixes];
        const haveSome = ads.some(ad => ownsAd(one, ad) && ownsAd(other, ad));
        expect(sharedPrefix(one, [other]) !== undefined).toBe(haveSome);
      }),
    );
  });

  it('never see by the same name, and a tenant sees by one name whatever the order of its prefixes', () => {
    fc.assert(
      fc.property(tenantOf('one'), tenantOf('other'), (one, other) => {
        expect(sightOf(one)).not.toBe(sightOf(other));
        expect(sightOf({ ...one, adIdPrefixes: one.adIdPrefixes.toReversed() })).toBe(sightOf(one));
        expect(sightOf({ ...one, adIdPrefixes: [...one.adIdPrefixes, 'x'] })).not.toBe(sightOf(one));
      }),
    );
    expect(sightOf(undefined)).toBeUndefined();
  });
});
