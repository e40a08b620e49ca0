/**
 * Splits the bytes of a file into lines, each with its true number and its place.
 *
 * Memory is bounded, because only the beginning of a line that is too long is kept. A byte order mark shows whether a
 * file is UTF-16, and is not part of a line. NUL bytes before a line are not part of it either: a writer that continues
 * at its old place in a truncated file leaves a hole of them, which may be large.
 */
import { isUtf8 } from 'node:buffer';

/** `[start, end)` in the file, including the newline. */
export interface Line {
  /** Counts from 1. */
  readonly number: number;
  readonly start: number;
  readonly end: number;
  /** Without the newline. A CR before it is kept, because it may belong to a quoted text. */
  readonly text: string;
  /** The bytes from which `text` was made, as far as they were kept, and their place. */
  readonly bytes: Buffer;
  readonly bytesAt: number;
  /** Whether its newline is there. A line without one may continue. */
  readonly isEnded: boolean;
  /** Why it cannot be read, whatever its format. */
  readonly problem: string | undefined;
}

export type Encoding = 'utf-8' | 'utf-16le' | 'utf-16be';

/** Where the next line begins. */
export interface Place {
  readonly offset: number;
  /** The number of lines before it. */
  readonly line: number;
  /** Undefined when the first bytes decide it. */
  readonly encoding?: Encoding | undefined;
}

export const maxLineBytes = 256 * 1024;

export class LineSplitter {
  #encoding: Encoding | undefined;
  #start: number;
  #number: number;
  /** The bytes of the line that has begun. */
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #keptAt = 0;
  #lengthBytes = 0;
  /** Too few bytes to decide the encoding, or half of a UTF-16 unit. */
  #odd: Buffer = Buffer.alloc(0);

  constructor({ offset, line, encoding }: Place) {
    this.#start = offset;
    this.#number = line;
    this.#encoding = encoding;
  }

  get encoding(): Encoding {
    return this.#encoding ?? 'utf-8';
  }

  *push(piece: Buffer): Generator<Line> {
    let bytes = this.#odd.length > 0 ? Buffer.concat([this.#odd, piece]) : piece;
    this.#odd = bytes.subarray(0, 0);
    if (this.#encoding === undefined) {
      if (bytes.length < 2) {
        this.#odd = bytes;
        return;
      }
      this.#encoding = encodingOf(bytes);
    }
    const width = this.#encoding === 'utf-8' ? 1 : 2;
    if (bytes.length % width > 0) {
      this.#odd = bytes.subarray(-1);
      bytes = bytes.subarray(0, -1);
    }
    let from = 0;
    while (from < bytes.length) {
      const newline = newlineIn(bytes, from, this.#encoding);
      this.#keep(bytes.subarray(from, newline < 0 ? bytes.length : newline), width);
      if (newline < 0) return;
      from = newline + width;
      const line = this.#line(width);
      this.#start = line.end;
      this.#number++;
      this.#kept = [];
      this.#keptBytes = this.#lengthBytes = 0;
      yield line;
    }
  }

  /** Where the next line begins. */
  get place(): { readonly offset: number; readonly line: number } {
    return { offset: this.#start, line: this.#number };
  }

  /** Returns the line that has no newline yet, without taking it. */
  rest(evenIfEmpty = false): Line | undefined {
    return evenIfEmpty || this.#keptBytes > 0 || this.#odd.length > 0 ? this.#line(0, this.#odd) : undefined;
  }

  #keep(piece: Buffer, width: number): void {
    let from = 0;
    if (this.#keptBytes === 0) {
      while (isNul(piece, from, width)) from += width;
      this.#keptAt = this.#start + this.#lengthBytes + from;
    }
    this.#lengthBytes += piece.length;
    if (this.#keptBytes > maxLineBytes || from === piece.length) return;
    const kept = piece.subarray(from, from + maxLineBytes + width - this.#keptBytes);
    this.#kept.push(kept);
    this.#keptBytes += kept.length;
  }

  #line(newlineBytes: number, odd?: Buffer): Line {
    const pieces = odd?.length ? [...this.#kept, odd] : this.#kept;
    const bytes = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces);
    const isTooLong = bytes.length > maxLineBytes;
    return {
      number: this.#number + 1,
      start: this.#start,
      end: this.#start + this.#lengthBytes + newlineBytes,
      text: textOf(bytes, this.encoding),
      bytes,
      bytesAt: this.#keptAt,
      isEnded: newlineBytes > 0,
      problem: isTooLong ? `longer than ${maxLineBytes} bytes` : problemOf(bytes, this.encoding),
    };
  }
}

function encodingOf(bytes: Buffer): Encoding {
  if (bytes[0] === 0xff && bytes[1] === 0xfe) return 'utf-16le';
  return bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
}

function newlineIn(bytes: Buffer, from: number, encoding: Encoding): number {
  if (encoding === 'utf-8') return bytes.indexOf(10, from);
  const newline = encoding === 'utf-16le' ? '\n\0' : '\0\n';
  // A match may begin in the middle of a unit.
  for (let at = bytes.indexOf(newline, from); at >= 0; at = bytes.indexOf(newline, at + 1)) if (at % 2 === 0) return at;
  return -1;
}

function isNul(bytes: Buffer, at: number, width: number): boolean {
  return bytes[at] === 0 && (width === 1 || bytes[at + 1] === 0);
}

function textOf(bytes: Buffer, encoding: Encoding): string {
  const text = encoding === 'utf-8' ? bytes.toString() : new TextDecoder(encoding, { ignoreBOM: true }).decode(bytes);
  // Also inside of a file, because files may be joined.
  return text.startsWith('\ufeff') ? text.slice(1) : text;
}

function problemOf(bytes: Buffer, encoding: Encoding): string | undefined {
  if (encoding === 'utf-8') return isUtf8(bytes) ? undefined : 'not UTF-8';
  try {
    new TextDecoder(encoding, { fatal: true }).decode(bytes);
    return undefined;
  } catch {
    return `not ${encoding.toUpperCase()}`;
  }
}
