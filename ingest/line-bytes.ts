/** Compares and scans the bytes of a canonical line, several at a time: what the fast path of `record-reader.ts` is made of. */

const ascii = (text: string) => new TextEncoder().encode(text);

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

export function keyOf(text: string): Key {
  const view = new DataView(ascii(text).buffer);
  return { length: text.length, first: view.getFloat64(0, true), last: view.getFloat64(text.length - 8, true) };
}

const quote = 0x22;
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

export function isAdChar(byte: number): boolean {
  return kinds[byte]! === adChar;
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

export function matches(view: DataView, at: number, end: number, { length, first, last }: Key): boolean {
  return at + length <= end && view.getFloat64(at, true) === first && view.getFloat64(at + length - 8, true) === last;
}

/** Returns the end of the plain text that starts at `at`. */
export function plainEnd(view: DataView, b: Uint8Array, at: number, end: number): number {
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
export function fourDigits(word: number): number {
  const digits = word - 0x30303030;
  if (((digits | (digits + 0x06060606)) & 0xf0f0f0f0) !== 0) return -1;
  const pairs = digits * 10 + (digits >>> 8);
  return (pairs & 0xff) * 100 + ((pairs >>> 16) & 0xff);
}

/** Returns the end of plain text of 1 to `maxLength` bytes, or -1 if it is empty or longer. */
export function plainText(view: DataView, b: Uint8Array, start: number, end: number, maxLength: number): number {
  const i = plainEnd(view, b, start, end);
  return i === start || i - start > maxLength ? -1 : i;
}
