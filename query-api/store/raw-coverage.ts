/**
 * How far raw clicks hold all that final counts are of, whatever partitions the clicks lie in.
 *
 * A row of progress says of a prefix of the log: no click of a minute that ends by `final_until` is counted any more
 * behind `position`. That stays true for ever. So where raw has the log up to the positions of such rows, of all
 * partitions, it has every click that the counts of those minutes are of (those that were restated are of raw clicks).
 * Where it also has as many, it has the same ones, which is more than the number alone tells of an ad that is split
 * (`raw-counts.ts`).
 *
 * Raw and counts are inserted apart, and under traffic raw is behind the newest progress half of the time: so what was
 * told some seconds ago is kept, which raw has passed by now.
 */

import type { Progress } from '../../aggregator/ad-minute.ts';
import type { SinkPosition } from '../log/counted-log.ts';
import { finalityOf } from './finality.ts';

export interface RawCoverage {
  /** `progress` for others, of which some of what they read is kept. */
  telling<T extends readonly Progress[]>(progress: () => Promise<T>): () => Promise<T>;
  /**
   * Raw clicks that are read afterwards hold all that the counts of minutes are of that end by then; epoch ms. Null:
   * nothing is known, or Kafka does not answer.
   */
  until(): Promise<number | null>;
}

export interface RawCoverageDeps {
  readonly progress: () => Promise<readonly Progress[]>;
  /** How far the sinks are. */
  readonly sinkPositions: () => Promise<readonly SinkPosition[]>;
  readonly now: () => number;
}

interface Told {
  readonly at: number;
  readonly finalUntil: number;
  /** By partition. */
  readonly positions: ReadonlyMap<number, number>;
}

export function createRawCoverage({ progress, sinkPositions, now }: RawCoverageDeps): RawCoverage {
  /** The newest first. */
  let kept: readonly Told[] = [];
  const toldBy = (rows: readonly Progress[]): Told | undefined => {
    const { finalUntil } = finalityOf(rows);
    if (finalUntil === null) return undefined;
    return { at: now(), finalUntil, positions: new Map(rows.map(row => [row.partition, row.position])) };
  };
  const keep = (rows: readonly Progress[]) => {
    const newest = toldBy(rows);
    if (newest && newest.at - (kept[0]?.at ?? Number.NEGATIVE_INFINITY) >= keptEveryMs)
      kept = [newest, ...kept].slice(0, mostKept);
    return newest;
  };
  return {
    telling: read => async () => {
      const rows = await read();
      keep(rows);
      return rows;
    },
    async until() {
      const newest = keep(await progress());
      const positions = await sinkPositions().catch(() => []);
      const raw = new Map(positions.flatMap(at => (at.topicName === 'clicks' ? [[at.partition, at.position]] : [])));
      const isPassed = (told: Told) => [...told.positions].every(([partition, at]) => (raw.get(partition) ?? 0) >= at);
      const passed = [...(newest ? [newest] : []), ...kept].filter(isPassed).map(({ finalUntil }) => finalUntil);
      return passed.length === 0 ? null : Math.max(...passed);
    },
  };
}

/** So raw has half a minute and more to pass what is kept longest. */
const keptEveryMs = 5_000;
const mostKept = 8;
