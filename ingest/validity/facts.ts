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
