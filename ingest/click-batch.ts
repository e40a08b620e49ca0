/**
 * A request body → lines and verdicts. A body that cannot be taken apart at all is a problem; a bad click among good
 * ones is a verdict with its index and never harms the others. What is plain is taken over as it stands
 * (`plain-click.ts`), and what is not is parsed: the same comes of both.
 *
 * `JSON.parse` makes `__proto__` an ordinary property, and only named fields are read from what it returns and nothing
 * is merged, so no input can reach a prototype.
 */
import { isUtf8 } from 'node:buffer';
import { Problem } from '../infra/http.ts';
import { parseClick, type RejectCode, reject, type Verdict } from './click-body.ts';
import { createClickIdMint, createClickIdWriter } from './click-id.ts';
import { ClickLines } from './click-lines.ts';
import { createPlainClicks } from './plain-click.ts';

export interface Rejected {
  /** Counts the array's elements, or the lines that are not blank, from 0. */
  readonly index: number;
  readonly code: RejectCode;
  readonly message: string;
}

export interface ClickBatch {
  /** Hold until the next body is parsed. */
  readonly lines: ClickLines;
  readonly rejected: Rejected[];
}

export interface ClickParser {
  /** One click, or an array of clicks. @throws Problem 400, 413 */
  json(body: Buffer, receivedAt: number): ClickBatch;
  /** One click per line; blank lines are skipped. @throws Problem 413 */
  ndjson(body: Buffer, receivedAt: number): ClickBatch;
}

export function createClickParser(maxItems: number): ClickParser {
  const lines = new ClickLines();
  const mintClickId = createClickIdMint();
  const takePlain = createPlainClicks(createClickIdWriter());

  const take = (json: unknown, receivedAt: number, index: number, rejected: Rejected[]) => {
    const verdict = json === undefined ? notJson : parseClick(json, receivedAt, mintClickId(receivedAt));
    if (verdict.ok) lines.add(verdict.click);
    else rejected.push({ index, code: verdict.code, message: verdict.message });
  };
  /** Whether the whole body is plain: else nothing is taken over. */
  const takePlainBody = (body: Buffer, receivedAt: number) => {
    lines.clear();
    let at = afterSpace(body, 0);
    const isArray = body[at] === openingBracket;
    do {
      at = takePlain(body, isArray ? afterSpace(body, at + 1) : at, body.length, receivedAt, lines);
      if (at === -1 || lines.count > maxItems) return false;
      at = afterSpace(body, at);
    } while (isArray && body[at] === comma);
    if (!isArray) return at === body.length;
    return body[at] === closingBracket && afterSpace(body, at + 1) === body.length;
  };

  return {
    json(body, receivedAt) {
      const rejected: Rejected[] = [];
      if (takePlainBody(body, receivedAt)) return { lines, rejected };
      lines.clear();
      const json = isUtf8(body) ? parseJson(body.toString()) : undefined;
      if (json === undefined) throw new Problem(400, 'invalid_json', 'the body is not JSON in UTF-8');
      const inputs: readonly unknown[] = Array.isArray(json) ? json : [json];
      if (inputs.length > maxItems) throw tooMany(maxItems);
      for (let i = 0; i < inputs.length; i++) take(inputs[i], receivedAt, i, rejected);
      return { lines, rejected };
    },
    ndjson(body, receivedAt) {
      lines.clear();
      const rejected: Rejected[] = [];
      let index = 0;
      for (let start = 0, end = 0; start < body.length; start = end + 1) {
        end = body.indexOf(newline, start);
        if (end === -1) end = body.length;
        const isFull = index === maxItems;
        const behind = isFull ? -1 : takePlain(body, start, end, receivedAt, lines);
        if (behind !== -1 && afterSpace(body, behind) >= end) {
          index++;
          continue;
        }
        if (behind !== -1) lines.dropLast();
        const text = decoded(body.subarray(start, end));
        if (text?.trim() === '') continue;
        if (isFull) throw tooMany(maxItems);
        take(text === undefined ? undefined : parseJson(text), receivedAt, index++, rejected);
      }
      return { lines, rejected };
    },
  };
}

/** Undefined if the line is not UTF-8: one such line does not spoil the others. */
function decoded(line: Buffer): string | undefined {
  return isUtf8(line) ? line.toString() : undefined;
}

/** Undefined if `text` is no JSON: no JSON text parses to it. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** What JSON allows between its tokens. */
function afterSpace(body: Buffer, at: number): number {
  while (at < body.length && isSpace[body[at]!] === 1) at++;
  return at;
}

const [comma, newline, openingBracket, closingBracket] = [0x2c, 0x0a, 0x5b, 0x5d];
const isSpace = Uint8Array.from({ length: 256 }, (_, byte) => Number([0x20, 0x09, 0x0a, 0x0d].includes(byte)));
const notJson: Verdict = reject('invalid_json', 'the line is not JSON in UTF-8');

function tooMany(maxItems: number): Problem {
  return new Problem(413, 'too_many_clicks', `a request may hold at most ${maxItems} clicks`);
}
