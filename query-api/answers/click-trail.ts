/**
 * Pure: finds out what became of each copy of a click, from the raw clicks and quarantined lines with one event id.
 * Several ads may use the same event id. Then each ad has its own click, and the copies are grouped by ad.
 *
 * An aggregator counts the first copy that it reads of an ad's event id in a minute, and the others are duplicates. Raw
 * clicks do not say in which order they were read, so this file uses the order of receipt. The two orders can only differ
 * in which of several copies of the same click is called the counted one.
 */

import type { QuarantinedLine, RawClick, Restating } from '../store/click-copies.ts';
import { minuteMs } from '../time/time-range.ts';

export type Outcome = 'counted' | 'duplicate' | 'quarantined' | 'restated';

export interface Copy {
  readonly click_id: string;
  readonly ad_id: string;
  readonly country: string;
  /** All times are in epoch ms. Null: not known. */
  readonly received_at: number | null;
  readonly clicked_at: number;
  readonly minute: number;
  readonly partition: number | null;
  readonly outcome: Outcome;
  /** Why it was quarantined, even if a restatement has counted it since. */
  readonly reason: string | null;
  /** The job that has counted it since. Of a duplicate that came too late: that has judged the click with it. */
  readonly job: string | null;
  /** Letters of what was found out about it (ingest/validity/facts.ts). Null: not known. */
  readonly facts: string | null;
}

export function trailOf(
  raw: readonly RawClick[],
  quarantined: readonly QuarantinedLine[],
  restated: readonly Restating[],
  partitionOf: (click: RawClick) => number | null,
): Copy[] {
  const setAside = new Map(quarantined.map(line => [lineOf(line), line]));
  const inRaw = new Set(raw.map(lineOf));
  // Copies that the aggregator counted come before copies from quarantine, because a recount only confirms them.
  const ordered = [...raw].sort((a, b) => Number(setAside.has(lineOf(a))) - Number(setAside.has(lineOf(b))));
  const counted = new Set<string>();
  const copies = ordered.map((click): Copy => {
    const minute = click.clicked_at - (click.clicked_at % minuteMs);
    const line = setAside.get(lineOf(click));
    const place = {
      ...click,
      minute,
      partition: line?.partition ?? partitionOf(click),
      reason: line?.reason ?? null,
    };
    // The identity of a click: its ad and its id, in its minute.
    const key = `${minute} ${click.ad_id}`;
    const ofAd = restated.filter(row => row.minute === minute && row.ad_id === click.ad_id);
    // A recount may have judged the click anew by a copy that it does not count.
    if (counted.has(key)) return { ...place, outcome: 'duplicate', job: line ? jobThatRead(line, ofAd) : null };
    const added = ofAd.filter(row => row.country === click.country && row.after > row.before);
    const job = line ? jobThatRead(line, added) : null;
    if (line && job === null) return { ...place, outcome: 'quarantined', job };
    counted.add(key);
    return { ...place, outcome: line ? 'restated' : 'counted', job };
  });
  const aside = quarantined.filter(line => !inRaw.has(lineOf(line))).map(asideCopy);
  return [...Map.groupBy([...copies, ...aside], copy => copy.ad_id).values()].flat();
}

/** The ad is included because other producers choose `click_id` themselves, and may use one id for two ads. */
function lineOf({ ad_id, click_id }: RawClick | QuarantinedLine): string {
  return `${ad_id} ${click_id}`;
}

/** Returns the first of these restatements that had read the line. */
function jobThatRead(line: QuarantinedLine, restated: readonly Restating[]): string | null {
  const after = restated.filter(row => hasRead(row, line)).sort((a, b) => a.at - b.at);
  return after[0]?.job ?? null;
}

/** A line may have come between what a recount has read and the moment from which its counts hold. */
function hasRead({ read_until, at }: Restating, { partition, offset, appended_at }: QuarantinedLine): boolean {
  if (Object.keys(read_until).length === 0) return at >= appended_at;
  return (read_until[partition] ?? 0) > offset;
}

/** Makes a copy of a line that is not in raw, such as one with the reason `future`. */
function asideCopy({ click_id, ad_id, clicked_at, partition, reason }: QuarantinedLine): Copy {
  return {
    click_id,
    ad_id,
    country: '',
    received_at: null,
    clicked_at,
    minute: clicked_at - (clicked_at % minuteMs),
    partition,
    outcome: 'quarantined',
    reason,
    job: null,
    facts: null,
  };
}
