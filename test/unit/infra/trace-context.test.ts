import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mintTraceId, traceContextOf } from '../../../infra/trace-context.ts';

const traceId = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = '00f067aa0ba902b7';
const valid = `00-${traceId}-${parent}-01`;

describe('traceparent', () => {
  it('goes on unchanged, whatever its flags', () => {
    expect(traceContextOf({ traceparent: valid })).toEqual({ traceId, traceparent: valid });
    expect(traceContextOf({ traceparent: `00-${traceId}-${parent}-03` })?.traceparent).toMatch(/-03$/);
  });

  it.each([
    ['none', undefined],
    ['two headers, which Node joins', `${valid}, ${valid}`],
    ['upper case', valid.toUpperCase()],
    ['a trace of zeroes', `00-${'0'.repeat(32)}-${parent}-01`],
    ['a parent of zeroes', `00-${traceId}-${'0'.repeat(16)}-01`],
    ['a digit too few', valid.slice(0, -1)],
    ['a digit too many', `${valid}0`],
    ['version 00 with more behind it', `${valid}-more`],
    ['version ff', `ff-${traceId}-${parent}-01`],
    ['a later version that goes on without a hyphen', `01-${traceId}-${parent}-01more`],
    ['spaces', ` ${valid}`],
    ['a line break', `${valid}\n`],
    ['something else', 'x'.repeat(55)],
  ])('counts as absent if it is not exact: %s', (_, traceparent) => {
    expect(traceContextOf(traceparent === undefined ? {} : { traceparent })).toBeUndefined();
  });

  it.each([
    [`01-${traceId}-${parent}-01`, valid],
    [`cc-${traceId}-${parent}-ff-what-ever`, valid],
    [`01-${traceId}-${parent}-fe`, `00-${traceId}-${parent}-00`],
  ])('of a later version goes on as ours: %s', (given, told) => {
    expect(traceContextOf({ traceparent: given })?.traceparent).toBe(told);
  });

  it('never lets anything through that is not one, nor takes long over it', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('0', '1', 'a', 'f', 'F', '-', ' ', 'g'), maxLength: 80 }), text => {
        const told = traceContextOf({ traceparent: text })?.traceparent;
        if (told !== undefined) expect(told).toMatch(/^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/);
      }),
    );
  });
});

describe('tracestate', () => {
  const stateOf = (tracestate: string | string[]) =>
    traceContextOf({ traceparent: valid, tracestate: tracestate as string })?.tracestate;

  it.each([
    ['rojo=00f067aa0ba902b7,congo=t61rcWkgMzE', 'rojo=00f067aa0ba902b7,congo=t61rcWkgMzE'],
    [' rojo=1 ,\t congo=2,', 'rojo=1,congo=2'],
    ['tenant@vendor=a b', 'tenant@vendor=a b'],
    ['0tenant@vendor=1', '0tenant@vendor=1'],
  ])('goes along: %s', (given, told) => expect(stateOf(given)).toBe(told));

  it('of several headers is one list', () => expect(stateOf(['a=1', 'b=2'])).toBe('a=1,b=2'));

  it.each([
    ['no value', 'rojo'],
    ['an empty value', 'rojo='],
    ['a key in upper case', 'Rojo=1'],
    ['a key that begins with a digit', '0rojo=1'],
    ['an equals sign in the value', 'rojo=1=2'],
    ['beyond ASCII', 'rojo=é'],
    ['a control character', 'rojo=\u0007'],
    ['a key twice', 'rojo=1,rojo=2'],
    ['33 members', Array.from({ length: 33 }, (_, i) => `k${i}=1`).join(',')],
    ['513 characters', `a=${'x'.repeat(200)},b=${'x'.repeat(200)},c=${'x'.repeat(105)}`],
    ['nothing', ' , '],
  ])('is left out if it is not valid, and the traceparent is not: %s', (_, tracestate) => {
    expect(traceContextOf({ traceparent: valid, tracestate })).toEqual({ traceId, traceparent: valid });
  });

  it('is nothing without a traceparent', () => expect(traceContextOf({ tracestate: 'rojo=1' })).toBeUndefined());
});

it('mints ids that are valid and all different', () => {
  const ids = Array.from({ length: 2_000 }, mintTraceId);
  expect(new Set(ids).size).toBe(ids.length);
  for (const id of ids) expect(traceContextOf({ traceparent: `00-${id}-${parent}-00` })?.traceId).toBe(id);
});
