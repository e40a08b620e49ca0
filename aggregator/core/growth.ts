/**
 * How large a full table becomes: twice as large while it is small, and from `largeFrom` on a quarter larger, so that
 * half of a large one never lies empty. A quarter at a time copies more often, a twentieth of a click's cost while
 * windows are new: small tables had better double.
 */
export function grownFrom(capacity: number, largeFrom: number): number {
  return capacity < largeFrom ? capacity * 2 : Math.ceil(capacity * 1.25);
}
