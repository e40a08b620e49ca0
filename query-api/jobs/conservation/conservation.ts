/**
 * Pure: whether the rows in ClickHouse add up to what the aggregator says it has counted, while both grow.
 *
 * Per partition: received = counted + duplicates + quarantined in its progress row, and each of the three again as rows:
 * the live clicks and duplicates of `ad_minute`, and the lines of `quarantine`. Rows and progress come from a running
 * sink, which inserts rows first and the progress that covers them afterwards. So:
 *
 * - Rows are never behind progress that was read before them: found >= counted(progress before).
 * - A row of version v is true of the log before v. If no row seen is newer than the progress read before, the rows show
 *   exactly that progress: found = counted(progress before). Otherwise they are ahead, but not of progress that has
 *   reached the newest version seen: found <= counted(progress after), once its position >= that version.
 * - Quarantined lines carry their offset, so lines before a position can be told from later ones: never more than
 *   progress says of that position. They come in a topic of their own, so they may be fewer for a while: they must be
 *   all there once the sink has passed what that topic held when progress was already further (quarantine-reference.ts).
 *
 * A difference outside of these bounds is none of timing. It counts once it has been read twice, as a cluster may answer
 * from a replica that lags.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { RowSums } from '../../store/jobs/conservation-rows.ts';

export type Outcome = 'received' | 'counted' | 'duplicates' | 'quarantined';

/** What was found of one outcome in one partition, and between what it must lie; undefined: not known yet. */
export interface Entry {
  readonly partition: number;
  readonly outcome: Outcome;
  readonly found: number;
  readonly atLeast: number | undefined;
  readonly atMost: number | undefined;
}

/** `before` was read before the rows and `after` after them, by partition. */
export function countEntries(
  rows: ReadonlyMap<number, RowSums>,
  before: ReadonlyMap<number, Progress>,
  after: ReadonlyMap<number, Progress>,
): Entry[] {
  return [...new Set([...before.keys(), ...rows.keys()])].flatMap(partition => {
    const { version, ...found } = rows.get(partition) ?? noRows;
    const [old, fresh] = [before.get(partition) ?? nothingCounted, after.get(partition) ?? nothingCounted];
    const limit = version <= old.position ? old : version <= fresh.position ? fresh : undefined;
    return (['counted', 'duplicates'] as const).map(outcome => {
      return { partition, outcome, found: found[outcome], atLeast: old[outcome], atMost: limit?.[outcome] };
    });
  });
}

/** Of the counters alone. */
export function receivedEntries(progress: Iterable<Progress>): Entry[] {
  return [...progress].map(({ partition, received, counted, duplicates, quarantined }) => {
    const found = counted + duplicates + quarantined;
    return { partition, outcome: 'received', found, atLeast: received, atMost: received };
  });
}

/** Lines found before the position at which `quarantined` were; `hasPassed`: those that are missing will not come. */
export function quarantineEntry(
  partition: number,
  found: number,
  { quarantined, hasPassed }: { readonly quarantined: number; readonly hasPassed: boolean },
): Entry {
  const isAll = hasPassed || found >= quarantined;
  const atLeast = isAll ? quarantined : undefined;
  return { partition, outcome: 'quarantined', found, atLeast, atMost: quarantined };
}

/** Found less expected: 0 holds, undefined cannot be told yet. */
export function differenceOf({ found, atLeast, atMost }: Entry): number | undefined {
  if (atLeast !== undefined && found < atLeast) return found - atLeast;
  if (atMost !== undefined && found > atMost) return found - atMost;
  return atLeast === undefined || atMost === undefined ? undefined : 0;
}

/** Holds to the line; other entries that hold leave room for what was on its way. */
export function isExact({ found, atLeast, atMost }: Entry): boolean {
  return found === atLeast && found === atMost;
}

/** Remembers differences until they are confirmed or refuted. */
export class Suspicions {
  readonly #signs = new Map<string, number>();

  /** The difference, once it has been found twice with the same sign, or 0; undefined: wait for another reading. */
  judge(entry: Entry): number | undefined {
    const key = keyOf(entry);
    const difference = differenceOf(entry);
    if (difference === undefined) return undefined;
    if (isExact(entry)) this.#signs.delete(key);
    const suspected = this.#signs.get(key);
    if (difference === 0) return suspected === undefined ? 0 : undefined;
    this.#signs.set(key, Math.sign(difference));
    return suspected === Math.sign(difference) ? difference : undefined;
  }
}

export function keyOf({ partition, outcome }: Pick<Entry, 'partition' | 'outcome'>): string {
  return `${partition} ${outcome}`;
}

export const noRows: RowSums = { counted: 0, duplicates: 0, version: 0 };

export function plus(a: RowSums, b: RowSums): RowSums {
  return {
    counted: a.counted + b.counted,
    duplicates: a.duplicates + b.duplicates,
    version: Math.max(a.version, b.version),
  };
}

/** By partition. */
export function sumOf(...stretches: readonly ReadonlyMap<number, RowSums>[]): Map<number, RowSums> {
  const sums = new Map<number, RowSums>();
  for (const stretch of stretches) {
    for (const [partition, row] of stretch) sums.set(partition, plus(sums.get(partition) ?? noRows, row));
  }
  return sums;
}

const nothingCounted = { position: 0, counted: 0, duplicates: 0 };
