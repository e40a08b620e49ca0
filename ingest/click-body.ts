/**
 * What clients post, and the verdict on it. The rules are written by hand rather than left to a schema validator: a
 * batch holds thousands of clicks, every refusal must name field, value and rule, and some rules need the time of
 * receipt. `ClickBody` documents the same rules for OpenAPI; it does not check anything.
 *
 * Unknown fields are ignored. `click_id` and `received_at` are ours: a client cannot set them.
 */
import { isIP } from 'node:net';
import { type Static, type TSchema, Type } from 'typebox';
import { adIdPattern, type Click, countryPattern, isText, limits, parseTime, unknownCountry } from './click.ts';

export type RejectCode =
  | 'invalid_json'
  | 'too_large'
  | 'too_deep'
  | 'not_an_object'
  | 'missing_field'
  | 'invalid_field'
  | 'too_old'
  | 'too_far_ahead';

export type Verdict =
  | { readonly ok: true; readonly click: Click }
  | { readonly ok: false; readonly code: RejectCode; readonly message: string };

/** `receivedAt` in epoch ms; `clickId` stands in for an `event_id` that is not given. `null` counts as not given. */
export function parseClick(input: unknown, receivedAt: number, clickId: string): Verdict {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    return reject('not_an_object', `click ${shown(input)}: must be a JSON object`);
  }
  const { ad_id: adId, event_id, clicked_at, country, user_id: userId, ip }: Posted = input;
  if (adId === undefined || adId === null) return reject('missing_field', 'ad_id: must be given');
  if (typeof adId !== 'string' || !adIdPattern.test(adId))
    return invalid('ad_id', adId, '1 to 128 of A-Z a-z 0-9 . _ : -');
  const eventId = event_id ?? clickId;
  if (!isText(eventId, limits.eventIdLength)) return invalid('event_id', eventId, textRule(limits.eventIdLength));

  let clickedAt: number | undefined = receivedAt;
  if (clicked_at !== undefined && clicked_at !== null) {
    clickedAt = parseTime(clicked_at);
    if (clickedAt === undefined) return invalid('clicked_at', clicked_at, timeRule);
    if (clickedAt < receivedAt - limits.maxAgeMs)
      return reject('too_old', `clicked_at ${shown(clicked_at)}: must be at most 7 days ago`);
    if (clickedAt > receivedAt + limits.maxAheadMs) {
      return reject(
        'too_far_ahead',
        `clicked_at ${shown(clicked_at)}: must be at most 5 minutes ahead of ${iso(receivedAt)}`,
      );
    }
  } else if (event_id !== undefined && event_id !== null) {
    return reject('missing_field', 'clicked_at: must be given where event_id is, as copies of one click share both');
  }

  const countryCode = countryOf(country);
  if (countryCode === undefined) return invalid('country', country, 'two letters (ISO 3166-1 alpha-2)');
  if (userId !== undefined && userId !== null && !isText(userId, limits.userIdLength)) {
    return invalid('user_id', userId, textRule(limits.userIdLength));
  }
  if (ip !== undefined && ip !== null && !isAddress(ip)) return invalid('ip', ip, 'an IPv4 or IPv6 address');
  return {
    ok: true,
    click: {
      clickId,
      eventId,
      adId,
      clickedAt,
      receivedAt,
      country: countryCode,
      userId: userId ?? undefined,
      ip: ip ?? undefined,
    },
  };
}

export function reject(code: RejectCode, message: string): Verdict & { ok: false } {
  return { ok: false, code, message };
}

/** A field that may be left out, or be null, which means the same. */
function maybe<T extends TSchema[]>(types: [...T], description: string) {
  return Type.Optional(Type.Union([...types, Type.Null()], { description }));
}

export const ClickBody = Type.Object(
  {
    ad_id: Type.String({ pattern: adIdPattern.source, description: 'the ad that was clicked' }),
    clicked_at: maybe(
      [Type.String({ format: 'date-time' }), Type.Integer({ minimum: 0 })],
      'RFC 3339 or epoch ms, 7 days back to 5 minutes ahead; may be left out only where event_id is: then the time of receipt',
    ),
    event_id: maybe(
      [Type.String({ minLength: 1, maxLength: limits.eventIdLength })],
      'with ad_id the identity of the click: one posted again with the same ad_id, event_id and clicked_at counts once',
    ),
    country: maybe([Type.String({ pattern: '^[A-Za-z]{2}$' })], 'ISO 3166-1 alpha-2; ZZ, the default: unknown'),
    user_id: maybe([Type.String({ minLength: 1, maxLength: limits.userIdLength })], 'whoever clicked'),
    ip: maybe([Type.String({ maxLength: limits.ipLength })], 'IPv4 or IPv6 address of whoever clicked'),
  },
  {
    description: 'a click',
    examples: [{ ad_id: 'ad-42', event_id: 'b3c1', clicked_at: '2026-01-01T12:00:00.123Z', country: 'KR' }],
  },
);
export type ClickBody = Static<typeof ClickBody>;

/** Fields of an object of which nothing is known yet. */
interface Posted {
  readonly ad_id?: unknown;
  readonly event_id?: unknown;
  readonly clicked_at?: unknown;
  readonly country?: unknown;
  readonly user_id?: unknown;
  readonly ip?: unknown;
}

const timeRule = 'RFC 3339 with a zone (2026-01-01T12:00:00.123Z) or an integer of epoch ms';

function textRule(maxLength: number): string {
  return `text of 1 to ${maxLength} characters without control characters`;
}

function invalid(field: string, value: unknown, rule: string): Verdict {
  return reject('invalid_field', `${field} ${shown(value)}: must be ${rule}`);
}

/** The value as JSON, shortened: a refusal must not send back what may be megabytes. */
function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  if (Array.isArray(value)) return '[…]';
  if (typeof value === 'object' && value !== null) return '{…}';
  return String(value);
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}

function countryOf(value: unknown): string | undefined {
  if (value === undefined || value === null) return unknownCountry;
  if (typeof value !== 'string') return undefined;
  if (countryPattern.test(value)) return value;
  return /^[A-Za-z]{2}$/.test(value) ? value.toUpperCase() : undefined;
}

/** A zone (`fe80::1%eth0`) means something on one machine only. */
export function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= limits.ipLength && isIP(value) !== 0 && !value.includes('%');
}
