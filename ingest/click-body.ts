/**
 * Checks one posted click, and returns the click or the rule that it breaks.
 *
 * The rules are written by hand instead of being left to a schema validator: a batch holds thousands of clicks, every
 * refusal must name field, value and rule, and some rules need the time of receipt. `ClickBody` (click-schema.ts)
 * documents the same rules for OpenAPI, but checks nothing.
 *
 * `ad_id`, `event_id` and `clicked_at` identify a click. If one of them breaks a rule, the click is refused. The other
 * fields only describe it: one that breaks a rule is left out and reported in the answer, and the click counts
 * (infra/decisions/033). What is kept depends only on what was posted, so copies of a click stay equal. Empty text and
 * null mean that a field is not given. Ingest sets `click_id` and `received_at`; a client cannot.
 */
import { isIP } from 'node:net';
import { brokenRule } from '../infra/broken-rule.ts';
import { adIdPattern, type Click, isDotSegment, isText, limits, parseTime } from './click.ts';
import { countryOf, unknownCountry } from './country.ts';
import { isPurpose, purposes } from './load-purpose.ts';
import { originOf, referrerRule } from './referrer.ts';
import { facts as allFacts, factsIn } from './validity/facts.ts';

export type RejectCode =
  | 'invalid_json'
  | 'too_large'
  | 'too_deep'
  | 'not_an_object'
  | 'missing_field'
  | 'invalid_field'
  | 'unknown_field'
  | 'forbidden_ad'
  | 'too_old'
  | 'too_far_ahead';

/** Fields that do not identify a click. */
export const optionalFields = ['country', 'user_id', 'ip', 'user_agent', 'referrer', 'purpose', 'facts'] as const;
export type OptionalField = (typeof optionalFields)[number];

export interface DroppedField {
  readonly field: OptionalField;
  /** What is wrong with the field. */
  readonly problem: string;
  /** What happened to the click. */
  readonly outcome: string;
}

export type Verdict =
  | { readonly ok: true; readonly click: Click; readonly dropped?: readonly DroppedField[] | undefined }
  | { readonly ok: false; readonly code: RejectCode; readonly message: string };

/** `receivedAt` is in epoch ms. `clickId` replaces a missing `event_id`. */
export function parseClick(input: unknown, receivedAt: number, clickId: string): Verdict {
  if (!isFields(input)) return reject('not_an_object', brokenRule('the click', input, 'must be a JSON object'));
  const adId = given(input.ad_id);
  if (adId === undefined) return missing('ad_id', 'must be');
  if (typeof adId !== 'string' || !adIdPattern.test(adId))
    return invalid('ad_id', adId, 'must be 1 to 128 of A-Z a-z 0-9 . _ : -');
  if (isDotSegment(adId)) return invalid('ad_id', adId, dotRule);

  const givenId = given(input.event_id);
  const eventId = givenId ?? clickId;
  if (!isText(eventId, limits.eventIdLength)) return invalid('event_id', eventId, textRule(limits.eventIdLength));
  if (isDotSegment(eventId)) return invalid('event_id', eventId, dotRule);

  const posted = given(input.clicked_at);
  let clickedAt: number | undefined = receivedAt;
  if (posted !== undefined) {
    clickedAt = parseTime(posted);
    if (clickedAt === undefined) return invalid('clicked_at', posted, timeRule);
    if (clickedAt < receivedAt - limits.maxAgeMs)
      return reject('too_old', brokenRule('clicked_at', posted, 'must be at most 7 days ago', secondsAdvice(posted)));
    if (clickedAt > receivedAt + limits.maxAheadMs) {
      const rule = `must be at most 5 minutes ahead of ${iso(receivedAt)}`;
      return reject('too_far_ahead', brokenRule('clicked_at', posted, rule, secondsAdvice(posted)));
    }
  } else if (givenId !== undefined) {
    return missing(
      'clicked_at',
      'must be given when event_id is given, because copies of one click have the same values of both',
    );
  }

  const dropped: DroppedField[] = [];
  const country = countryFrom(given(input.country), dropped);
  const userId = given(input.user_id);
  const ip = given(input.ip);
  const isUserText = userId === undefined || isText(userId, limits.userIdLength);
  // A person with such an id could ask for nothing: their address is /v1/users/{user_id}/export.
  const isUser = isUserText && !(userId !== undefined && isDotSegment(userId));
  if (!isUser) drop(dropped, 'user_id', userId, isUserText ? dotRule : textRule(limits.userIdLength));
  const isIp = ip === undefined || isAddress(ip);
  if (!isIp) drop(dropped, 'ip', ip, 'must be an IPv4 or IPv6 address alone');
  const more = moreOf(input, dropped);
  return {
    ok: true,
    click: {
      clickId,
      eventId,
      adId,
      clickedAt,
      receivedAt,
      country,
      userId: isUser ? userId : undefined,
      ip: isIp ? ip : undefined,
      ...more,
    },
    ...(dropped.length > 0 ? { dropped } : {}),
  };
}

/** Returns the names of fields that no click has, in the order in which they were posted. */
export function unknownFieldsOf(input: unknown): string[] {
  const unknown: string[] = [];
  // JSON.parse has made this object, so it inherits nothing. The loop creates no list when all fields are known, which
  // is nearly always.
  if (isFields(input)) for (const name in input) if (!knownFields.has(name)) unknown.push(name);
  return unknown;
}

export function reject(code: RejectCode, message: string): Verdict & { ok: false } {
  return { ok: false, code, message };
}

/** A zone (`fe80::1%eth0`) has a meaning on one machine only. */
export function isAddress(value: unknown): value is string {
  return typeof value === 'string' && value.length <= limits.ipLength && isIP(value) !== 0 && !value.includes('%');
}

/** The fields that say how the click was made. */
function moreOf(input: Posted, dropped: DroppedField[]): Pick<Click, 'userAgent' | 'referrer' | 'purpose' | 'facts'> {
  const userAgent = given(input.user_agent);
  const page = given(input.referrer);
  const purpose = given(input.purpose);
  const isAgent = userAgent === undefined || isText(userAgent, limits.userAgentLength);
  if (!isAgent) drop(dropped, 'user_agent', userAgent, textRule(limits.userAgentLength));
  const referrer = page === undefined ? undefined : originOf(page);
  if (page !== undefined && referrer === undefined) drop(dropped, 'referrer', page, referrerRule);
  const isKnown = purpose === undefined || isPurpose(purpose);
  if (!isKnown) drop(dropped, 'purpose', purpose, `must be ${purposes.join(' or ')}`);
  const facts = factsFrom(given(input.facts), dropped);
  return { userAgent: isAgent ? userAgent : undefined, referrer, purpose: isKnown ? purpose : undefined, facts };
}

/**
 * What was found out about a click when it was received first, by fields of which less may be kept. Of a click that no
 * rule applied to, nothing is taken: only the operator's list may say so of a click, and then its other facts mean nothing.
 */
function factsFrom(value: unknown, dropped: DroppedField[]): number | undefined {
  const letters = value === undefined || (typeof value === 'string' && factLetters.test(value)) ? value : undefined;
  if (letters !== value) drop(dropped, 'facts', value, factsRule);
  const bits = factsIn(letters ?? '');
  return bits === 0 || (bits & allFacts.allowed.bit) !== 0 ? undefined : bits;
}

const factLetters = new RegExp(`^[a-z]{1,${limits.factsLength}}$`);
const factsRule = `must be 1 to ${limits.factsLength} small letters, as a line or an export has them`;

/** Fields of an object whose values are not checked yet. */
interface Posted {
  readonly ad_id?: unknown;
  readonly event_id?: unknown;
  readonly clicked_at?: unknown;
  readonly country?: unknown;
  readonly user_id?: unknown;
  readonly ip?: unknown;
  readonly user_agent?: unknown;
  readonly referrer?: unknown;
  readonly purpose?: unknown;
  readonly facts?: unknown;
}

const knownFields: ReadonlySet<string> = new Set(['ad_id', 'event_id', 'clicked_at', ...optionalFields]);

function isFields(input: unknown): input is Posted {
  return typeof input === 'object' && input !== null && !Array.isArray(input);
}

/** Returns undefined when the field is empty. */
function given(value: unknown): unknown {
  return value === null || value === '' ? undefined : value;
}

function countryFrom(value: unknown, dropped: DroppedField[]): string {
  if (value === undefined) return unknownCountry;
  const country = typeof value === 'string' ? countryOf(value) : undefined;
  if (country === undefined)
    drop(dropped, 'country', value, 'must be a country code of ISO 3166-1 alpha-2, such as KR');
  return country ?? unknownCountry;
}

function drop(dropped: DroppedField[], field: OptionalField, value: unknown, rule: string): void {
  const outcome =
    field === 'country' ? `the click counts, as of ${unknownCountry} (unknown)` : 'the click counts without it';
  dropped.push({ field, problem: brokenRule(field, value, rule), outcome });
}

const timeRule = 'must be RFC 3339 with a zone (2026-01-01T12:00:00.123Z) or an integer of epoch ms';
const dotRule = 'must not be . or .., because no URL can contain them as a name';

function textRule(maxLength: number): string {
  return `must be text of 1 to ${maxLength} characters (Unicode code points) without control characters`;
}

function invalid(field: string, value: unknown, rule: string): Verdict {
  return reject('invalid_field', brokenRule(field, value, rule));
}

function missing(field: string, rule: string): Verdict {
  return reject('missing_field', brokenRule(field, undefined, rule));
}

/** Many programs use seconds. Then a time in 1970, or in the year 50,000, shows what was meant. */
function secondsAdvice(value: unknown): string | undefined {
  if (typeof value !== 'number') return undefined;
  if (value < 1e11) return 'it looks like seconds, but must be milliseconds';
  return value > 1e14 ? 'it looks like microseconds, but must be milliseconds' : undefined;
}

function iso(timeMs: number): string {
  return new Date(timeMs).toISOString();
}
