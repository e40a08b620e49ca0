/**
 * Reads the clicks of a beacon: one object of JSON in each line, or as application/json one object or an array of them.
 *
 *     {"ad_id":"ad-42","event_id":"0b6f…","clicked_at":1763800000123}
 *
 * The time is that of the visitor's clock if this is within a minute of ours, and the time of arrival otherwise
 * (decision 043). It has to come from the browser, because all copies of a click must have the same, and a copy may
 * arrive in another minute. But many clocks are wrong, and a click must not be lost for that. A minute is about as much
 * as is still counted at once.
 */
import { isUtf8 } from 'node:buffer';
import { Problem } from '../../infra/http.ts';
import { parseTime } from '../click.ts';
import { type BrowserVerdict, browserClick, refusedClick, type Sending } from './browser-click.ts';

export const maxBeaconBytes = 16 << 10;
export const maxBeaconClicks = 20;
/** A clock that differs by more is not believed. */
const maxClockDifferenceMs = 60_000;

/** @throws Problem 400, 413 */
export function beaconClicks(body: Buffer, isJson: boolean, sending: Sending): BrowserVerdict[] {
  const found = isJson ? elementsOf(parsed(textOf(body))) : linesOf(textOf(body));
  if (found.length === 0)
    throw new Problem(400, 'no_valid_click', 'the body must be UTF-8 with one click of JSON in each line');
  if (found.length > maxBeaconClicks)
    throw new Problem(413, 'too_many_clicks', `the body must contain at most ${maxBeaconClicks} clicks`);
  return found.map(json => verdictOn(json, sending));
}

function verdictOn(json: unknown, sending: Sending): BrowserVerdict {
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    return refusedClick({ adId: undefined, eventId: undefined }, 'not_an_object', 'the click must be a JSON object');
  const { ad_id: adId, event_id: eventId, clicked_at: given } = json as Readonly<Record<string, unknown>>;
  return browserClick({ adId, eventId, clickedAt: believed(given, sending.receivedAt) }, sending);
}

function believed(given: unknown, receivedAt: number): unknown {
  if (given === undefined || given === null || given === '') return receivedAt;
  const time = parseTime(given);
  // What is no time at all is refused, as everywhere.
  if (time === undefined) return given;
  return Math.abs(time - receivedAt) <= maxClockDifferenceMs ? time : receivedAt;
}

/** Returns nothing of a body that is not UTF-8. */
function textOf(body: Buffer): string {
  return isUtf8(body) ? body.toString() : '';
}

function linesOf(text: string): unknown[] {
  const lines = text.split('\n').filter(line => line.trim() !== '');
  // One too many is enough to refuse them all.
  return lines.slice(0, maxBeaconClicks + 1).map(parsed);
}

function elementsOf(json: unknown): unknown[] {
  return Array.isArray(json) ? json : [json];
}

/** Returns undefined if it is not JSON. */
function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
