/**
 * Says in which slot of a hash table a key is searched first: its first word, as a fraction of 2^32, times the number of
 * slots (Lemire, "Fast random integer generation in an interval", 2019). So the number of slots may be any number. This
 * requires that the first words are hashes.
 */
export function firstSlot(word: number, slotsPerHash: number): number {
  return ((word >>> 0) * slotsPerHash) | 0;
}
