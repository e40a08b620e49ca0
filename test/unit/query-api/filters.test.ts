import { describe, expect, it } from 'vitest';
import { type Condition, countryOf, likeOf, needsRaw } from '../../../query-api/store/filters/click-filter.ts';
import { addressRangeOf, conditionsOf, storedDefinition } from '../../../query-api/store/filters/filter-definition.ts';

const country = (side: 'in' | 'out', ...list: string[]): Condition => ({ kind: 'country', side, list });

describe('the countries of a filter', () => {
  it('are all, one, or what remains after the lists', () => {
    expect(countryOf([])).toBeUndefined();
    expect(countryOf([country('in', 'KR')])).toBe('KR');
    expect(countryOf([country('in', 'KR', 'DE'), country('in', 'DE', 'US')])).toBe('DE');
    expect(countryOf([country('in', 'KR'), country('in', 'DE')])).toEqual({ in: [], out: [] });
    expect(countryOf([country('out', 'KR'), country('out', 'DE')])).toEqual({ in: undefined, out: ['KR', 'DE'] });
    expect(countryOf([country('in', 'KR'), country('out', 'KR')])).toEqual({ in: ['KR'], out: ['KR'] });
  });

  it('are enough to answer from counts; users and addresses need raw clicks', () => {
    expect(needsRaw(conditionsOf({ countries: { out: ['US'] } }))).toBe(false);
    expect(needsRaw(conditionsOf({ countries: { out: ['US'] }, ips: { out: ['10.0.0.0/8'] } }))).toBe(true);
    expect(needsRaw(conditionsOf({ user_ids: { in: ['u'] } }))).toBe(true);
  });
});

describe('a pattern', () => {
  it('has no other wildcard than *', () => {
    expect(likeOf('50%_off\\*')).toBe('50\\%\\_off\\\\%');
  });
});

describe('a stored filter', () => {
  it('is read as it was stored', () => {
    expect(storedDefinition('a', '{"countries":{"in":["KR"]}}')).toEqual({ countries: { in: ['KR'] } });
  });

  it('is refused as a whole when a newer release has stored what this one does not know', () => {
    const text = '{"countries":{"in":["KR"]},"devices":{"out":["bot"]}}';
    expect(() => storedDefinition('a', text)).toThrow(/stored filter "a": contains what release .* does not know/);
  });
});

describe('an address or network', () => {
  it.each([
    ['10.0.0.1', { address: '10.0.0.1', prefix: 128 }],
    ['2001:db8::/32', { address: '2001:db8::', prefix: 32 }],
    ['::1', { address: '::1', prefix: 128 }],
    ['10.0.0.1/', undefined],
    ['10.0.0.1/-1', undefined],
    ['10.0.0.1/1/2', undefined],
    ['010.0.0.1', undefined],
    ['2001:db8::/129', undefined],
    ['fe80::1%eth0', undefined],
    ['', undefined],
  ])('is read as it is written, with or without its length: %s', (text, range) => {
    expect(addressRangeOf(text)).toEqual(range);
  });
});
