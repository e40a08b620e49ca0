/**
 * Pure: finds which of many prefixes of ad ids have ads in common with another one, without comparing it with each: those
 * that it begins with, and those that begin with it.
 */
interface UnderPrefix<T> {
  readonly prefix: string;
  readonly value: T;
}

export class PrefixIndex<T> {
  readonly #byPrefix = new Map<string, T[]>();
  /** All prefixes, sorted, in pieces, so that adding one moves few others. */
  readonly #sorted: string[][] = [[]];

  add(prefix: string, value: T): void {
    const known = this.#byPrefix.get(prefix);
    if (known) {
      known.push(value);
      return;
    }
    this.#byPrefix.set(prefix, [value]);
    const at = this.#pieceOf(prefix);
    const piece = this.#sorted[at] ?? [];
    piece.splice(firstNotBefore(piece, prefix), 0, prefix);
    if (piece.length > mostInPiece) this.#sorted.splice(at + 1, 0, piece.splice(mostInPiece / 2));
  }

  *sharing(wanted: string): Iterable<UnderPrefix<T>> {
    for (let length = 1; length < wanted.length; length++) yield* this.#under(wanted.slice(0, length));
    for (const prefix of this.#from(wanted)) {
      if (!prefix.startsWith(wanted)) return;
      yield* this.#under(prefix);
    }
  }

  *#under(prefix: string): Iterable<UnderPrefix<T>> {
    for (const value of this.#byPrefix.get(prefix) ?? []) yield { prefix, value };
  }

  *#from(wanted: string): Iterable<string> {
    const first = this.#pieceOf(wanted);
    for (let at = first; at < this.#sorted.length; at++) {
      const piece = this.#sorted[at] ?? [];
      for (let i = at === first ? firstNotBefore(piece, wanted) : 0; i < piece.length; i++) yield piece[i] ?? '';
    }
  }

  /** The last piece that begins with it or before it. */
  #pieceOf(prefix: string): number {
    let [from, to] = [0, this.#sorted.length - 1];
    while (from < to) {
      const middle = (from + to + 1) >>> 1;
      if ((this.#sorted[middle]?.[0] ?? '') <= prefix) from = middle;
      else to = middle - 1;
    }
    return from;
  }
}

const mostInPiece = 512;

function firstNotBefore(sorted: readonly string[], prefix: string): number {
  let [from, to] = [0, sorted.length];
  while (from < to) {
    const middle = (from + to) >>> 1;
    if ((sorted[middle] ?? '') < prefix) from = middle + 1;
    else to = middle;
  }
  return from;
}
