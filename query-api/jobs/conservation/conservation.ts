/**
 * Decides whether the rows in ClickHouse add up to what the aggregator has counted, while both grow. Pure.
 *
 * In the progress row of each partition, received = counted + duplicates + quarantined, and of those counted some are
 * invalid. Each of the four must also be found as rows: the live clicks, duplicates and invalid clicks of `ad_minute`,
 * and the lines of `quarantine`. A running sink inserts
 * rows first, and then the progress that covers them. So:
 *
 * - Rows are never behind progress that was read before them: found >= counted(progress before).
 * - A row of version v states what the log before offset v contains. If no row is newer than the progress that was read
 *   before, the rows show exactly that progress: found = counted(progress before). Otherwise the rows are ahead of it,
 *   but never ahead of progress whose position has reached the newest version: found <= counted(progress after).
 * - Quarantined lines have their offset, so the lines before a position can be counted apart from later lines. There
 *   are never more of them than progress says for that position. They come through a topic of their own, so some may be
 *   missing for a while. All of them must be there once the sink has passed the end that this topic had when progress
 *   was already further (quarantine-reference.ts).
 *
 * A difference outside these bounds is not a matter of timing. It counts once it was found twice, because a cluster may
 * answer from a replica that lags.
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import type { RowSums } from '../../store/jobs/conservation-rows.ts';

export type Outcome = 'received' | 'counted' | 'duplicates' | 'quarantined' | 'invalid';

/**
 * The lines of one outcome that were found in one partition, and the bounds for their number. A bound that is undefined
 * is not known yet.
 */
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
    return (['counted', 'duplicates', 'invalid'] as const).map(outcome => {
      return { partition, outcome, found: found[outcome], atLeast: old[outcome], atMost: limit?.[outcome] };
    });
  });
}

/** Compares the counters of each partition with each other. */
export function receivedEntries(progress: Iterable<Progress>): Entry[] {
  return [...progress].map(({ partition, received, counted, duplicates, quarantined }) => {
    const found = counted + duplicates + quarantined;
    return { partition, outcome: 'received', found, atLeast: received, atMost: received };
  });
}

/**
 * Compares the lines found before a position with the number that progress says for that position (`quarantined`). With
 * `hasPassed`, lines that are missing will not come any more.
 */
export function quarantineEntry(
  partition: number,
  found: number,
  { quarantined, hasPassed }: { readonly quarantined: number; readonly hasPassed: boolean },
): Entry {
  const isAll = hasPassed || found >= quarantined;
  const atLeast = isAll ? quarantined : undefined;
  return { partition, outcome: 'quarantined', found, atLeast, atMost: quarantined };
}

/** Returns found minus expected. 0 means that they agree. Undefined means that this is not known yet. */
export function differenceOf({ found, atLeast, atMost }: Entry): number | undefined {
  if (atLeast !== undefined && found < atLeast) return found - atLeast;
  if (atMost !== undefined && found > atMost) return found - atMost;
  return atLeast === undefined || atMost === undefined ? undefined : 0;
}

/** Returns whether the entry agrees exactly. Other entries agree within bounds that allow for lines on their way. */
export function isExact({ found, atLeast, atMost }: Entry): boolean {
  return found === atLeast && found === atMost;
}

/** Remembers differences until another reading confirms or refutes them. */
export class Suspicions {
  readonly #signs = new Map<string, number>();

  /**
   * Returns a difference once it was found twice with the same sign, or 0. Undefined means that another reading is
   * needed.
   */
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

export const noRows: RowSums = { counted: 0, duplicates: 0, invalid: 0, version: 0 };

function plus(a: RowSums, b: RowSums): RowSums {
  return {
    counted: a.counted + b.counted,
    duplicates: a.duplicates + b.duplicates,
    invalid: a.invalid + b.invalid,
    version: Math.max(a.version, b.version),
  };
}

/** Adds up stretches of rows, by partition. */
export function sumOf(...stretches: readonly ReadonlyMap<number, RowSums>[]): Map<number, RowSums> {
  const sums = new Map<number, RowSums>();
  for (const stretch of stretches) {
    for (const [partition, row] of stretch) sums.set(partition, plus(sums.get(partition) ?? noRows, row));
  }
  return sums;
}

const nothingCounted = { position: 0, counted: 0, duplicates: 0, invalid: 0 };
