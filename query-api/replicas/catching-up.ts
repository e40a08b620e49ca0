/**
 * Pure: how far replicas of a shard are behind each other, in time. Positions are offsets of the log, and offsets of two
 * partitions cannot be added up; so what is kept is where the furthest of the replicas was, look by look. Who has passed
 * all of what the furthest had ten seconds ago is ten seconds behind.
 *
 * What a replica has come to holds on while it is away: one that is read in its place must have as much.
 *
 * Time counts in which the furthest moves. While nothing comes into any of them, as no sink runs, nobody falls further
 * behind, and no number is told that another could take back: two of which each has a moment's more of one partition would
 * else be unread, both, as long as that lasts.
 */

/** By partition of a topic (`topic[partition]`), the offset before which all is there. */
export type Positions = ReadonlyMap<string, number>;

export interface CatchingUp {
  /** What a look has found. `at` never falls. */
  look(at: number, found: ReadonlyMap<string, Positions>): void;
  /** ms behind the furthest, as of the last look; infinite: more than is kept, or nothing is known of it. */
  lagMs(replica: string): number;
}

/** Of looks a second apart that found the furthest further on: more than any lag that is still put up with. */
const looksKept = 180;

export function createCatchingUp(): CatchingUp {
  let known: ReadonlyMap<string, Positions> = new Map();
  /** `movedMs`: for how long the furthest had moved by then. */
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
      return passed === undefined ? Number.POSITIVE_INFINITY : last.movedMs - passed.movedMs;
    },
  };
}
