/**
 * Encodes what is known of acknowledgements into the metadata of a committed offset, and decodes it again.
 *
 * The text holds five numbers, and six more for each writer, in base 36. With the highest number of writers and the
 * largest numbers that a header may contain, it takes less than 3 KB. The broker allows 4096 bytes.
 */
import { type AckState, unknownAcks, type WriterState } from './core/acknowledgements.ts';

export function encodeAcks({ writers, ...acks }: AckState): string {
  const { acknowledged, missing, repeated, unreadable, unknownUntil } = acks;
  const head = [acknowledged, missing, repeated, unreadable, unknownUntil];
  const rows = writers.map(({ writer, batch, lines, received, total, seen, seenAt }) => {
    return [writer, ...numbersText([batch, lines, received, total, seen, seenAt])].join('.');
  });
  return [numbersText(head).join('.'), ...rows].join(' ');
}

/**
 * Returns `unknownAcks` when the commit was made by a release that did not follow acknowledgements, and when this
 * release cannot read the text. Clicks are counted in both cases.
 */
export function decodeAcks(text: unknown): AckState {
  if (typeof text !== 'string') return unknownAcks;
  const [head = '', ...rows] = text.split(' ');
  const [acknowledged, missing, repeated, unreadable, unknownUntil] = numbersOf(head.split('.'));
  if (acknowledged === undefined || missing === undefined || repeated === undefined || unreadable === undefined)
    return unknownAcks;
  const writers = rows.map(writerOf);
  const totals = { acknowledged, missing, repeated, unreadable };
  // A writer that cannot be read may be any writer, so all of them are unknown.
  if (!writers.every(state => state !== undefined)) return { ...unknownAcks, ...totals };
  return { ...totals, unknownUntil, writers };
}

function writerOf(row: string): WriterState | undefined {
  const [writer = '', ...rest] = row.split('.');
  const [batch, lines, received, total, seen, seenAt] = numbersOf(rest);
  if (batch === undefined || lines === undefined || total === undefined || seen === undefined || seenAt === undefined)
    return undefined;
  return { writer, batch, lines, received, total, seen, seenAt };
}

/** An undefined value is written as no digits. */
function numbersText(values: readonly (number | undefined)[]): string[] {
  return values.map(value => value?.toString(36) ?? '');
}

function numbersOf(texts: readonly string[]): (number | undefined)[] {
  return texts.map(text => {
    const value = /^[0-9a-z]{1,11}$/.test(text) ? Number.parseInt(text, 36) : Number.NaN;
    return Number.isSafeInteger(value) ? value : undefined;
  });
}
