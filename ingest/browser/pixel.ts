/**
 * Reads the click of a pixel out of its address: `/p/{ad_id}.gif?k=<key>&e=<event id>&t=<time, epoch s>`.
 *
 * The time is `t` if the address has it, because then every load of it is the same click, as with click links (decision
 * 038). Nothing is signed here, so `t` must be of the last minutes: otherwise anybody who sees a page could write into
 * minutes that were billed long ago. A load with an older one is refused. It is mostly a copy of a load that was counted
 * when the page was new, and with the time of its arrival it would be another click. Without `t` the time is that of the
 * load.
 */
import { brokenRule } from '../../infra/broken-rule.ts';
import { limits } from '../click.ts';
import { type BrowserVerdict, browserClick, refusedClick, type Sending } from './browser-click.ts';

/** The smallest picture there is: one pixel, transparent. */
export const pixelGif = Buffer.from('R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');

const maxPixelAgeMs = 10 * 60_000;

/** The query as it was parsed: a parameter that is given several times is a list. */
export type PixelQuery = Readonly<Partial<Record<'e' | 't', unknown>>>;

export function pixelClick(adId: string, { e: eventId, t }: PixelQuery, sending: Sending): BrowserVerdict {
  const { receivedAt } = sending;
  const given = { adId, eventId };
  if (t === undefined) return browserClick({ ...given, clickedAt: receivedAt }, sending);
  if (typeof t !== 'string' || !/^[1-9]\d{0,10}$/.test(t))
    return refusedClick(given, 'invalid_field', brokenRule('t', t, 'must be epoch seconds'));
  const clickedAt = Number(t) * 1_000;
  if (clickedAt < receivedAt - maxPixelAgeMs)
    return refusedClick(given, 'too_old', brokenRule('t', t, 'must be at most 10 minutes ago'));
  if (clickedAt > receivedAt + limits.maxAheadMs)
    return refusedClick(given, 'too_far_ahead', brokenRule('t', t, 'must be at most 5 minutes ahead'));
  return browserClick({ ...given, clickedAt }, sending);
}
