import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { joined, named, noSql, settingsList, sql, statement } from '../../../infra/clickhouse/sql.ts';

const hostile = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom("' OR 1 --", '\\', '{p0:String}'));

describe('a statement', () => {
  it('has its values in parameters, numbered over all of its pieces', () => {
    const where = sql`country = ${'KR'} AND minute >= ${60}`;
    const [text, params] = statement`SELECT count() FROM t WHERE ${where} AND ad_id IN ${['a', 'b']} LIMIT ${5}`;
    expect(text).toBe(
      'SELECT count() FROM t WHERE country = {p0:String} AND minute >= {p1:Int64} AND ad_id IN {p2:Array(String)} LIMIT {p3:Int64}',
    );
    expect(params).toEqual({ p0: 'KR', p1: 60, p2: ['a', 'b'], p3: 5 });
  });

  it('has the same text whatever the values are', () => {
    const ofTexts = (a: string, b: string, list: readonly string[]) =>
      statement`SELECT ${a} WHERE ${sql`x = ${b} OR y IN ${list}`}`;
    fc.assert(
      fc.property(
        fc.uniqueArray(hostile, { minLength: 2, maxLength: 2 }),
        fc.array(hostile),
        ([a = '', b = ''], list) => {
          const [text, params] = ofTexts(a, b, list);
          expect(text).toBe('SELECT {p0:String} WHERE x = {p1:String} OR y IN {p2:Array(String)}');
          expect(params).toEqual({ p0: a, p1: b, p2: list });
        },
      ),
    );
  });

  it('sends equal values once, and a number that is spelled like a text apart from it', () => {
    const piece = sql`a = ${'1'}`;
    expect(statement`${piece} OR ${piece} OR b = ${1}`).toEqual([
      'a = {p0:String} OR a = {p0:String} OR b = {p1:Int64}',
      { p0: '1', p1: 1 },
    ]);
  });

  it('takes no number that ClickHouse would read as another', () => {
    for (const value of [1.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])
      expect(() => sql`LIMIT ${value}`).toThrow(RangeError);
  });

  it('sends a list that is too long for one parameter in several, in order', () => {
    const list = Array.from({ length: 5_000 }, (_, i) => `'ad\\${i}`);
    const [text, params] = statement`ad_id IN ${list}`;
    const parts = Object.values(params) as string[][];
    expect(text).toMatch(/^ad_id IN arrayConcat\(\{p0:Array\(String\)\}(, \{p\d+:Array\(String\)\})+\)$/);
    expect(parts.flat()).toEqual(list);
    for (const part of parts) expect(encodeURIComponent(JSON.stringify(part)).length).toBeLessThan(131_072);
  });
});

describe('a piece', () => {
  it('cannot lose its values in a text', () => {
    expect(`${sql`SELECT ${noSql}1`}`).toBe('SELECT 1');
    expect(() => `${sql`a = ${1}`}`).toThrow('SQL with values in a text');
  });

  it('is joined with others', () => {
    expect(statement`(${joined([sql`a = ${1}`, sql`b = ${2}`], ' OR ')})`).toEqual([
      '(a = {p0:Int64} OR b = {p1:Int64})',
      { p0: 1, p1: 2 },
    ]);
    expect(`${joined([], ' AND ')}`).toBe('');
  });

  it('may be a name, and no other text, or a setting, which is a number', () => {
    expect(`${named('ad_minute')} ${named('s.clicks')}`).toBe('ad_minute s.clicks');
    for (const text of ['a b', "a'", 'a;', '', 'a.b.c', 'a()']) expect(() => named(text)).toThrow(RangeError);
    expect(`${settingsList({ max_threads: 1, max_execution_time: 0.5 })}`).toBe(
      'max_threads=1, max_execution_time=0.5',
    );
    expect(() => settingsList({ max_threads: Number.NaN })).toThrow(RangeError);
  });
});
