/**
 * Reads the contents of a live event in the order that keeps its states true: progress, counts, restatements
 * (finality.ts).
 */

import type { Progress } from '../../../aggregator/ad-minute.ts';
import { knownClicksOf } from '../../answers/shown-counts.ts';
import { isoOf } from '../../http/parameters.ts';
import { type Counts, noClicks, type Queries } from '../../store/ad-counts.ts';
import { finalityOf, stateAt } from '../../store/finality.ts';
import type { GroupQueries } from '../../store/group-counts.ts';
import { type PendingDeps, pendingOf, readPending } from '../../store/pending.ts';
import type { RestatementQueries, TimedRestatement } from '../../store/restatements.ts';
import type { Stated, StatedReading } from '../../store/sql/stated-rows.ts';
import { stepsOf } from '../../time/steps.ts';
import { minuteMs } from '../../time/time-range.ts';
import type { LiveEvent } from './live-event.ts';

export interface LiveReading
  extends Pick<LiveEvent, 'minutes' | 'current' | 'last' | 'pending_late' | 'pending_split'> {
  readonly progress: readonly Progress[];
  readonly restatements: readonly TimedRestatement[];
}

export interface ReadingDeps extends PendingDeps {
  readonly queries: Pick<Queries, 'popularAds' | 'progress'>;
  readonly groups: GroupQueries;
  readonly restatements: RestatementQueries;
  readonly stated: StatedReading;
}

/** `now` and `restatedSince` are in epoch ms. */
export async function readLive(deps: ReadingDeps, now: number, restatedSince: number): Promise<LiveReading> {
  const { queries, groups, restatements, stated } = deps;
  const current = Math.floor(now / minuteMs) * minuteMs;
  const range = { from: current - 4 * minuteMs, to: current + minuteMs, country: undefined };
  const [{ progress, pending }, recounts] = await Promise.all([readPending(deps), stated.recounts(range)]);
  const read = async (known: Stated) => {
    const topOf = (start: number) =>
      queries.popularAds(adsListed, { ...known, from: start, to: start + minuteMs, country: undefined });
    const [series, ofCurrent, ofLast, restatedSteps] = await Promise.all([
      groups.series([], minuteMs, { ...range, ...known }),
      topOf(current),
      topOf(current - minuteMs),
      groups.restatedSteps([], minuteMs, range),
    ]);
    return { rows: series, currentTop: ofCurrent, lastTop: ofLast, steps: restatedSteps };
  };
  const { rows, currentTop, lastTop, steps } = await stated.at(range, read, recounts);
  const changes = await restatements.since(restatedSince, changesListed);
  const finality = finalityOf(progress);
  const restated = new Set(steps.map(step => step.start));
  const pendingIn = pendingOf(pending, []);
  const rowAt = new Map(rows.map(row => [row.start, row]));
  const stateOf = (start: number) => stateAt(finality, start + minuteMs, restated.has(start));
  const top = (start: number, ads: typeof lastTop) => ({
    start: isoOf(start),
    state: stateOf(start),
    ...pendingIn({ from: start, to: start + minuteMs }),
    ads: ads.map((ad, i) => ({ rank: i + 1, ad_id: ad.ad_id, ...knownClicksOf(ad) })),
  });
  return {
    minutes: stepsOf(range, minuteMs).map(step => ({
      ...minuteOf(rowAt.get(step.from) ?? noClicks),
      start: isoOf(step.from),
      state: stateOf(step.from),
      ...pendingIn(step),
    })),
    pending_late: pending.late.clicks,
    pending_split: pending.split.clicks,
    current: top(current, currentTop),
    last: top(current - minuteMs, lastTop),
    progress,
    restatements: changes,
  };
}

function minuteOf(counts: Counts) {
  const { duplicates, late } = counts;
  return { ...knownClicksOf(counts), duplicates, late };
}

/** The length of a top list. */
const adsListed = 20;
const changesListed = 50;
