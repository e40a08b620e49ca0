/**
 * NDJSON bytes → rows. Blank lines are skipped. Memory is bounded: of a line that is too long only the beginning is kept.
 * Of what we have exported ourselves each row is the click that it was.
 */
import { isUtf8 } from 'node:buffer';
import { messageOf } from '../../infra/errors.ts';
import { exportedClick, kindOf } from './exported-row.ts';
import type { Row } from './row.ts';

/** Where the first byte stands in its file. */
export interface Place {
  readonly offset: number;
  /** Lines before it. */
  readonly line: number;
}

export const maxLineBytes = 256 * 1024;

export async function* ndjsonRows(chunks: AsyncIterable<Buffer>, from: Place): AsyncGenerator<Row> {
  let { offset: start, line } = from;
  let kept: Buffer[] = [];
  let lengthBytes = 0;
  const keep = (piece: Buffer) => {
    if (lengthBytes <= maxLineBytes && piece.length > 0) kept.push(piece.subarray(0, maxLineBytes + 1 - lengthBytes));
    lengthBytes += piece.length;
  };
  const finish = (newlineBytes: number): Row | undefined => {
    const bytes = kept.length === 1 ? kept[0]! : Buffer.concat(kept);
    const row = rowOf(bytes, { line: ++line, start, end: start + lengthBytes + newlineBytes });
    start = row.end;
    kept = [];
    lengthBytes = 0;
    return row.raw.trim() === '' ? undefined : row;
  };
  for await (const chunk of chunks) {
    let from = 0;
    for (let newline = chunk.indexOf(10); newline !== -1; newline = chunk.indexOf(10, from)) {
      keep(chunk.subarray(from, newline));
      from = newline + 1;
      const row = finish(1);
      if (row) yield row;
    }
    keep(chunk.subarray(from));
  }
  const last = lengthBytes > 0 ? finish(0) : undefined;
  if (last) yield last;
}

function rowOf(bytes: Buffer, place: Pick<Row, 'line' | 'start' | 'end'>): Row {
  const raw = bytes.toString();
  const unreadable = (problem: string): Row => ({ ...place, raw, fields: undefined, problem });
  if (bytes.length > maxLineBytes) return unreadable(`longer than ${maxLineBytes} bytes`);
  if (!isUtf8(bytes)) return unreadable('not UTF-8');
  if (raw.trim() === '') return unreadable('blank');
  try {
    const json: unknown = JSON.parse(raw);
    if (isObject(json)) {
      const kind = kindOf(Object.keys(json));
      return { ...place, raw, ...(kind === undefined ? { fields: json } : exportedClick(kind, json)) };
    }
    return unreadable('not a JSON object');
  } catch (error) {
    return unreadable(`not JSON: ${messageOf(error)}`);
  }
}

function isObject(json: unknown): json is Record<string, unknown> {
  return typeof json === 'object' && json !== null && !Array.isArray(json);
}
