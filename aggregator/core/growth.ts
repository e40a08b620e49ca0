/**
 * Returns the new capacity of a full table: twice as large while it is small, and a quarter larger from `largeFrom` on,
 * so that a large table is never half empty. Growing by a quarter copies more often, which costs a twentieth of a
 * click's time while windows are new. That is why small tables double.
 */
export function grownFrom(capacity: number, largeFrom: number): number {
  return capacity < largeFrom ? capacity * 2 : Math.ceil(capacity * 1.25);
}

/** Returns the same, or `expected` if that is more. A small table ignores it: a window may have only a few late clicks. */
export function grownTowards(expected: number, capacity: number, largeFrom: number): number {
  const more = grownFrom(capacity, largeFrom);
  return more > 8_192 ? Math.max(more, expected) : more;
}

/**
 * Whether a table is too large to be kept for the next window: it has many slots, and fewer than one in eight was used.
 * The tables of one extreme minute would otherwise stay forever.
 */
export function isFarTooLarge(capacity: number, used: number): boolean {
  return capacity > 8_192 && used * 8 < capacity;
}
