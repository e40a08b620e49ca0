import { Type } from 'typebox';
import { describe, expect, it } from 'vitest';
import { checkedRows } from '../../../../infra/clickhouse/checked-rows.ts';
import { Corrupt } from '../../../../infra/errors.ts';

const Row = Type.Object({ partition: Type.Integer(), name: Type.String() });

describe('checked rows', () => {
  it('are the same rows, with the columns that a newer release has added', () => {
    const rows = [{ partition: 1, name: 'a', newer: true }];
    expect(checkedRows(Row, rows, 't')).toBe(rows);
    expect(checkedRows(Row, [], 't')).toEqual([]);
  });

  it.each([
    [{ partition: '7', name: 'a' }, 't, row 2: partition is "7", but must be a whole number'],
    [{ partition: 7, name: null }, 't, row 2: name is null, but must be a text'],
    ['text', 't, row 2: "text", but must be an object'],
  ])('are refused where one is %j, by its place, field, value and rule', (row, why) => {
    expect(() => checkedRows(Row, [{ partition: 1, name: '' }, row], 't')).toThrow(Corrupt);
    expect(() => checkedRows(Row, [{ partition: 1, name: '' }, row], 't')).toThrow(why);
  });

  it('are refused where a field is missing', () => {
    expect(() => checkedRows(Row, [{ partition: 1 }], 't')).toThrow('t, row 1: name is not given, but must be');
  });
});
