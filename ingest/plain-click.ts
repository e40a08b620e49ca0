/**
 * Copies a posted click as bytes, without creating an object or a text for it, when the click has the plain form that
 * nearly all programs write.
 *
 * The plain form is an object of known fields, each at most once, with texts of printable ASCII without escapes, and
 * with at most blanks between the tokens. The result is the canonical line that `parseClick` (`click-body.ts`) and
 * `formatLine` would produce. Any other click is left to them, and they judge whatever is unusual or wrong in it.
 */
import { canonicalAddress } from './canonical-address.ts';
import { adIdPattern, limits, parseTime } from './click.ts';
import { isAddress } from './click-body.ts';
import { type ClickIdWriter, clickIdLength } from './click-id.ts';
import type { ClickLines } from './click-lines.ts';
import { isCountry, unknownCountry } from './country.ts';
import type { KeptFields } from './kept-click.ts';
import { isPurpose } from './load-purpose.ts';
import { originOf } from './referrer.ts';
import { factsText } from './validity/facts.ts';

/**
 * Reads the click that begins at `start` of `source`, if it ends before `end`, and adds its line to `lines`. @returns
 * where it ends, or -1 if nothing was added
 */
export type TakePlainClick = (
  source: Buffer,
  start: number,
  end: number,
  receivedAt: number,
  lines: ClickLines,
) => number;

/** Long because of the function that it returns, and that is one loop over the fields of every plain click. */
export function createPlainClicks(
  writeClickId: ClickIdWriter,
  { personal, countryOfAddress, finder }: KeptFields = {},
): TakePlainClick {
  let receivedAtMs = -1;
  let received = Buffer.alloc(0);

  // Long because it runs for every click and keeps all places in local variables. Calls would have to return several.
  return (source, start, end, receivedAt, lines) => {
    // Starts and ends of values. An end is 0 when the field is not given.
    let [adStart, adEnd, eventStart, eventEnd, countryStart, countryEnd] = [0, 0, 0, 0, 0, 0];
    let [userStart, userEnd, ipStart, ipEnd, timeStart, timeEnd] = [0, 0, 0, 0, 0, 0];
    /** Texts, because more than their bytes is asked for. */
    let ip: string | undefined;
    let agent: string | undefined;
    let referrer: string | undefined;
    let purpose: string | undefined;
    let clickedAt = receivedAt;

    let at = start;
    if (source[at] !== brace) return -1;
    do {
      at = afterBlanks(source, at + 1);
      if (source[at] !== quote) return -1;
      const field = fieldAt(source, at + 1);
      if (field === undefined) return -1;
      at = afterBlanks(source, at + field.length + 2);
      if (source[at] !== colon) return -1;
      at = afterBlanks(source, at + 1);
      const valueStart = at + 1;
      if (field === fields.clickedAt && source[at] !== quote) {
        if (timeEnd !== 0) return -1;
        timeStart = at;
        clickedAt = 0;
        for (; isDigit(source[at]!) && at - timeStart <= mostDigits; at++)
          clickedAt = clickedAt * 10 + source[at]! - zero;
        timeEnd = at;
        if (timeEnd === timeStart || timeEnd - timeStart > mostDigits || source[timeStart] === zero) return -1;
      } else {
        if (source[at] !== quote) return -1;
        const valueEnd = textEnd(source, valueStart);
        // The text may have continued behind the click, where other bytes are. `end` is checked below.
        if (source[valueEnd] !== quote || valueEnd === valueStart) return -1;
        at = valueEnd + 1;
        if (field === fields.adId) {
          if (adEnd !== 0 || !isAdId(source, valueStart, valueEnd) || isDots(source, valueStart, valueEnd)) return -1;
          [adStart, adEnd] = [valueStart, valueEnd];
        } else if (field === fields.eventId) {
          if (eventEnd !== 0 || valueEnd - valueStart > limits.eventIdLength) return -1;
          if (isDots(source, valueStart, valueEnd)) return -1;
          [eventStart, eventEnd] = [valueStart, valueEnd];
        } else if (field === fields.clickedAt) {
          const parsed = parseTime(source.toString('latin1', valueStart, valueEnd));
          if (timeEnd !== 0 || parsed === undefined) return -1;
          clickedAt = parsed;
          timeEnd = at;
        } else if (field === fields.country) {
          if (countryEnd !== 0 || valueEnd - valueStart !== 2) return -1;
          if (!isCountry(source[valueStart]!, source[valueStart + 1]!)) return -1;
          [countryStart, countryEnd] = [valueStart, valueEnd];
        } else if (field === fields.userId) {
          if (userEnd !== 0 || valueEnd - valueStart > limits.userIdLength) return -1;
          if (isDots(source, valueStart, valueEnd)) return -1;
          [userStart, userEnd] = [valueStart, valueEnd];
        } else if (field === fields.ip) {
          if (ip !== undefined || valueEnd - valueStart > limits.ipLength) return -1;
          const posted = source.toString('latin1', valueStart, valueEnd);
          if (!isAddress(posted)) return -1;
          ip = canonicalAddress(posted);
          if (ip === posted) [ipStart, ipEnd] = [valueStart, valueEnd];
        } else if (field === fields.userAgent) {
          if (agent !== undefined || valueEnd - valueStart > limits.userAgentLength) return -1;
          agent = source.toString('latin1', valueStart, valueEnd);
        } else if (field === fields.referrer) {
          if (referrer !== undefined) return -1;
          referrer = originOf(source.toString('latin1', valueStart, valueEnd));
          if (referrer === undefined) return -1;
        } else {
          if (purpose !== undefined) return -1;
          purpose = source.toString('latin1', valueStart, valueEnd);
          if (!isPurpose(purpose)) return -1;
        }
      }
      at = afterBlanks(source, at);
    } while (source[at] === comma);
    if (source[at] !== closingBrace || at >= end || adEnd === 0) return -1;
    if (clickedAt < receivedAt - limits.maxAgeMs || clickedAt > receivedAt + limits.maxAheadMs) return -1;
    // Copies of a click share their id and time, so an id requires a time.
    if (eventEnd !== 0 && timeEnd === 0) return -1;

    if (receivedAt !== receivedAtMs) {
      receivedAtMs = receivedAt;
      received = Buffer.from(`,"received_at":${receivedAt},"country":"`);
    }
    lines.reserve(at - start + mostAdded);
    const { bytes } = lines;
    let to = put(beforeClickId, bytes, lines.end);
    const clickIdStart = to;
    writeClickId(receivedAt, bytes, to);
    to = put(beforeEventId, bytes, to + clickIdLength);
    const eventFrom = to - 1;
    if (eventEnd !== 0) to = copy(source, eventStart, eventEnd, bytes, to);
    else to = copy(bytes, clickIdStart, clickIdStart + clickIdLength, bytes, to);
    to = put(beforeAdId, bytes, to);
    const adFrom = to;
    to = copy(source, adStart, adEnd, bytes, to);
    const adTo = to;
    to = put(beforeTime, bytes, to);
    if (timeStart !== 0) to = copy(source, timeStart, timeEnd, bytes, to);
    else to += bytes.write(String(clickedAt), to, 'latin1');
    to = put(received, bytes, to);
    if (countryOfAddress !== undefined && ip !== undefined && (countryEnd === 0 || isNoCountry(source, countryStart)))
      to = putText(countryOfAddress(ip), bytes, to);
    else if (countryEnd !== 0) to = copy(source, countryStart, countryEnd, bytes, to);
    else to = put(noCountry, bytes, to);
    if (userEnd !== 0) {
      to = put(beforeUserId, bytes, to);
      if (personal === undefined) to = copy(source, userStart, userEnd, bytes, to);
      else to = putText(personal.keptUserId(source.toString('latin1', userStart, userEnd), clickedAt), bytes, to);
    }
    // Most clicks have none of these.
    if (ip !== undefined || agent !== undefined || referrer !== undefined || purpose !== undefined) {
      // Before anything is cut or hashed, as in kept-click.ts.
      const found = finder?.factsOf(ip, agent, purpose) ?? 0;
      if (personal === undefined) {
        if (ipEnd !== 0) to = copy(source, ipStart, ipEnd, bytes, put(beforeIp, bytes, to));
        else if (ip !== undefined) to = putText(ip, bytes, put(beforeIp, bytes, to));
      } else {
        const kept = ip === undefined ? undefined : personal.keptIp(ip, clickedAt);
        if (kept !== undefined) to = putText(kept, bytes, put(beforeIp, bytes, to));
        if (!personal.keepsUserAgent) agent = undefined;
      }
      if (found !== 0) to = putText(factsText(found), bytes, put(beforeFacts, bytes, to));
      if (agent !== undefined) to = putText(agent, bytes, put(beforeUserAgent, bytes, to));
      if (referrer !== undefined) to = putText(referrer, bytes, put(beforeReferrer, bytes, to));
      if (purpose !== undefined) to = putText(purpose, bytes, put(beforePurpose, bytes, to));
    }
    to = put(lineEnd, bytes, to);
    lines.close(to, adFrom, adTo, eventFrom, adFrom - beforeAdId.length + 1, clickedAt);
    return at + 1;
  };
}

const fields = {
  adId: Buffer.from('ad_id'),
  eventId: Buffer.from('event_id'),
  clickedAt: Buffer.from('clicked_at'),
  country: Buffer.from('country'),
  userId: Buffer.from('user_id'),
  ip: Buffer.from('ip'),
  userAgent: Buffer.from('user_agent'),
  referrer: Buffer.from('referrer'),
  purpose: Buffer.from('purpose'),
};

const beforeClickId = Buffer.from('{"click_id":"');
const beforeEventId = Buffer.from('","event_id":"');
const beforeAdId = Buffer.from('","ad_id":"');
const beforeTime = Buffer.from('","clicked_at":');
const beforeUserId = Buffer.from('","user_id":"');
const beforeIp = Buffer.from('","ip":"');
const beforeFacts = Buffer.from('","facts":"');
const beforeUserAgent = Buffer.from('","user_agent":"');
const beforeReferrer = Buffer.from('","referrer":"');
const beforePurpose = Buffer.from('","purpose":"');
const lineEnd = Buffer.from('"}\n');
const noCountry = Buffer.from(unknownCountry);
/**
 * A line may be longer than what was posted by at most this many bytes: fields and values that need not be posted, when
 * no blank is saved, facts, and hashes that are longer than what they stand for.
 */
const mostAdded = 340;
/** A number with more digits is larger than any accepted time. */
const mostDigits = 15;
/**
 * The number of blanks between two tokens, and the length of a text. A click with more is not plain, and is not
 * examined further.
 */
const mostBlanks = 256;
const mostTextLength = Math.max(limits.adIdLength, limits.eventIdLength, limits.userAgentLength);

const [quote, comma, colon, brace, closingBrace] = [0x22, 0x2c, 0x3a, 0x7b, 0x7d];
const [blank, backslash, zero, dot] = [0x20, 0x5c, 0x30, 0x2e];

const adIdBytes = Uint8Array.from({ length: 256 }, (_, byte) => Number(adIdPattern.test(String.fromCharCode(byte))));

/** Returns the field whose name, with its closing quote, is here. */
function fieldAt(source: Buffer, at: number): Buffer | undefined {
  const field = fieldOf(source, at);
  if (field === undefined || source[at + field.length] !== quote) return undefined;
  for (let i = 0; i < field.length; i++) if (source[at + i] !== field[i]) return undefined;
  return field;
}

function fieldOf(source: Buffer, at: number): Buffer | undefined {
  switch (source[at]) {
    case 0x61:
      return fields.adId;
    case 0x65:
      return fields.eventId;
    case 0x63:
      return source[at + 1] === 0x6c ? fields.clickedAt : fields.country;
    case 0x75:
      return source[at + behindUser] === 0x69 ? fields.userId : fields.userAgent;
    case 0x69:
      return fields.ip;
    case 0x72:
      return fields.referrer;
    case 0x70:
      return fields.purpose;
    default:
      return undefined;
  }
}

/** Where `user_id` and `user_agent` differ. */
const behindUser = 'user_'.length;

function afterBlanks(source: Buffer, at: number): number {
  const end = at + mostBlanks;
  while (source[at] === blank && at < end) at++;
  return at;
}

/** Returns where printable ASCII without quotes and escapes ends, or where it becomes longer than any field may be. */
function textEnd(source: Buffer, at: number): number {
  const end = Math.min(at + mostTextLength + 1, source.length);
  for (; at < end; at++) {
    const byte = source[at]!;
    if (byte === quote || byte < blank || byte > 0x7e || byte === backslash) break;
  }
  return at;
}

function isAdId(source: Buffer, start: number, end: number): boolean {
  if (end - start > limits.adIdLength) return false;
  for (let i = start; i < end; i++) if (adIdBytes[source[i]!] === 0) return false;
  return true;
}

function isDigit(byte: number): boolean {
  return byte >= zero && byte <= 0x39;
}

/** See `isDotSegment`. */
function isDots(source: Buffer, start: number, end: number): boolean {
  return end - start <= 2 && source[start] === dot && source[end - 1] === dot;
}

function isNoCountry(source: Buffer, at: number): boolean {
  return source[at] === noCountry[0] && source[at + 1] === noCountry[1];
}

function put(text: Buffer, target: Buffer, at: number): number {
  for (let i = 0; i < text.length; i++) target[at + i] = text[i]!;
  return at + text.length;
}

function putText(text: string, target: Buffer, at: number): number {
  return at + target.write(text, at, 'latin1');
}

function copy(source: Buffer, start: number, end: number, target: Buffer, at: number): number {
  for (let i = start; i < end; i++) target[at++] = source[i]!;
  return at;
}
