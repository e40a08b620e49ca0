/**
 * What an answer may say at any moment, from nothing but what the clients have sent and were told: the bench's own books.
 *
 * Above: nobody can be told of a click that was not posted yet. Below: an answer bears the watermark it stands on, and a
 * partition's watermark is W only once a record appended at W + out-of-orderness or later has been counted, with all that
 * lies before it. So every click that was acknowledged before that moment is in the answer, whichever node it comes from,
 * also while its minute is provisional. An answer that takes its progress from one node and its counts from another, or
 * that lacks a shard, falls below that.
 *
 * Left out below are clicks that may have come too late for their minute: they are counted by a restatement some time.
 */
import type { Ledger, LedgerClick } from '../ledger.ts';
import { isMeantWell } from '../load.ts';

export interface Truth extends Ledger {
  /** Distinct clicks of an ad in [from, to) that were posted until now. */
  posted(ad: string, from: number, to: number): number;
  /** Of those, the ones in time for their minutes that clients were told to be accepted before `at`. */
  acked(ad: string, from: number, to: number, at: number): number;
  /** That have clicks in [from, to). */
  ads(from: number, to: number): readonly string[];
}

export interface Lateness {
  readonly outOfOrdernessMs: number;
  readonly allowedLatenessMs: number;
}

const minuteMs = 60_000;

interface Cell {
  readonly posted: Set<string>;
  readonly acked: Set<string>;
  /** When each of the clicks in time was accepted, epoch ms, ascending. */
  readonly times: number[];
}

export function keepTruth(ledger: Ledger, lateness: Lateness, now: () => number = Date.now): Truth {
  const minutes = new Map<number, Map<string, Cell>>();
  const posts = new Map<number, readonly LedgerClick[]>();
  const graceMs = lateness.allowedLatenessMs + lateness.outOfOrdernessMs;

  const cellOf = ({ ad_id, clicked_at }: LedgerClick): Cell => {
    const minute = clicked_at - (clicked_at % minuteMs);
    const ads = minutes.get(minute) ?? new Map<string, Cell>();
    minutes.set(minute, ads);
    const cell = ads.get(ad_id) ?? { posted: new Set(), acked: new Set(), times: [] };
    ads.set(ad_id, cell);
    return cell;
  };
  const cellsOf = (ad: string, from: number, to: number): Cell[] => {
    const cells: Cell[] = [];
    for (let minute = from; minute < to; minute += minuteMs) {
      const cell = minutes.get(minute)?.get(ad);
      if (cell !== undefined) cells.push(cell);
    }
    return cells;
  };

  return {
    planned(clicks) {
      const post = ledger.planned(clicks);
      posts.set(post, clicks);
      // Ingest has to refuse the rest: who is told of a count of it is told too much.
      for (const click of clicks.filter(isMeantWell)) cellOf(click).posted.add(click.event_id);
      return post;
    },
    answered(post, accepted, rejected) {
      ledger.answered(post, accepted, rejected);
      const clicks = posts.get(post) ?? [];
      posts.delete(post);
      if (!accepted) return;
      const at = now();
      for (const [index, click] of clicks.entries()) {
        if (rejected.includes(index)) continue;
        const cell = cellOf(click);
        if (cell.acked.has(click.event_id)) continue;
        cell.acked.add(click.event_id);
        const end = click.clicked_at - (click.clicked_at % minuteMs) + minuteMs;
        if (at < end + graceMs) cell.times.push(at);
      }
    },
    posted: (ad, from, to) => cellsOf(ad, from, to).reduce((sum, { posted }) => sum + posted.size, 0),
    acked: (ad, from, to, at) => cellsOf(ad, from, to).reduce((sum, { times }) => sum + countBefore(times, at), 0),
    ads(from, to) {
      const ads = new Set<string>();
      for (let minute = from; minute < to; minute += minuteMs)
        for (const ad of minutes.get(minute)?.keys() ?? []) ads.add(ad);
      return [...ads];
    },
    [Symbol.dispose]: () => ledger[Symbol.dispose](),
  };
}

/** Of ascending times. */
function countBefore(times: readonly number[], at: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle]! < at) low = middle + 1;
    else high = middle;
  }
  return low;
}
