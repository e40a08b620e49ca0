/**
 * CONTRACT: defines what ingest finds out about a click for the rules of invalid traffic (rules.ts), and how a line says so.
 *
 * Facts are found once, when the click is received, by the lists that ingest has then. They stand in the line as field
 * `facts`: one letter each, in alphabetical order, without the field when there are none. So whoever counts the log
 * again finds the same facts, whatever the lists say by then. A letter that a reader does not know has no effect.
 */

/** Each fact, its letter in a line, and its bit in a number of facts. */
export const facts = {
  /** The address or the user agent is on the operator's list of those that no rule applies to. */
  allowed: { letter: 'a', bit: 1 },
  /** The user agent names a robot. */
  bot: { letter: 'b', bit: 2 },
  /** The address belongs to a network of machines, not of persons. */
  datacentre: { letter: 'c', bit: 4 },
  /** The address or the user agent is on the operator's list of those whose clicks are invalid. */
  denied: { letter: 'd', bit: 8 },
  /** A field has a value that no click has, such as a multicast address. */
  impossible: { letter: 'i', bit: 16 },
  /** A browser has sent the click itself, without a field that browsers send. */
  missing: { letter: 'm', bit: 32 },
  /** A program has loaded the link before anybody clicked, or only asked whether it works (`Sec-Purpose`, `HEAD`). */
  prefetch: { letter: 'p', bit: 64 },
} as const satisfies Record<string, { readonly letter: string; readonly bit: number }>;
export type Fact = keyof typeof facts;

/** Returns the letters of facts (bits), in alphabetical order. */
export function factsText(bits: number): string {
  return texts[bits & allBits]!;
}

/** Returns the bits of the facts whose letters these are. */
export function factsIn(letters: string): number {
  let bits = 0;
  for (let i = 0; i < letters.length; i++) bits |= factBitOf(letters.charCodeAt(i));
  return bits;
}

/** Returns the bit of a letter (its code), or 0 for what is the letter of no fact. */
export function factBitOf(letter: number): number {
  return letter < 128 ? bitsOfLetters[letter]! : 0;
}

const inOrder = Object.values(facts).toSorted((a, b) => (a.letter < b.letter ? -1 : 1));
const allBits = inOrder.reduce((bits, { bit }) => bits | bit, 0);
const texts = Array.from({ length: allBits + 1 }, (_, bits) =>
  inOrder.map(({ letter, bit }) => ((bits & bit) === 0 ? '' : letter)).join(''),
);
const bitsOfLetters = new Uint8Array(128);
for (const { letter, bit } of inOrder) bitsOfLetters[letter.charCodeAt(0)] = bit;
