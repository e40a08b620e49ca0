/**
 * Turns a request body into lines and verdicts.
 *
 * A body that cannot be divided into clicks is refused with a problem. A bad click among good ones gets a verdict with
 * its index, and never harms the others. Plain clicks are copied as they are (`plain-click.ts`), and all others are
 * parsed. Both ways have the same result.
 *
 * No body is parsed as a whole, because a few kilobytes of gzip can hold a million small things. Clicks are found by
 * their brackets or newlines. Each is parsed alone, and only if it is neither large nor deep. Blank lines are skipped
 * as bytes. The work is done in slices, between which the event loop can serve others.
 *
 * `JSON.parse` makes `__proto__` an ordinary property. Only named fields are read from its result and nothing is
 * merged, so no input can reach a prototype.
 */
import { isUtf8 } from 'node:buffer';
import { brokenRule, shown } from '../infra/broken-rule.ts';
import { Problem } from '../infra/http.ts';
import { ownsAd } from '../infra/keys/tenant.ts';
import type { Slices } from '../infra/slices.ts';
import { parseClick, type RejectCode, reject, unknownFieldsOf, type Verdict } from './click-body.ts';
import { createClickIdMint, createClickIdWriter } from './click-id.ts';
import { ClickLines } from './click-lines.ts';
import { ClickNotes, type Warning } from './click-notes.ts';
import { JsonExtent } from './json-extent.ts';
import { type KeptFields, keptClick } from './kept-click.ts';
import { type MadeEventId, madeEventIdsOf } from './made-event-ids.ts';
import { createPlainClicks } from './plain-click.ts';

export interface Rejected {
  /** The index of the array's element, or of the line that is not blank, from 0. */
  readonly index: number;
  readonly code: RejectCode;
  readonly message: string;
}

export interface ClickBatch {
  /** Valid until the next body is parsed. */
  readonly lines: ClickLines;
  /** Only the first ones, because an answer must not be many times as long as what was posted. */
  readonly rejected: readonly Rejected[];
  readonly rejectedTotal: number;
  /** Only the first ones. */
  readonly madeEventIds: readonly MadeEventId[];
  /** Names of fields that no click has. Only the first ones. */
  readonly ignoredFields: readonly string[];
  /** Fields that were left out of clicks that still count. */
  readonly warnings: readonly Warning[];
}

export interface Posting {
  /** Epoch ms. */
  readonly receivedAt: number;
  /** Refuses clicks of which something would otherwise be ignored or left out. */
  readonly isStrict: boolean;
  /** Texts with one of which the id of each clicked ad must begin. Left out: there is no such limit. */
  readonly adIdPrefixes?: readonly string[] | undefined;
}

/** Parses one body at a time. The next one may begin when the last is finished or abandoned. */
export interface ClickParser {
  /** Parses one click, or an array of clicks. @throws Problem 400, 413 */
  json(body: Buffer, posting: Posting): Slices<ClickBatch>;
  /** Parses one click per line and skips blank lines. @throws Problem 413 */
  ndjson(body: Buffer, posting: Posting): Slices<ClickBatch>;
}

/** This many rejections are reported in full. The others are only counted. */
export const maxRejectionsTold = 100;
/** Unknown fields count too. The longest click of known fields has about 3 KiB. */
export const maxClickBytes = 64 << 10;
export const maxClickDepth = 64;

/** The work of one slice, in bytes of plain clicks. */
const sliceWork = 256 << 10;
/** The additional work for a click that is parsed: it takes as long as this many bytes of plain clicks. */
const parsedWork = 1 << 10;
const parsedByteWork = 8;
/** The additional work for a user agent that has not been seen lately. */
const lookWork = 6 << 10;

/** Long because its generators share one position and one budget of work, and run for every click. */
export function createClickParser(maxItems: number, kept: KeptFields = {}): ClickParser {
  const lines = new ClickLines();
  const mintClickId = createClickIdMint();
  const copyPlain = createPlainClicks(createClickIdWriter(), kept);
  const extent = new JsonExtent();
  let rejected: Rejected[] = [];
  let rejectedAt: number[] = [];
  const notes = new ClickNotes();
  /** The work done in this slice. */
  let work = 0;

  const begin = () => {
    lines.clear();
    rejected = [];
    rejectedAt = [];
    notes.clear();
    work = 0;
  };
  const batch = (): ClickBatch => {
    const { ignoredFields, warnings } = notes;
    const madeEventIds = madeEventIdsOf(lines, rejectedAt);
    return { lines, rejected, rejectedTotal: rejectedAt.length, madeEventIds, ignoredFields, warnings };
  };
  const { finder } = kept;
  const isSliceDone = () => {
    if (finder !== undefined && finder.looks > 0) {
      work += lookWork * finder.looks;
      finder.looks = 0;
    }
    if (work < sliceWork) return false;
    work = 0;
    return true;
  };
  const add = (verdict: Verdict, index: number) => {
    notes.warn(index, verdict);
    if (verdict.ok) lines.add(keptClick(verdict.click, kept));
    else if (rejectedAt.push(index) <= maxRejectionsTold) {
      rejected.push({ index, code: verdict.code, message: verdict.message });
    }
  };
  /** Leaves a click of an ad that may not be written to the parser, which says so. */
  const takePlain = (body: Buffer, start: number, end: number, { receivedAt, adIdPrefixes }: Posting) => {
    const behind = copyPlain(body, start, end, receivedAt, lines);
    if (behind === -1 || adIdPrefixes === undefined || adIdPrefixes.some(prefix => lines.lastAdBegins(prefix)))
      return behind;
    lines.dropLast();
    return -1;
  };
  /** Parses a click that is not plain. `extent` has seen all of it, or all up to an error. */
  const parse = (click: Buffer, { receivedAt, isStrict, adIdPrefixes }: Posting): Verdict => {
    if (click.length > maxClickBytes) return tooLarge(click.length);
    work += parsedWork + parsedByteWork * click.length;
    if (extent.deepest > maxClickDepth) return tooDeep;
    const text = decoded(click);
    const json = text === undefined ? undefined : parseJson(text);
    if (json === undefined) return notJson;
    notes.ignore(json);
    const verdict = parseClick(json, receivedAt, mintClickId(receivedAt));
    if (verdict.ok && adIdPrefixes && !ownsAd({ adIdPrefixes }, verdict.click.adId))
      return foreignAd(verdict.click.adId, adIdPrefixes);
    return isStrict ? strictly(verdict, json) : verdict;
  };
  /** In a body of JSON, an element that is not JSON makes the whole body invalid. */
  const addElement = (click: Buffer, posting: Posting, index: number) => {
    const verdict = parse(click, posting);
    if (verdict === notJson) throw bodyNotJson();
    add(verdict, index);
  };
  /** Skips the space at `at`, which may be megabytes long. */
  function* behindSpace(body: Buffer, at: number): Slices<number> {
    for (;;) {
      const end = Math.min(at + sliceWork, body.length);
      const to = afterSpace(body, at, end);
      work += to - at;
      if (to < end || to === body.length) return to;
      at = to;
      if (isSliceDone()) yield;
    }
  }
  /** Adds the element at `start`, and returns the place behind it. */
  function* behindElement(body: Buffer, start: number, posting: Posting, index: number): Slices<number> {
    const plainEnd = takePlain(body, start, body.length, posting);
    if (plainEnd !== -1) {
      const at = yield* behindSpace(body, plainEnd);
      if (body[at] === comma || body[at] === closingBracket) return at;
      lines.dropLast();
    }
    extent.begin(start);
    while (!extent.run(body, Math.min(extent.at + sliceWork, body.length))) {
      if (extent.at >= body.length) throw bodyNotJson();
      yield;
    }
    work += extent.at - start;
    addElement(body.subarray(start, extent.at), posting, index);
    return extent.at;
  }

  return {
    *json(body, posting) {
      begin();
      const start = yield* behindSpace(body, behindMark(body, 0));
      if (body[start] !== openingBracket) {
        const plainEnd = takePlain(body, start, body.length, posting);
        if (plainEnd !== -1 && (yield* behindSpace(body, plainEnd)) === body.length) return batch();
        if (plainEnd !== -1) lines.dropLast();
        extent.begin(start);
        extent.run(body, Math.min(start + maxClickBytes, body.length));
        addElement(body.subarray(start), posting, 0);
        return batch();
      }
      let at = yield* behindSpace(body, start + 1);
      for (let index = 0; body[at] !== closingBracket; index++) {
        if (index === maxItems) throw tooMany(maxItems);
        if (index > 0 && body[at] !== comma) throw bodyNotJson();
        const next = index === 0 ? at : at + 1;
        const elementStart = isSpace[body[next]!] === 1 ? yield* behindSpace(body, next) : next;
        // Nearly all clicks are plain and end at once, which needs no generator.
        const plainEnd = takePlain(body, elementStart, body.length, posting);
        const isAlone = plainEnd !== -1 && (body[plainEnd] === comma || body[plainEnd] === closingBracket);
        if (plainEnd !== -1 && !isAlone) lines.dropLast();
        at = isAlone ? plainEnd : yield* behindElement(body, elementStart, posting, index);
        work += at - elementStart;
        if (isSliceDone()) yield;
      }
      if ((yield* behindSpace(body, at + 1)) !== body.length) throw bodyNotJson();
      return batch();
    },

    *ndjson(body, posting) {
      begin();
      let [index, oddBlankLines] = [0, 0];
      for (let start = 0, end = 0; start < body.length; start = end + 1) {
        if (isSliceDone()) yield;
        // Skips blank lines too, however many there are.
        if (isSpace[body[start]!] === 1) start = yield* behindSpace(body, start);
        if (start === body.length) break;
        if (index + oddBlankLines === maxItems) throw tooMany(maxItems);
        end = body.indexOf(newline, start);
        if (end === -1) end = body.length;
        work += end - start;
        const isLong = end - start > maxClickBytes;
        const behind = isLong ? -1 : takePlain(body, start, end, posting);
        if (behind !== -1 && afterSpace(body, behind, end) === end) {
          index++;
          continue;
        }
        if (behind !== -1) lines.dropLast();
        // Files that were joined have a byte order mark between them.
        const clickStart = behindMark(body, start);
        const line = body.subarray(clickStart, end);
        // Unicode has more spaces than JSON. Lines of such spaces are blank, but each costs as much as a click and
        // counts as one.
        if (!isLong && body[clickStart] !== openingBrace && decoded(line)?.trim() === '') {
          oddBlankLines++;
          work += parsedWork;
          continue;
        }
        extent.begin(clickStart);
        if (!isLong) extent.run(body, end);
        add(parse(line, posting), index++);
      }
      return batch();
    },
  };
}

/** Returns undefined if the line is not UTF-8. One such line does not make the others invalid. */
function decoded(line: Buffer): string | undefined {
  return isUtf8(line) ? line.toString() : undefined;
}

/** Returns undefined if `text` is not JSON. No valid JSON has this value. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the place behind what JSON allows between its tokens, or `end`. */
function afterSpace(body: Buffer, at: number, end: number): number {
  while (at < end && isSpace[body[at]!] === 1) at++;
  return at;
}

/** Returns the place behind a byte order mark, with which programs on Windows begin UTF-8 text. */
function behindMark(body: Buffer, at: number): number {
  return body[at] === 0xef && body[at + 1] === 0xbb && body[at + 2] === 0xbf ? at + 3 : at;
}

/** Refuses a click of which something would be ignored or left out. */
function strictly(verdict: Verdict, json: unknown): Verdict {
  if (!verdict.ok) return verdict;
  const [unknown] = unknownFieldsOf(json);
  if (unknown !== undefined) {
    const rule =
      'is not a field of a click, and ?strict=true refuses unknown fields: leave it out, or post without strict';
    return reject('unknown_field', `${shown(unknown)} ${rule}`);
  }
  const [dropped] = verdict.dropped ?? [];
  return dropped ? reject('invalid_field', dropped.problem) : verdict;
}

const [comma, newline, openingBrace, openingBracket, closingBracket] = [0x2c, 0x0a, 0x7b, 0x5b, 0x5d];
const isSpace = Uint8Array.from({ length: 256 }, (_, byte) => Number([0x20, 0x09, 0x0a, 0x0d].includes(byte)));
const notJson: Verdict = reject('invalid_json', 'the line is not JSON in UTF-8');
const tooDeep: Verdict = reject('too_deep', `the click nests too deep, but must nest at most ${maxClickDepth} deep`);

function tooLarge(bytes: number): Verdict {
  return reject('too_large', `the click has ${bytes} bytes, but must have at most ${maxClickBytes}`);
}

function foreignAd(adId: string, prefixes: readonly string[]): Verdict {
  const rule = `must begin with ${prefixes.map(shown).join(' or ')}, as the API key is for those ads alone`;
  return reject('forbidden_ad', brokenRule('ad_id', adId, rule));
}

function bodyNotJson(): Problem {
  const advice = 'post one click, or an array of clicks, or application/x-ndjson with one click per line';
  return new Problem(400, 'invalid_json', `the body is not JSON in UTF-8: ${advice}`);
}

function tooMany(maxItems: number): Problem {
  return new Problem(
    413,
    'too_many_clicks',
    `the body contains more than ${maxItems} clicks, which is the limit for one request: post them in several requests`,
  );
}
