/**
 * Decides about one click that a page has sent: the click that it is, or why it is none. The rules are those of posted
 * clicks, and three more.
 *
 * - It must have an event id. Without one, a page that is loaded again or a beacon that is sent again would be another
 *   click.
 * - The ad must begin with the prefix of the key.
 * - Only ad, event id and time are taken. Anybody can send with a public key, so it can say nothing about who clicked.
 */
import { brokenRule, shown } from '../../infra/broken-rule.ts';
import type { Click } from '../click.ts';
import { parseClick, type RejectCode } from '../click-body.ts';

export type BrowserVerdict =
  | { readonly ok: true; readonly click: Click }
  | { readonly ok: false; readonly reason: RejectCode; readonly detail: string; readonly given: GivenClick };

export interface GivenClick {
  readonly adId: unknown;
  readonly eventId: unknown;
}

export interface TimedClick extends GivenClick {
  /** Epoch ms, or what was given instead of a time. */
  readonly clickedAt: unknown;
}

export interface Sending {
  /** Epoch ms. */
  readonly receivedAt: number;
  readonly adIdPrefix: string;
  readonly mint: (nowMs: number) => string;
}

export function browserClick(given: TimedClick, { receivedAt, adIdPrefix, mint }: Sending): BrowserVerdict {
  const { adId, eventId, clickedAt } = given;
  const refused = (reason: RejectCode, detail: string) => refusedClick(given, reason, detail);
  if (eventId === undefined || eventId === null || eventId === '')
    return refused('missing_field', 'there is no event id, but must be: by it copies of one click are known');
  const verdict = parseClick({ ad_id: adId, event_id: eventId, clicked_at: clickedAt }, receivedAt, mint(receivedAt));
  if (!verdict.ok) return refused(verdict.code, verdict.message);
  const { click } = verdict;
  if (click.adId.startsWith(adIdPrefix)) return { ok: true, click };
  const rule = `must begin with ${shown(adIdPrefix)}, as the API key is for those ads alone`;
  return refused('forbidden_ad', brokenRule('ad_id', adId, rule));
}

export function refusedClick(given: GivenClick, reason: RejectCode, detail: string): BrowserVerdict {
  return { ok: false, reason, detail, given };
}
