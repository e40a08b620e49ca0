/**
 * CONTRACT: reads the lines of a record of topic `clicks`. Aggregator, sink and replay all use it, so they agree on
 * what a click is. The value of a record is NDJSON: zero or more lines, where the last newline is optional.
 *
 * Canonical lines (`click.ts`) are scanned as bytes, without creating objects or strings. Any other line goes through
 * `JSON.parse`, because other producers may order fields as they like and leave out all but `ad_id` and `clicked_at`.
 * The fast path accepts only lines for which both ways agree, and leaves everything else to the slow one.
 */
import { type Click, limits } from './click.ts';
import { fourDigits, isAdChar, keyOf, matches, plainEnd, plainText, viewOf } from './line-bytes.ts';
import { clickOfJson } from './parsed-line.ts';
import { factBitOf } from './validity/facts.ts';

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
  /** The bytes in which the texts are of which there are starts and ends. They are not always in `value`. */
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
  /** Start and end are 0 for a field that the click does not have. */
  userIdStart = 0;
  userIdEnd = 0;
  ipStart = 0;
  ipEnd = 0;
  userAgentStart = 0;
  userAgentEnd = 0;
  /** What was found out about the click when it was received: bits of `facts` (validity/facts.ts). */
  facts = 0;
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
    while (i < end && isAdChar(b[i]!)) i++;
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

    i = this.#optionalFields(view, b, i, end);
    if (i < 0 || i + 2 > end || b[i] !== quote || b[i + 1] !== closingBrace) return false;
    i += 2;
    if (i < end && b[i] !== newline) return false;
    this.lineEnd = i;
    this.bytes = b;
    this.view = view;
    return true;
  }

  /** Reads the fields that a click may do without. Returns where the last value ends, or -1 if one is not plain. */
  #optionalFields(view: DataView, b: Uint8Array, start: number, end: number): number {
    let i = start;
    this.userIdStart = 0;
    this.userIdEnd = 0;
    this.ipStart = 0;
    this.ipEnd = 0;
    this.userAgentStart = 0;
    this.userAgentEnd = 0;
    this.facts = 0;
    if (matches(view, i, end, userIdKey)) {
      this.userIdStart = i + userIdKey.length;
      i = plainText(view, b, this.userIdStart, end, limits.userIdLength);
      this.userIdEnd = i;
    }
    if (i >= 0 && matches(view, i, end, ipKey)) {
      this.ipStart = i + ipKey.length;
      i = plainText(view, b, this.ipStart, end, limits.ipLength);
      this.ipEnd = i;
    }
    // Most lines end here.
    if (i < 0 || b[i + 1] === closingBrace) return i;
    if (matches(view, i, end, factsKey)) {
      const from = i + factsKey.length;
      i = plainText(view, b, from, end, limits.factsLength);
      for (let at = from; at < i; at++) this.facts |= factBitOf(b[at]!);
    }
    if (i >= 0 && matches(view, i, end, userAgentKey)) {
      this.userAgentStart = i + userAgentKey.length;
      i = plainText(view, b, this.userAgentStart, end, limits.userAgentLength);
      this.userAgentEnd = i;
    }
    if (i >= 0 && matches(view, i, end, referrerKey))
      i = plainText(view, b, i + referrerKey.length, end, limits.referrerLength);
    if (i >= 0 && matches(view, i, end, purposeKey))
      i = plainText(view, b, i + purposeKey.length, end, limits.purposeLength);
    return i;
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
    const click = clickOfJson(line, this.#appendedAt, () => this.#positionId());
    if (typeof click === 'string') {
      this.problem = click;
      return false;
    }
    this.parsed = click;
    const { eventId, adId, userId = '', ip = '', userAgent = '' } = click;
    const texts = [eventId, adId, userId, ip, userAgent].map(text => encoder.encode(text));
    this.bytes = Buffer.concat(texts);
    this.view = viewOf(this.bytes);
    const ends = texts.map(({ length }, i) => (length === 0 ? 0 : lengthOf(texts, i + 1)));
    const starts = texts.map(({ length }, i) => (length === 0 ? 0 : lengthOf(texts, i)));
    [this.eventIdStart, this.adIdStart, this.userIdStart, this.ipStart, this.userAgentStart] = starts as FiveNumbers;
    [this.eventIdEnd, this.adIdEnd, this.userIdEnd, this.ipEnd, this.userAgentEnd] = ends as FiveNumbers;
    this.facts = click.facts ?? 0;
    this.clickedAt = click.clickedAt;
    this.country = (click.country.charCodeAt(0) << 8) | click.country.charCodeAt(1);
    return true;
  }

  /** The identity of a line without one: its place in the log, which no other line shares. */
  #positionId(): string {
    return `log-${this.#partition}-${this.#offset}-${this.lineIndex}`;
  }
}

type FiveNumbers = [number, number, number, number, number];

/** The length of the first `count` texts together. */
function lengthOf(texts: readonly Uint8Array[], count: number): number {
  let length = 0;
  for (let i = 0; i < count; i++) length += texts[i]!.length;
  return length;
}

const empty = new Uint8Array(0);
const emptyView: DataView = new DataView(empty.buffer);
const encoder = new TextEncoder();

const clickIdKey = keyOf('{"click_id":"');
const clickIdLength = 26;
const eventIdKey = keyOf('","event_id":"');
const adIdKey = keyOf('","ad_id":"');
const clickedAtKey = keyOf('","clicked_at":');
const receivedAtKey = keyOf(',"received_at":');
const countryKey = keyOf(',"country":"');
const userIdKey = keyOf('","user_id":"');
const ipKey = keyOf('","ip":"');
const factsKey = keyOf('","facts":"');
const userAgentKey = keyOf('","user_agent":"');
const referrerKey = keyOf('","referrer":"');
const purposeKey = keyOf('","purpose":"');
const newline = 0x0a;
const quote = 0x22;
const closingBrace = 0x7d;

function isUpper(byte: number): boolean {
  return byte >= 0x41 && byte <= 0x5a;
}

function isBlank(b: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (b[i] !== 0x20 && b[i] !== 0x0d && b[i] !== 0x09) return false;
  return true;
}
