import { describe, expect, it } from 'vitest';
import { countryOf, formerCodes, isCountry, isoCountries, kept, sameCountry } from '../../../ingest/country.ts';

const letters = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZ'];
const pairs = letters.flatMap(a => letters.map(b => a + b));

describe('countries', () => {
  it('are the 249 of ISO 3166-1, each with a name, and none that ISO has taken back', () => {
    expect(new Set(isoCountries).size).toBe(249);
    const names = new Intl.DisplayNames('en', { type: 'region', fallback: 'none' });
    expect(isoCountries.filter(code => names.of(code) === undefined)).toEqual([]);
    const others = pairs.filter(code => !isoCountries.includes(code) && names.of(code) !== undefined);
    // Taken back, kept from use, or not ISO's: all that Unicode has a name for beside them.
    const known = 'AC AN BU CP CQ CS DD DG DY EA EU EZ FX HV IC NH QO RH SU TA TP UK UN VD XA XB XK YD YU ZR ZZ'.split(
      ' ',
    );
    expect(others.filter(code => !known.includes(code))).toEqual([]);
  });

  it('are written in capitals, in one way each, and what is written is read as itself', () => {
    for (const code of pairs) {
      const written = countryOf(code);
      expect(countryOf(code.toLowerCase())).toBe(written);
      expect(written === code).toBe(isCountry(code.charCodeAt(0), code.charCodeAt(1)));
      if (written !== undefined) expect(countryOf(written)).toBe(written);
    }
    expect(kept.map(countryOf)).toEqual(['XK', 'EU', 'AP', 'ZZ']);
  });

  it.each([
    ['UK', 'GB'],
    ['uk', 'GB'],
    ['XX', 'ZZ'],
    ['T1', 'ZZ'],
    ['a1', 'ZZ'],
    ['A2', 'ZZ'],
    ['O1', 'ZZ'],
    ['QQ', undefined],
    ['SU', undefined],
    ['B2', undefined],
    ['', undefined],
    ['KOR', undefined],
    ['ß', undefined],
    ['\u0131d', undefined],
    ['1K', undefined],
  ])('%s is written as %s', (posted, written) => {
    expect(countryOf(posted)).toBe(written);
  });

  it.each([
    ['GB', ['GB', 'UK']],
    ['uk', ['GB', 'UK']],
    ['ZZ', ['ZZ', 'XX']],
    ['T1', ['ZZ', 'XX']],
    ['KR', ['KR']],
    ['QQ', ['QQ']],
  ])('who asks for %s is given rows of %j', (asked, codes) => {
    expect(sameCountry(asked)).toEqual(codes);
  });

  it('of former codes stand under the one that is written now', () => {
    expect([...formerCodes]).toEqual([
      ['UK', 'GB'],
      ['XX', 'ZZ'],
    ]);
  });
});
