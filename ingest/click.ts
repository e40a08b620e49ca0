/**
 * CONTRACT: defines the click, as ingest writes it to topic `clicks` and as everything downstream reads it.
 *
 * One click is one line of JSON. The canonical line has its fields always in this order, so that readers can scan bytes
 * instead of parsing (`record-reader.ts`):
 *
 *     {"click_id":"01K…26","event_id":"…","ad_id":"…","clicked_at":1763800000123,"received_at":1763800000456,"country":"KR","user_id":"…","ip":"203.0.113.7","facts":"b","user_agent":"…","referrer":"https://…","purpose":"prefetch"}
 *
 * The fields behind the country are there only where a click has them.
 * `click_id` identifies the accepted line and is created by ingest. `ad_id` and `event_id` together identify the click.
 * `event_id` alone does not, because clients of two ads may use the same one. It is the client's idempotency key:
 * copies of one click share both and its `clicked_at`. Times are epoch ms, UTC.
 */
import { explained } from '../infra/broken-rule.ts';
import { factsText } from './validity/facts.ts';

export interface Click {
  readonly clickId: string;
  readonly eventId: string;
  readonly adId: string;
  readonly clickedAt: number;
  readonly receivedAt: number;
  /** As defined in `country.ts`. `ZZ` means unknown. */
  readonly country: string;
  readonly userId?: string | undefined;
  readonly ip?: string | undefined;
  /** What ingest has found out about the click: bits of `facts` (validity/facts.ts), of which there is at least one. */
  readonly facts?: number | undefined;
  readonly userAgent?: string | undefined;
  /** The origin of the page on which was clicked, `https://host` or with a port. Never more of its address. */
  readonly referrer?: string | undefined;
  /** What a program has loaded an address for when nobody has clicked: `prefetch` or `head`. In the log alone. */
  readonly purpose?: string | undefined;
}

/**
 * Lengths are in Unicode code points, of which an emoji may be one or several. In ids of ads and addresses, every code
 * point is one byte.
 */
export const limits = {
  adIdLength: 128,
  eventIdLength: 128,
  userIdLength: 128,
  ipLength: 45,
  /** There are fewer facts. A later release may write more. */
  factsLength: 32,
  userAgentLength: 512,
  referrerLength: 256,
  purposeLength: 32,
  /** A click may be posted this long after it happened. */
  maxAgeMs: 7 * 24 * 3_600_000,
  /** A client's clock may be this far ahead. A click beyond that is `future`: it is refused, or quarantined. */
  maxAheadMs: 5 * 60_000,
} as const;

export const adIdPattern = explained(/^[A-Za-z0-9._:-]{1,128}$/, '1 to 128 of A-Z a-z 0-9 . _ : -');
/** The form that a country has in rows. A posted country must also exist (`country.ts`). */
export const countryPattern = explained(/^[A-Z]{2}$/, 'two capital letters');

/**
 * A path segment that no client can request, because every client takes it for a step in the path, even when it is
 * written as `%2E`. Ingest accepts no such id, but a line of another producer may have one.
 */
export function isDotSegment(id: string): boolean {
  return id === '.' || id === '..';
}

/** Returns the canonical line, without a newline. */
export function formatLine(click: Click): string {
  let line = `{"click_id":${quoted(click.clickId)},"event_id":${quoted(click.eventId)},"ad_id":"${click.adId}"`;
  line += `,"clicked_at":${click.clickedAt},"received_at":${click.receivedAt},"country":"${click.country}"`;
  if (click.userId !== undefined) line += `,"user_id":${quoted(click.userId)}`;
  if (click.ip !== undefined) line += `,"ip":${quoted(click.ip)}`;
  if (click.facts) line += `,"facts":"${factsText(click.facts)}"`;
  if (click.userAgent !== undefined) line += `,"user_agent":${quoted(click.userAgent)}`;
  if (click.referrer !== undefined) line += `,"referrer":${quoted(click.referrer)}`;
  if (click.purpose !== undefined) line += `,"purpose":${quoted(click.purpose)}`;
  return `${line}}`;
}

/**
 * Returns the home partition of an ad, which holds all its clicks of minutes in which it is not split
 * (`hot-ads/rule.ts`): FNV-1a (32 bit) of the id's characters, modulo the number of partitions. `adId` matches
 * `adIdPattern`, so its characters are bytes.
 */
export function partitionOf(adId: string, partitions: number): number {
  return (fnv1a(adId) >>> 0) % partitions;
}

/**
 * Returns the partition of a click of an ad in a minute in which it is split: FNV-1a (32 bit) of the UTF-8 of its event
 * id, with the upper half folded into the lower (h ^ h >>> 16), modulo the number of partitions. It is folded because
 * the lowest bits of FNV-1a depend only on the lowest bits of the bytes, and others choose the event ids.
 */
export function splitPartitionOf(eventId: string, partitions: number): number {
  const hash = fnv1a(isAscii.test(eventId) ? eventId : Buffer.from(eventId).toString('latin1'));
  return ((hash ^ (hash >>> 16)) >>> 0) % partitions;
}

/** Hashes characters that are bytes. */
function fnv1a(bytes: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < bytes.length; i++) hash = Math.imul(hash ^ bytes.charCodeAt(i), 0x01000193);
  return hash;
}

const isAscii = /^[\x00-\x7f]*$/;

/** Returns true for a click that lies so far ahead of the broker's clock that it is quarantined instead of counted. */
export function isFuture(clickedAt: number, appendedAt: number): boolean {
  return clickedAt > appendedAt + limits.maxAheadMs;
}

/**
 * 1 to `maxLength` Unicode code points, as JSON Schema counts the length of a text. No control characters, and no half
 * of a surrogate pair (which has no UTF-8 form).
 */
export function isText(value: unknown, maxLength: number): value is string {
  return (
    typeof value === 'string' &&
    value.length >= 1 &&
    isNoLonger(value, maxLength) &&
    !/[\u0000-\u001f\u007f]/.test(value) &&
    value.isWellFormed()
  );
}

function isNoLonger(text: string, maxLength: number): boolean {
  if (text.length <= maxLength) return true;
  if (text.length > 2 * maxLength) return false;
  let codePoints = 0;
  for (const _ of text) codePoints++;
  return codePoints <= maxLength;
}

/**
 * Returns the epoch ms of an RFC 3339 date-time or of an integer number of ms, or undefined if it is neither or is
 * before 1970. A zone is required. A leap second (:60) is refused because Date has none, and so is 24:00, which Date
 * would accept.
 */
export function parseTime(value: unknown): number | undefined {
  if (typeof value === 'number') return Number.isSafeInteger(value) && value >= 0 ? value : undefined;
  if (typeof value !== 'string') return undefined;
  const match = /^(\d{4}-(\d\d)-(\d\d))[Tt ]((?:[01]\d|2[0-3]):\d\d:\d\d)(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)$/.exec(value);
  if (!match) return undefined;
  const [, date, month, day, clock, fraction = '', zone = 'Z'] = match;
  // Date turns 30 February into a day in March, so the day is first compared with its month.
  const daysInMonth = new Date(Date.UTC(Number(date?.slice(0, 4)), Number(month), 0)).getUTCDate();
  if (Number(day) < 1 || Number(day) > daysInMonth) return undefined;
  const at = Date.parse(`${date}T${clock}${fraction.slice(0, 4)}${zone.toUpperCase()}`);
  return Number.isNaN(at) || at < 0 ? undefined : at;
}

const plain = /^[\x20\x21\x23-\x5b\x5d-\x7e]*$/;

/** Returns the text as JSON, as it is in the canonical line. */
export function quoted(text: string): string {
  return plain.test(text) ? `"${text}"` : JSON.stringify(text);
}
