import { expect, it } from 'vitest';
import { statedRowsIn } from '../../../aggregator/replay/stated-rows.ts';
import { Corrupt } from '../../../infra/errors.ts';

const row = {
  ...{ minute: 1_767_225_600, ad_id: 'ad-1', country: 'KR', partition: 3 },
  ...{ revision: 0, clicks: 7, duplicates: 2, late: 1, rules: 3, invalid: 2, invalid_by: { known_bot: 2 } },
};
const lines = (...rows: readonly unknown[]) => Buffer.from(rows.map(each => `${JSON.stringify(each)}\n`).join(''));

it('are those of the lines, in their order, and none where there is no line', () => {
  expect(statedRowsIn(lines(row, { ...row, country: 'FR' }))).toEqual([row, { ...row, country: 'FR' }]);
  expect(statedRowsIn(lines())).toEqual([]);
});

it.each([
  [
    'a count as text, as ClickHouse quotes what may be large',
    { ...row, clicks: '7' },
    /row 2: clicks is "7", but must/,
  ],
  ['a count that is missing', { ...row, clicks: undefined }, /row 2: clicks is not given, but must be/],
  ['a count below none', { ...row, duplicates: -1 }, /row 2: duplicates is -1, but must/],
  ['invalid clicks by a reason that is not a number', { ...row, invalid_by: { denied: '2' } }, /row 2: invalid_by/],
  ['a minute as text', { ...row, minute: '2026-01-01 00:00:00' }, /row 2: minute is "2026-01-01 00:00:00", but must/],
  ['a line of the log instead of a row', [row.minute, 'ad-1', 'KR', 3, 0, 7, 2, 1], /row 2/],
])('are not taken with %s', (_what, wrong, why) => {
  const read = () => statedRowsIn(lines(row, wrong));
  expect(read).toThrow(Corrupt);
  expect(read).toThrow(why);
});

it('are not taken from a page that was cut off', () => {
  expect(() => statedRowsIn(lines(row).subarray(0, 40))).toThrow(Corrupt);
});
