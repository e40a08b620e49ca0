import fc from 'fast-check';
import { expect, it } from 'vitest';
import { isoOf } from '../../../query-api/http/parameters.ts';

it('writes a time as Date does, whichever time was written before', () => {
  const time = fc.oneof(
    fc.date({ noInvalidDate: true }).map(date => date.getTime()),
    fc.integer({ min: 1_763_769_600_000, max: 1_763_942_400_000 }),
    fc.constantFrom(0, -1, 86_399_999, 86_400_000, 8_640_000_000_000_000),
  );
  fc.assert(
    fc.property(fc.array(time, { minLength: 1, maxLength: 20 }), times => {
      expect(times.map(isoOf)).toEqual(times.map(ms => new Date(ms).toISOString()));
    }),
  );
});

it('refuses a number that is not a time, also on the day of the last one', () => {
  isoOf(8_640_000_000_000_000);
  for (const ms of [Number.NaN, Number.POSITIVE_INFINITY, 8_640_000_000_000_001])
    expect(() => isoOf(ms)).toThrow(RangeError);
});
