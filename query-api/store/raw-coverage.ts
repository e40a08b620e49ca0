/**
 * Finds how far raw clicks contain all clicks of final counts, whatever partitions the clicks are in.
 *
 * A row of progress makes a statement about a prefix of the log: behind `position`, no click of a minute that ends by
 * `final_until` is counted any more. That stays true for ever. So when raw has the log up to the positions in such rows
 * of all partitions, it has every click of the counts of these minutes. (Restated counts are counts of raw clicks.) If
 * it also has as many clicks as are counted, it has the same clicks. The number alone does not prove this for an ad
 * that is split over partitions (`raw-counts.ts`).
 *
 * Raw and counts are inserted separately, and under traffic raw is behind the newest progress half of the time. So
 * progress of some seconds ago is kept, which raw has passed by now.
 */

import type { Progress } from '../../aggregator/ad-minute.ts';
import type { SinkPosition } from '../log/counted-log.ts';
import { finalityOf } from './finality.ts';

export interface RawCoverage {
  /** Returns the same `progress` for other readers, and keeps some of what they read. */
  keeping<T extends readonly Progress[]>(progress: () => Promise<T>): () => Promise<T>;
  /**
   * Returns a time in epoch ms. Raw clicks that are read afterwards contain all clicks of the counts of minutes that
   * end by this time. Null when nothing is known, or Kafka does not answer.
   */
  until(): Promise<number | null>;
}

export interface RawCoverageDeps {
  readonly progress: () => Promise<readonly Progress[]>;
  readonly sinkPositions: () => Promise<readonly SinkPosition[]>;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
}

/** Progress of all partitions at one moment. */
interface Kept {
  readonly at: number;
  readonly finalUntil: number;
  /** By partition. */
  readonly positions: ReadonlyMap<number, number>;
}

export function createRawCoverage({
  progress,
  sinkPositions,
  clock = () => performance.now(),
}: RawCoverageDeps): RawCoverage {
  /** The newest first. */
  let kept: readonly Kept[] = [];
  const keptOf = (rows: readonly Progress[]): Kept | undefined => {
    const { finalUntil } = finalityOf(rows);
    if (finalUntil === null) return undefined;
    return { at: clock(), finalUntil, positions: new Map(rows.map(row => [row.partition, row.position])) };
  };
  const keep = (rows: readonly Progress[]) => {
    const newest = keptOf(rows);
    if (newest && newest.at - (kept[0]?.at ?? Number.NEGATIVE_INFINITY) >= keptEveryMs)
      kept = [newest, ...kept].slice(0, mostKept);
    return newest;
  };
  return {
    keeping: read => async () => {
      const rows = await read();
      keep(rows);
      return rows;
    },
    async until() {
      const newest = keep(await progress());
      const positions = await sinkPositions().catch(() => []);
      const raw = new Map(positions.flatMap(at => (at.topicName === 'clicks' ? [[at.partition, at.position]] : [])));
      const isPassed = (one: Kept) => [...one.positions].every(([partition, at]) => (raw.get(partition) ?? 0) >= at);
      const passed = [...(newest ? [newest] : []), ...kept].filter(isPassed).map(({ finalUntil }) => finalUntil);
      return passed.length === 0 ? null : Math.max(...passed);
    },
  };
}

/** Raw has more than half a minute to pass the oldest progress that is kept. */
const keptEveryMs = 5_000;
const mostKept = 8;
