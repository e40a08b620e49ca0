import { describe, expect, it } from 'vitest';
import { createCatchingUp } from '../../../../query-api/replicas/catching-up.ts';

const at = (clicks: number, aggregates = 0) =>
  new Map([
    ['clicks[0]', clicks],
    ['aggregates[0]', aggregates],
  ]);

function watched(...looks: readonly (readonly [at: number, found: Record<string, ReadonlyMap<string, number>>])[]) {
  const catching = createCatchingUp();
  for (const [time, found] of looks) catching.look(time, new Map(Object.entries(found)));
  return catching;
}

describe('how far a replica is behind', () => {
  it('is 0 when it has everything that any replica has', () => {
    const catching = watched([0, { a: at(5, 1), b: at(5, 1) }]);
    expect([catching.lagMs('a'), catching.lagMs('b')]).toEqual([0, 0]);
  });

  it('is the time since the furthest replica was where this one is', () => {
    const catching = watched(
      [0, { a: at(10), b: at(4) }],
      [1_000, { a: at(20), b: at(10) }],
      [2_000, { a: at(30), b: at(19) }],
    );
    expect(catching.lagMs('b')).toBe(2_000);
  });

  it('is told in whole ms, by a clock that has fractions', () => {
    const catching = watched([0.25, { a: at(10), b: at(10) }], [1_000.75, { a: at(20), b: at(10) }]);
    expect(catching.lagMs('b')).toBe(1_001);
  });

  it('goes by each partition of each topic, not by their sum', () => {
    const catching = watched([0, { a: at(10, 10), b: at(10, 10) }], [1_000, { a: at(11, 11), b: at(90, 10) }]);
    expect(catching.lagMs('b')).toBe(1_000);
  });

  it('is unknown for a replica that was behind at the first look, until it has passed that position', () => {
    expect(watched([0, { a: at(10), b: at(4) }], [5_000, { a: at(10), b: at(9) }]).lagMs('b')).toBe(
      Number.POSITIVE_INFINITY,
    );
    expect(watched([0, { a: at(10), b: at(4) }], [5_000, { a: at(12), b: at(10) }]).lagMs('b')).toBe(5_000);
  });

  it('does not grow while no replica gets rows, even if each has rows that the other lacks', () => {
    const catching = createCatchingUp();
    const look = (time: number, a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>) =>
      catching.look(time, new Map(Object.entries({ a, b })));
    look(0, at(10, 10), at(10, 10));
    look(1_000, at(11, 10), at(10, 11));
    for (let time = 2_000; time <= 600_000; time += 1_000) look(time, at(11, 10), at(10, 11));
    expect([catching.lagMs('a'), catching.lagMs('b')]).toEqual([1_000, 1_000]);
    // One replica gets rows before the other.
    look(601_000, at(30, 30), at(10, 11));
    expect([catching.lagMs('a'), catching.lagMs('b')]).toEqual([0, 2_000]);
  });

  it('includes the last known position of a replica that does not answer', () => {
    const catching = watched([0, { a: at(10, 10), b: at(4, 4) }], [1_000, { b: at(4, 4) }], [2_000, { b: at(12, 4) }]);
    expect(catching.lagMs('a')).toBe(Number.POSITIVE_INFINITY);
    expect(catching.lagMs('b')).toBe(Number.POSITIVE_INFINITY);
  });

  it('is unknown before anything is known', () => {
    expect(createCatchingUp().lagMs('a')).toBe(Number.POSITIVE_INFINITY);
  });
});
