/**
 * Finds the event ids that accepted clicks were given because they had none. Only whoever has posted them can look such a
 * click up, and only by this id. The first ones are told, because an answer must not be many times as long as what was
 * posted: who posts many clicks and wants to find each gives them ids.
 */
import type { ClickLines } from './click-lines.ts';

export interface MadeEventId {
  /** As in `Rejected`. */
  readonly index: number;
  readonly eventId: string;
}

export const maxEventIdsTold = 100;

/** `rejectedAt` has the indexes of all rejected clicks, in order. The lines are those of all others. */
export function madeEventIdsOf(lines: ClickLines, rejectedAt: readonly number[]): MadeEventId[] {
  const made: MadeEventId[] = [];
  let before = 0;
  for (let i = 0; i < lines.count && made.length < maxEventIdsTold; i++) {
    while (rejectedAt[before] === i + before) before++;
    const eventId = lines.madeIdOf(i);
    if (eventId !== undefined) made.push({ index: i + before, eventId });
  }
  return made;
}
