/**
 * Work that gives way: a generator does a few milliseconds of it, and yields where others may have their turn. Whoever
 * calls it decides whether they get one.
 */
import { setImmediate } from 'node:timers/promises';

export type Slices<T> = Generator<void, T>;

/** Resolves to the result. Between two slices everybody else has had a turn. */
export async function givingWay<T>(slices: Slices<T>, othersTurn: () => Promise<unknown> = setImmediate): Promise<T> {
  for (;;) {
    const slice = slices.next();
    if (slice.done) return slice.value;
    await othersTurn();
  }
}

/** For whoever has nothing else to do. */
export function atOnce<T>(slices: Slices<T>): T {
  for (;;) {
    const slice = slices.next();
    if (slice.done) return slice.value;
  }
}

export function* mapped<T, U>(items: readonly T[], made: (item: T) => U): Slices<U[]> {
  const result: U[] = [];
  for (const item of items) {
    result.push(made(item));
    if (result.length % sliceLength === 0) yield;
  }
  return result;
}

/** Sorts as `toSorted` does, and as stably. */
export function* sorted<T>(items: readonly T[], compare: (a: T, b: T) => number): Slices<T[]> {
  let runs: T[][] = [];
  for (let i = 0; i < items.length; i += sliceLength) {
    runs.push(items.slice(i, i + sliceLength).sort(compare));
    yield;
  }
  while (runs.length > 1) {
    const longer: T[][] = [];
    for (let i = 0; i < runs.length; i += 2) longer.push(yield* merged(runs[i] ?? [], runs[i + 1] ?? [], compare));
    runs = longer;
  }
  return runs[0] ?? [];
}

function* merged<T>(left: readonly T[], right: readonly T[], compare: (a: T, b: T) => number): Slices<T[]> {
  const result: T[] = [];
  for (let [l, r] = [0, 0]; l < left.length || r < right.length; ) {
    const isLeft = r === right.length || (l < left.length && compare(left[l] as T, right[r] as T) <= 0);
    result.push((isLeft ? left[l++] : right[r++]) as T);
    if (result.length % sliceLength === 0) yield;
  }
  return result;
}

const sliceLength = 1_000;
