/**
 * A request body → clicks and verdicts. A body that cannot be taken apart at all is a problem; a bad click among good
 * ones is a verdict with its index and never harms the others.
 *
 * `JSON.parse` makes `__proto__` an ordinary property, and only named fields are read from what it returns and nothing
 * is merged, so no input can reach a prototype.
 */
import { isUtf8 } from 'node:buffer';
import { Problem } from '../infra/http.ts';
import type { Click } from './click.ts';
import { parseClick, type RejectCode, reject, type Verdict } from './click-body.ts';
import type { ClickIdMint } from './click-id.ts';

export interface Rejected {
  /** Counts the array's elements, or the lines that are not blank, from 0. */
  readonly index: number;
  readonly code: RejectCode;
  readonly message: string;
}

export interface ClickBatch {
  readonly clicks: Click[];
  readonly rejected: Rejected[];
}

export interface ParseOptions {
  readonly maxItems: number;
  readonly mintClickId: ClickIdMint;
}

/** One click, or an array of clicks. @throws Problem 400, 413 */
export function parseJsonBody(body: Buffer, receivedAt: number, { maxItems, mintClickId }: ParseOptions): ClickBatch {
  const json = isUtf8(body) ? parseJson(body.toString()) : undefined;
  if (json === undefined) throw new Problem(400, 'invalid_json', 'the body is not JSON in UTF-8');
  const inputs: readonly unknown[] = Array.isArray(json) ? json : [json];
  if (inputs.length > maxItems) throw tooMany(maxItems);
  const batch: ClickBatch = { clicks: [], rejected: [] };
  for (let i = 0; i < inputs.length; i++) take(batch, i, parseClick(inputs[i], receivedAt, mintClickId(receivedAt)));
  return batch;
}

/** One click per line; blank lines are skipped. @throws Problem 413 */
export function parseNdjsonBody(body: Buffer, receivedAt: number, { maxItems, mintClickId }: ParseOptions): ClickBatch {
  const batch: ClickBatch = { clicks: [], rejected: [] };
  let index = 0;
  for (const line of linesOf(body)) {
    if (line?.trim() === '') continue;
    if (index === maxItems) throw tooMany(maxItems);
    const json = line === undefined ? undefined : parseJson(line);
    const verdict =
      json === undefined
        ? reject('invalid_json', 'the line is not JSON in UTF-8')
        : parseClick(json, receivedAt, mintClickId(receivedAt));
    take(batch, index++, verdict);
  }
  return batch;
}

function take(batch: ClickBatch, index: number, verdict: Verdict): void {
  if (verdict.ok) batch.clicks.push(verdict.click);
  else batch.rejected.push({ index, code: verdict.code, message: verdict.message });
}

/** Undefined stands for a line that is not UTF-8: one such line does not spoil the others. */
function* linesOf(body: Buffer): Generator<string | undefined> {
  const text = isUtf8(body) ? body.toString() : undefined;
  for (let start = 0; start < (text ?? body).length; ) {
    const newline = text === undefined ? body.indexOf(10, start) : text.indexOf('\n', start);
    const end = newline === -1 ? (text ?? body).length : newline;
    yield text === undefined ? decode(body.subarray(start, end)) : text.slice(start, end);
    start = end + 1;
  }
}

function decode(line: Buffer): string | undefined {
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

function tooMany(maxItems: number): Problem {
  return new Problem(413, 'too_many_clicks', `a request may hold at most ${maxItems} clicks`);
}
