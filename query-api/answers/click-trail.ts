/**
 * Pure: what became of each copy of a click, from what raw and quarantine hold of an event id. Several ads may have the
 * same one: each of them has a click of its own, and its copies stand together.
 *
 * The stream counts the first copy that it reads of an ad's id in a minute, and takes the others for duplicates. Raw does not
 * tell the order of reading; the copies' order of receipt stands for it, which differs at most in which of several
 * copies of the same click is called the counted one.
 */

import type { QuarantinedLine, RawClick, Restating } from '../store/click-copies.ts';
import { minuteMs } from '../time/time-range.ts';

export type Outcome = 'counted' | 'duplicate' | 'quarantined' | 'restated';

export interface Copy {
  readonly click_id: string;
  readonly ad_id: string;
  readonly country: string;
  /** Epoch ms, as are the others; null: not known. */
  readonly received_at: number | null;
  readonly clicked_at: number;
  readonly minute: number;
  readonly partition: number | null;
  readonly outcome: Outcome;
  /** Why it was quarantined, also where a restatement has counted it since. */
  readonly reason: string | null;
  /** The job that counted it. */
  readonly job: string | null;
}

export function trailOf(
  raw: readonly RawClick[],
  quarantined: readonly QuarantinedLine[],
  restated: readonly Restating[],
  partitionOf: (click: RawClick) => number | null,
): Copy[] {
  const setAside = new Map(quarantined.map(line => [lineOf(line), line]));
  const inRaw = new Set(raw.map(lineOf));
  // Those the stream took come first: what it counted, a recount only confirms.
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
    if (counted.has(key)) return { ...place, outcome: 'duplicate', job: null };
    const job = line ? jobThatCounted(click, minute, line, restated) : null;
    if (line && job === null) return { ...place, outcome: 'quarantined', job };
    counted.add(key);
    return { ...place, outcome: line ? 'restated' : 'counted', job };
  });
  const aside = quarantined.filter(line => !inRaw.has(lineOf(line))).map(asideCopy);
  return [...Map.groupBy([...copies, ...aside], copy => copy.ad_id).values()].flat();
}

/** Other producers choose their `click_id` themselves, and those of two ads may choose the same. */
function lineOf({ ad_id, click_id }: RawClick | QuarantinedLine): string {
  return `${ad_id} ${click_id}`;
}

/** The first restatement of its count after the line was set aside that added clicks. */
function jobThatCounted(
  { ad_id, country }: RawClick,
  minute: number,
  { appended_at }: QuarantinedLine,
  restated: readonly Restating[],
): string | null {
  const after = restated
    .filter(row => row.minute === minute && row.ad_id === ad_id && row.country === country)
    .filter(row => row.at >= appended_at && row.after > row.before)
    .sort((a, b) => a.at - b.at);
  return after[0]?.job ?? null;
}

/** `future`, say: such a line is not in raw. */
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
  };
}
