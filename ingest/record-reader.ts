/**
 * CONTRACT: reads the lines of a record of topic `clicks`. Aggregator, sink and replay all use it, so they agree on
 * what a click is. The value of a record is NDJSON: zero or more lines, where the last newline is optional.
 *
 * Canonical lines (`click.ts`) are scanned as bytes, without creating objects or strings. Any other line goes through
 * `JSON.parse`, because other producers may order fields as they like and leave out all but `ad_id` and `clicked_at`.
 * The fast path accepts only lines for which both ways agree, and leaves everything else to the slow one.
 */
import { adIdPattern, type Click, countryPattern, isText, limits, parseTime } from './click.ts';
import { unknownCountry } from './country.ts';
import { problemWithoutAd } from './refused-link-line.ts';

/** Reads the lines of one record after another. After `next()` its fields describe the current line. */
export class RecordReader {
  /** False when the line is not a click. Then `problem` says why, and the fields of the click have no meaning. */
  ok = false;
  problem = '';
  /** Bytes that contain the record's value. The line is `value[lineStart, lineEnd)`, without its newline. */
  value: Uint8Array = empty;
  lineStart = 0;
  lineEnd = 0;
  /** The number of the line among the record's lines that are not blank, from 0. */
  lineIndex = -1;
  /** The bytes in which `event_id` and `ad_id` are. They are not always in `value`. */
  bytes: Uint8Array = empty;
  /** The same bytes, for reading several at a time. */
  view: DataView = emptyView;
  eventIdStart = 0;
  eventIdEnd = 0;
  adIdStart = 0;
  adIdEnd = 0;
  clickedAt = 0;
  /** Two letters as `first << 8 | second`. */
  country = 0;
  /** The result of `JSON.parse` for a line that was not canonical, or undefined for a canonical line. */
  parsed: Click | undefined = undefined;

  readonly #partition: number;
  /** A view of `value`. */
  #valueView: DataView = emptyView;
  /** Where the record's value ends in `value`. */
  #end = 0;
  #offset = 0;
  #appendedAt = 0;

  constructor(partition: number) {
    this.#partition = partition;
  }

  /** The value is `bytes[start, end)`. `offset` and `appendedAt` (epoch ms) replace missing ids and times. */
  open(offset: number, appendedAt: number, bytes: Uint8Array | null, start = 0, end = bytes?.length ?? 0): void {
    this.#offset = offset;
    this.#appendedAt = appendedAt;
    const value = bytes ?? empty;
    if (value !== this.value) {
      this.value = value;
      this.#valueView = viewOf(value);
    }
    this.#end = end;
    this.lineStart = start;
    this.lineEnd = start - 1;
    this.lineIndex = -1;
  }

  /** Moves to the next line that is not blank. Returns false at the end of the record. */
  next(): boolean {
    const { value } = this;
    for (;;) {
      const start = this.lineEnd + 1;
      if (start >= this.#end) return false;
      this.lineStart = start;
      if (this.#scan(start)) {
        this.lineIndex++;
        this.parsed = undefined;
        this.ok = true;
        return true;
      }
      const length = value.subarray(start, this.#end).indexOf(newline);
      this.lineEnd = length === -1 ? this.#end : start + length;
      if (isBlank(value, start, this.lineEnd)) continue;
      this.lineIndex++;
      this.parsed = undefined;
      this.ok = this.#parse(value.subarray(start, this.lineEnd));
      return true;
    }
  }

  /**
   * The fast path. Returns true if a canonical line starts here. The line ends at a newline or at the end of the
   * record.
   */
  #scan(start: number): boolean {
    const b = this.value;
    const view = this.#valueView;
    const end = this.#end;
    let i = start;
    if (!matches(view, i, end, clickIdKey)) return false;
    i += clickIdKey.length;
    const clickIdEnd = plainEnd(view, b, i, Math.min(end, i + clickIdLength));
    if (clickIdEnd !== i + clickIdLength || !matches(view, clickIdEnd, end, eventIdKey)) return false;

    i = clickIdEnd + eventIdKey.length;
    this.eventIdStart = i;
    i = plainEnd(view, b, i, end);
    this.eventIdEnd = i;
    if (i === this.eventIdStart || i - this.eventIdStart > limits.eventIdLength) return false;

    if (!matches(view, i, end, adIdKey)) return false;
    i += adIdKey.length;
    this.adIdStart = i;
    while (i < end && kinds[b[i]!]! === adChar) i++;
    this.adIdEnd = i;
    if (i === this.adIdStart || i - this.adIdStart > limits.adIdLength) return false;

    if (!matches(view, i, end, clickedAtKey)) return false;
    i = this.#digits(b, i + clickedAtKey.length, end);
    if (i < 0) return false;
    this.clickedAt = this.#number;

    if (!matches(view, i, end, receivedAtKey)) return false;
    i = this.#digits(b, i + receivedAtKey.length, end);
    if (i < 0 || !matches(view, i, end, countryKey)) return false;
    i += countryKey.length;
    if (i + 2 >= end || !isUpper(b[i]!) || !isUpper(b[i + 1]!)) return false;
    this.country = (b[i]! << 8) | b[i + 1]!;
    i += 2;

    if (matches(view, i, end, userIdKey)) i = plainText(view, b, i + userIdKey.length, end, limits.userIdLength);
    if (i >= 0 && matches(view, i, end, ipKey)) i = plainText(view, b, i + ipKey.length, end, limits.ipLength);
    if (i < 0 || i + 2 > end || b[i] !== quote || b[i + 1] !== closingBrace) return false;
    i += 2;
    if (i < end && b[i] !== newline) return false;
    this.lineEnd = i;
    this.bytes = b;
    this.view = view;
    return true;
  }

  #number = 0;

  /**
   * Reads 1 to 15 digits (so that the number is exact) without a leading zero into `#number`. Returns -1 if there are
   * none.
   */
  #digits(b: Uint8Array, start: number, end: number): number {
    const view = this.#valueView;
    let i = start;
    let n = 0;
    for (; i + 4 <= end; i += 4) {
      const four = fourDigits(view.getInt32(i, true));
      if (four === -1) break;
      n = n * 10_000 + four;
    }
    while (i < end) {
      const digit = b[i]! - 48;
      if (digit < 0 || digit > 9) break;
      n = n * 10 + digit;
      i++;
    }
    this.#number = n;
    const length = i - start;
    return length === 0 || length > 15 || (b[start] === 48 && length > 1) ? -1 : i;
  }

  /** The slow path, for a JSON object of any form with the fields of a click. */
  #parse(line: Uint8Array): boolean {
    const click = this.#clickOf(line);
    if (typeof click === 'string') {
      this.problem = click;
      return false;
    }
    this.parsed = click;
    const eventId = encoder.encode(click.eventId);
    this.bytes = new Uint8Array(eventId.length + click.adId.length);
    this.view = viewOf(this.bytes);
    this.bytes.set(eventId);
    encoder.encodeInto(click.adId, this.bytes.subarray(eventId.length));
    this.eventIdStart = 0;
    this.eventIdEnd = eventId.length;
    this.adIdStart = eventId.length;
    this.adIdEnd = this.bytes.length;
    this.clickedAt = click.clickedAt;
    this.country = (click.country.charCodeAt(0) << 8) | click.country.charCodeAt(1);
    return true;
  }

  #clickOf(line: Uint8Array): Click | string {
    let json: unknown;
    try {
      json = JSON.parse(decoder.decode(line));
    } catch {
      return 'not a line of UTF-8 JSON';
    }
    if (typeof json !== 'object' || json === null || Array.isArray(json)) return 'not a JSON object';
    const fields = json as Record<string, unknown>;
    const given = (name: string) => fields[name] ?? undefined;
    const adId = given('ad_id');
    const clickedAt = parseTime(given('clicked_at'));
    const receivedAt = given('received_at') === undefined ? this.#appendedAt : parseTime(given('received_at'));
    const clickId = given('click_id') ?? given('event_id') ?? this.#positionId();
    const eventId = given('event_id') ?? clickId;
    const country = given('country') ?? unknownCountry;
    const userId = given('user_id');
    const ip = given('ip');
    if (typeof adId !== 'string' || !adIdPattern.test(adId)) return problemWithoutAd(fields);
    if (clickedAt === undefined) return 'clicked_at: must be RFC 3339 or epoch ms';
    if (receivedAt === undefined) return 'received_at: must be RFC 3339 or epoch ms';
    if (!isText(clickId, limits.eventIdLength)) return 'click_id: must be text of 1 to 128 characters';
    if (!isText(eventId, limits.eventIdLength)) return 'event_id: must be text of 1 to 128 characters';
    if (typeof country !== 'string' || !countryPattern.test(country)) return 'country: must be two capital letters';
    if (userId !== undefined && !isText(userId, limits.userIdLength))
      return 'user_id: must be text of 1 to 128 characters';
    if (ip !== undefined && !isText(ip, limits.ipLength)) return 'ip: must be text of 1 to 45 characters';
    return { clickId, eventId, adId, clickedAt, receivedAt, country, userId, ip };
  }

  /** The identity of a line without one: its place in the log, which no other line shares. */
  #positionId(): string {
    return `log-${this.#partition}-${this.#offset}-${this.lineIndex}`;
  }
}

const empty = new Uint8Array(0);
const emptyView: DataView = new DataView(empty.buffer);
const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

const ascii = (text: string) => encoder.encode(text);

/**
 * 8 to 16 bytes that are searched at a place, as the first eight and the last eight, which may overlap. Eight bytes are
 * compared as one double: text as a double is never NaN or zero, and any other two doubles are equal only if their
 * bytes are.
 */
interface Key {
  readonly length: number;
  readonly first: number;
  readonly last: number;
}

function keyOf(text: string): Key {
  const view = new DataView(ascii(text).buffer);
  return { length: text.length, first: view.getFloat64(0, true), last: view.getFloat64(text.length - 8, true) };
}

const clickIdKey = keyOf('{"click_id":"');
const clickIdLength = 26;
const eventIdKey = keyOf('","event_id":"');
const adIdKey = keyOf('","ad_id":"');
const clickedAtKey = keyOf('","clicked_at":');
const receivedAtKey = keyOf(',"received_at":');
const countryKey = keyOf(',"country":"');
const userIdKey = keyOf('","user_id":"');
const ipKey = keyOf('","ip":"');
const newline = 0x0a;
const quote = 0x22;
const closingBrace = 0x7d;

/**
 * The possible uses of a byte: 0 means that it is never copied as it is, 1 that it is plain text, and 2 that it may
 * also be part of an ad id.
 */
const notPlain = 0;
const plainChar = 1;
const adChar = 2;
const kinds = new Uint8Array(256);
for (let byte = 0x20; byte < 0x7f; byte++) kinds[byte] = byte === quote || byte === 0x5c ? notPlain : plainChar;
for (const byte of ascii('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:-')) kinds[byte] = adChar;

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function matches(view: DataView, at: number, end: number, { length, first, last }: Key): boolean {
  return at + length <= end && view.getFloat64(at, true) === first && view.getFloat64(at + length - 8, true) === last;
}

/** Returns the end of the plain text that starts at `at`. */
function plainEnd(view: DataView, b: Uint8Array, at: number, end: number): number {
  let i = at;
  while (i + 4 <= end && isPlainWord(view.getInt32(i, true))) i += 4;
  while (i < end && kinds[b[i]!]! !== notPlain) i++;
  return i;
}

/**
 * Returns true only if all four bytes are plain. Any other byte sets the high bit of its byte in one of the terms.
 * False may be caused by a neighbouring byte only, so the bytes must then be examined one by one.
 */
function isPlainWord(word: number): boolean {
  const delete7f = word + 0x01010101;
  const control = word - 0x20202020;
  const quoted = (word ^ 0x22222222) - 0x01010101;
  const escaped = (word ^ 0x5c5c5c5c) - 0x01010101;
  return ((word | delete7f | control | quoted | escaped) & 0x80808080) === 0;
}

/** Returns the number of four decimal digits, with the first in the lowest byte, or -1 if they are not digits. */
function fourDigits(word: number): number {
  const digits = word - 0x30303030;
  if (((digits | (digits + 0x06060606)) & 0xf0f0f0f0) !== 0) return -1;
  const pairs = digits * 10 + (digits >>> 8);
  return (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
}

/** Returns the end of plain text of 1 to `maxLength` bytes, or -1 if it is empty or longer. */
function plainText(view: DataView, b: Uint8Array, start: number, end: number, maxLength: number): number {
  const i = plainEnd(view, b, start, end);
  return i === start || i - start > maxLength ? -1 : i;
}

function isUpper(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isBlank(b: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (b[i] !== 0x20 && b[i] !== 0x0d && b[i] !== 0x09) return false;
  return true;
}
