/**
 * Pure: computes how far the replicas of a shard are behind each other, in time.
 *
 * Positions are offsets of the log, and offsets of two partitions cannot be added up. So the furthest position of any
 * replica is kept for each look. A replica that has passed everything that the furthest one had ten seconds ago is ten
 * seconds behind.
 *
 * The position of a replica stays known while it is away. A replica that is read in its place must have as much.
 *
 * Only time in which the furthest position moves is counted. While no sink runs, no replica gets new rows, so none falls
 * further behind, and no answer can be newer than another. Otherwise two replicas that are each a moment ahead in one
 * partition would both be unreadable for that time.
 */

/** By partition of a topic (`topic[partition]`): the offset before which the replica has everything. */
export type Positions = ReadonlyMap<string, number>;

export interface CatchingUp {
  /** Takes the result of a look. `at` must not be lower than before. */
  look(at: number, found: ReadonlyMap<string, Positions>): void;
  /**
   * Returns how far the replica is behind the furthest one, in whole ms, at the last look. Returns infinity when it is
   * further behind than is kept, or nothing is known about it.
   */
  lagMs(replica: string): number;
}

/** The number of looks that are kept, a second apart. That is longer than any lag with which a replica is still read. */
const looksKept = 180;

export function createCatchingUp(): CatchingUp {
  let known: ReadonlyMap<string, Positions> = new Map();
  /** `movedMs` is the total time in which the furthest position had moved by then. */
  const looks: { readonly movedMs: number; readonly furthest: Positions }[] = [];
  let lastAt = 0;
  const hasPassed = (positions: Positions, furthest: Positions) =>
    [...furthest].every(([partition, offset]) => (positions.get(partition) ?? 0) >= offset);
  return {
    look(at, found) {
      known = found;
      const furthest = new Map(looks.at(-1)?.furthest);
      for (const positions of found.values()) {
        for (const [partition, offset] of positions)
          furthest.set(partition, Math.max(offset, furthest.get(partition) ?? 0));
      }
      const last = looks.at(-1);
      if (last === undefined || !hasPassed(last.furthest, furthest)) {
        looks.push({ movedMs: last === undefined ? 0 : last.movedMs + at - lastAt, furthest });
        if (looks.length > looksKept) looks.shift();
      }
      lastAt = at;
    },
    lagMs(replica) {
      const positions = known.get(replica);
      const last = looks.at(-1);
      if (positions === undefined || last === undefined) return Number.POSITIVE_INFINITY;
      const passed = looks.findLast(({ furthest }) => hasPassed(positions, furthest));
      return passed === undefined ? Number.POSITIVE_INFINITY : Math.round(last.movedMs - passed.movedMs);
    },
  };
}
