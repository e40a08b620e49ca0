/** Reads what an event tells, in the order that keeps its states true: progress, counts, restatements (finality.ts). */
import { finalityOf, stateAt } from '../finality.ts';
import type { GroupQueries, SeriesRow } from '../group-queries.ts';
import { isoOf } from '../parameters.ts';
import type { Progress, Queries } from '../queries.ts';
import type { RestatementQueries, TimedRestatement } from '../restatement-queries.ts';
import { pointsOf } from '../series-points.ts';
import { minuteMs } from '../time-range.ts';
import type { LiveEvent } from './live-event.ts';

export interface LiveReading extends Pick<LiveEvent, 'minutes' | 'current' | 'last'> {
  readonly progress: readonly Progress[];
  readonly restatements: readonly TimedRestatement[];
}

export interface ReadingDeps {
  readonly queries: Queries;
  readonly groups: GroupQueries;
  readonly restatements: RestatementQueries;
}

/** `restatedSince`, `now`: epoch ms. */
export async function readLive(
  { queries, groups, restatements }: ReadingDeps,
  now: number,
  restatedSince: number,
): Promise<LiveReading> {
  const current = Math.floor(now / minuteMs) * minuteMs;
  const range = { from: current - 4 * minuteMs, to: current + minuteMs, country: undefined };
  const topOf = (start: number) =>
    queries.popularAds(adsListed, { from: start, to: start + minuteMs, country: undefined });
  const progress = await queries.progress();
  const [rows, currentTop, lastTop] = await Promise.all([
    groups.series([], minuteMs, range),
    topOf(current),
    topOf(current - minuteMs),
  ]);
  const [steps, told] = await Promise.all([
    groups.restatedSteps([], minuteMs, range),
    restatements.since(restatedSince, changesListed),
  ]);
  const finality = finalityOf(progress);
  const restated = new Set(steps.map(step => step.start));
  const stateOf = (start: number) => stateAt(finality, start + minuteMs, restated.has(start));
  const top = (start: number, ads: typeof lastTop) => ({
    start: isoOf(start),
    state: stateOf(start),
    ads: ads.map((ad, i) => ({ rank: i + 1, ...ad })),
  });
  return {
    minutes: pointsOf<number, SeriesRow>(rows, range, minuteMs, 0, ({ from }) => stateOf(from)),
    current: top(current, currentTop),
    last: top(current - minuteMs, lastTop),
    progress,
    restatements: told,
  };
}

/** Of one minute. */
const adsListed = 20;
const changesListed = 50;
