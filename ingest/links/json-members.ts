/**
 * Reads a large JSON object in slices: one member after another, and those of one object within it likewise. Where a
 * member ends is found without parsing it (json-extent.ts), and each is then parsed by `JSON.parse`, so nothing is
 * accepted here that is refused there.
 */
import type { Slices } from '../../infra/slices.ts';
import { JsonExtent } from '../json-extent.ts';

export interface MemberTaker {
  /** A member of the object itself. Of two with one name, the later one counts. */
  member(name: string, value: unknown): void;
  /** The name of the member whose own members are taken one by one, if it is an object. */
  readonly large: string;
  /** It begins, perhaps for the second time, and what was there before does not count. */
  largeBegins(): void;
  largeMember(name: string, value: unknown): void;
}

/** @throws SyntaxError */
export function* readMembers(json: Buffer, taker: MemberTaker): Slices<void> {
  const end = yield* readObject(json, behindSpace(json, 0), {
    take: (name, value) => taker.member(name, value),
    *large(start) {
      const name = JSON.stringify(taker.large);
      const nameAt = behindSpace(json, start);
      const colonAt = behindSpace(json, nameAt + name.length);
      const at = behindSpace(json, colonAt + 1);
      const isIt = json.toString('latin1', nameAt, nameAt + name.length) === name && json[colonAt] === colon;
      if (!isIt || json[at] !== openingBrace) return undefined;
      taker.largeBegins();
      const behind = yield* readObject(json, at, { take: (name, value) => taker.largeMember(name, value) });
      return behindSpace(json, behind);
    },
  });
  if (behindSpace(json, end) < json.length) throw new SyntaxError('something follows the object');
}

interface ObjectReading {
  take(name: string, value: unknown): void;
  /** Returns where the comma or brace behind the member is that it has read, or undefined if it reads none here. */
  large?(start: number): Slices<number | undefined>;
}

/** Returns where the object ends. */
function* readObject(json: Buffer, at: number, { take, large }: ObjectReading): Slices<number> {
  if (json[at] !== openingBrace) throw new SyntaxError('must be an object');
  const extent = new JsonExtent();
  let sliceEnd = at + bytesInSlice;
  for (let start = at + 1, isFirst = true; ; isFirst = false) {
    let end = large && (yield* large(start));
    if (end === undefined) {
      extent.begin(start);
      while (!extent.run(json, Math.min(sliceEnd, json.length))) {
        if (sliceEnd >= json.length) throw new SyntaxError('the object does not end');
        yield;
        sliceEnd = Math.max(sliceEnd, extent.at) + bytesInSlice;
      }
      end = extent.at;
      // In braces of its own it is an object of one member, or no JSON.
      const entries = Object.entries(JSON.parse(`{${json.toString('utf8', start, end)}}`));
      const isEmpty = isFirst && json[end] === closingBrace;
      if (entries.length === 0 && !isEmpty) throw new SyntaxError('a member is missing');
      for (const [name, value] of entries) take(name, value);
    }
    if (json[end] === closingBrace) return end + 1;
    if (json[end] !== comma) throw new SyntaxError('must have a comma between two members');
    start = end + 1;
  }
}

/** A few hundred destinations. */
const bytesInSlice = 32 << 10;

function behindSpace(json: Buffer, from: number): number {
  let at = from;
  while (json[at] === 0x20 || json[at] === 0x0a || json[at] === 0x0d || json[at] === 0x09) at++;
  return at;
}

const [openingBrace, closingBrace, comma, colon] = [0x7b, 0x7d, 0x2c, 0x3a];
