/**
 * Decides about one request for a click link: the click that it is, or why it is none.
 *
 * Everything of the click comes out of the signed text. Above all its time: `clicked_at` is when the link was *made*, not
 * when it was loaded. A click is its ad and its event id in the minute of `clicked_at`, so only a time that is the same
 * for each load makes all loads of a link one click, in whatever process and however much later (decision 038). For the
 * same reason a link is valid for at most as long as a click may be old.
 *
 * The destination is given only with a click: whoever has no right link learns no address, and is sent to none.
 */
import { brokenRule } from '../../infra/broken-rule.ts';
import { adIdPattern, isDotSegment, isText, limits } from '../click.ts';
import { destinationRule, isDestination, maxDestinationLength } from './destination.ts';
import type { LinkKeys } from './link-keys.ts';
import { isSignatureOf, type LinkText } from './link-text.ts';

export const linkRefusals = [
  'malformed',
  'unknown_key',
  'key_not_in_force',
  'wrong_signature',
  'wrong_ad',
  'lives_too_long',
  'made_in_the_future',
  'expired',
  'wrong_destination',
] as const;
export type LinkRefusal = (typeof linkRefusals)[number];

export type LinkVerdict =
  | {
      readonly ok: true;
      readonly adId: string;
      readonly eventId: string;
      /** Epoch ms. */
      readonly clickedAt: number;
      readonly destination: string;
      readonly keyId: string;
      /** The only region in which the link counts. Undefined: it counts in all. */
      readonly region: string | undefined;
    }
  | { readonly ok: false; readonly reason: LinkRefusal; readonly detail: string };

/** The query as it was parsed: a parameter that is given several times is a list. */
export type LinkQuery = Readonly<Partial<Record<string, unknown>>>;

export function checkLink({ keys, destinations }: LinkKeys, adId: string, query: LinkQuery, now: number): LinkVerdict {
  const { link, signature, problem } = readLink(adId, query);
  if (link === undefined) return refused('malformed', problem);
  const key = keys.get(link.keyId);
  if (key === undefined) return refused('unknown_key', brokenRule('k', link.keyId, 'there is no such key'));
  if (now < key.notBefore || now >= key.notAfter)
    return refused('key_not_in_force', `key ${key.id} is not in force at this time`);
  if (!isSignatureOf(key.secret, link, signature))
    return refused('wrong_signature', 's is not the signature of this link: a part of it was altered, or cut off');
  if (!adId.startsWith(key.adIdPrefix))
    return refused(
      'wrong_ad',
      brokenRule('the ad', adId, `must begin with ${key.adIdPrefix}, as key ${key.id} is for those`),
    );

  const [clickedAt, expiresAt] = [Number(link.madeAt) * 1_000, Number(link.expiresAt) * 1_000];
  if (expiresAt <= clickedAt || expiresAt > clickedAt + limits.maxAgeMs)
    return refused('lives_too_long', brokenRule('x', link.expiresAt, 'must be after t, and at most 7 days after it'));
  if (clickedAt > now + limits.maxAheadMs)
    return refused('made_in_the_future', brokenRule('t', link.madeAt, 'must be at most 5 minutes ahead'));
  if (now >= expiresAt) return refused('expired', brokenRule('x', link.expiresAt, 'must be in the future'));

  const allowed = destinations.get(adId);
  const destination = link.destination === '' ? allowed?.[0] : link.destination;
  if (destination === undefined)
    return refused('wrong_destination', `d is not given, and the key file has no destination of ad ${adId}`);
  if (allowed !== undefined && !allowed.includes(destination))
    return refused('wrong_destination', brokenRule('d', destination, 'must be one that the key file has for the ad'));
  return { ok: true, adId, eventId: link.eventId, clickedAt, destination, keyId: key.id, region: key.region };
}

type Read =
  | { readonly link: LinkText; readonly signature: string; readonly problem?: undefined }
  | { readonly link?: undefined; readonly signature?: undefined; readonly problem: string };

/** Further parameters are ignored, because mail programs and networks add their own to every link. */
function readLink(adId: string, { e, t, x, d = '', k, s }: LinkQuery): Read {
  const wrong = (field: string, value: unknown, rule: string): Read => ({ problem: brokenRule(field, value, rule) });
  if (!adIdPattern.test(adId) || isDotSegment(adId))
    return wrong('the ad', adId, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -');
  if (!isText(e, limits.eventIdLength) || isDotSegment(e)) return wrong('e', e, 'must be an event id');
  if (!isSeconds(t)) return wrong('t', t, 'must be epoch seconds');
  if (!isSeconds(x)) return wrong('x', x, 'must be epoch seconds');
  if (typeof d !== 'string' || d.length > maxDestinationLength || (d !== '' && !isDestination(d)))
    return wrong('d', d, destinationRule);
  if (!isText(k, 40)) return wrong('k', k, 'must be the id of a key');
  if (typeof s !== 'string') return wrong('s', s, 'must be a signature');
  return {
    link: { adId, eventId: e, madeAt: t, expiresAt: x, keyId: k, destination: d },
    signature: s,
  };
}

function isSeconds(value: unknown): value is string {
  return typeof value === 'string' && /^[1-9]\d{0,10}$/.test(value);
}

function refused(reason: LinkRefusal, detail: string): LinkVerdict {
  return { ok: false, reason, detail };
}
