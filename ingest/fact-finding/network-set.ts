/**
 * Holds a set of networks, and tells whether an address is in one of them. The networks are kept as ranges that do not
 * overlap, in order, so a look costs a binary search.
 */
import { isIP } from 'node:net';
import { type Slices, sorted } from '../../infra/slices.ts';
import { type Address, addressOf, compareIpv6, type Ipv6, isIpv4 } from './address.ts';

export type Network = Range<number> | Range<Ipv6>;

interface Range<T extends Address> {
  readonly first: T;
  readonly last: T;
}

export class NetworkSet {
  readonly #firsts4: Uint32Array;
  readonly #lasts4: Uint32Array;
  readonly #ranges6: readonly Range<Ipv6>[];

  private constructor(ranges4: readonly Range<number>[], ranges6: readonly Range<Ipv6>[]) {
    this.#firsts4 = new Uint32Array(ranges4.length);
    this.#lasts4 = new Uint32Array(ranges4.length);
    // Several times faster than `Uint32Array.from` with a function, and this is one slice.
    for (let i = 0; i < ranges4.length; i++) {
      this.#firsts4[i] = ranges4[i]!.first;
      this.#lasts4[i] = ranges4[i]!.last;
    }
    this.#ranges6 = ranges6;
  }

  static *of(networks: readonly Network[]): Slices<NetworkSet> {
    const ranges4 = yield* united(networks.filter(isRange4), (a, b) => a - b);
    const ranges6 = yield* united(networks.filter(isRange6), compareIpv6);
    return new NetworkSet(ranges4, ranges6);
  }

  has(address: Address): boolean {
    return isIpv4(address) ? this.#has4(address) : this.#has6(address);
  }

  /** The number of addresses of each kind. */
  get covered(): { readonly ipv4: number; readonly ipv6: bigint } {
    const ipv4 = this.#firsts4.reduce((sum, first, i) => sum + this.#lasts4[i]! - first + 1, 0);
    const ipv6 = this.#ranges6.reduce((sum, { first, last }) => sum + wholeOf(last) - wholeOf(first) + 1n, 0n);
    return { ipv4, ipv6 };
  }

  #has4(address: number): boolean {
    const firsts = this.#firsts4;
    /** In the end, the first range that begins behind the address. */
    let low = 0;
    for (let high = firsts.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (firsts[middle]! <= address) low = middle + 1;
      else high = middle;
    }
    return low > 0 && this.#lasts4[low - 1]! >= address;
  }

  #has6(address: Ipv6): boolean {
    const ranges = this.#ranges6;
    let low = 0;
    for (let high = ranges.length; low < high; ) {
      const middle = (low + high) >>> 1;
      if (compareIpv6(ranges[middle]!.first, address) <= 0) low = middle + 1;
      else high = middle;
    }
    return low > 0 && compareIpv6(ranges[low - 1]!.last, address) >= 0;
  }
}

/**
 * Returns the network that `text` names, or the rule that it breaks. No provider has more addresses than a network of
 * the fewest bits. A wider one is half of a line, or a mistake that hits everybody.
 */
export function networkIn(
  text: string,
  fewestBits: { readonly ipv4: number; readonly ipv6: number } = { ipv4: 8, ipv6: 16 },
): Network | { readonly rule: string } {
  const slash = text.indexOf('/');
  const written = slash === -1 ? text : text.slice(0, slash);
  const length = slash === -1 ? -1 : lengthIn(text, slash + 1);
  const family = isIP(written);
  if (family === 0 || Number.isNaN(length) || written.includes('%'))
    return { rule: 'must be an address or a network such as 192.0.2.0/24 or 2001:db8::/32' };
  const first = addressOf(written);
  if (family === 6 && isIpv4(first)) return { rule: 'must be written as IPv4' };
  const [width, fewest] = isIpv4(first) ? [32, fewestBits.ipv4] : [128, fewestBits.ipv6];
  const bits = length === -1 ? width : length;
  if (bits < fewest || bits > width) return { rule: `must have ${fewest} to ${width} bits behind the slash` };
  const rest = (word: number) => restOf(bits - 32 * word);
  const isFirst = isIpv4(first) ? (first & rest(0)) === 0 : first.every((part, i) => (part & rest(i)) === 0);
  if (!isFirst) return { rule: `must be the first address of its network of /${bits}` };
  if (isIpv4(first)) return { first, last: lastWord(first, rest(0)) };
  const [a, b, c, d] = first;
  return { first, last: [lastWord(a, rest(0)), lastWord(b, rest(1)), lastWord(c, rest(2)), lastWord(d, rest(3))] };
}

/** Returns NaN for what is no number of bits. */
function lengthIn(text: string, start: number): number {
  const digits = text.slice(start);
  return /^(?:0|[1-9]\d{0,2})$/.test(digits) ? Number(digits) : Number.NaN;
}

/** Returns the bits of a word that are behind its first `bits`. */
function restOf(bits: number): number {
  return bits <= 0 ? -1 : bits >= 32 ? 0 : -1 >>> bits;
}

function lastWord(word: number, rest: number): number {
  return (word | rest) >>> 0;
}

function isRange4(network: Network): network is Range<number> {
  return isIpv4(network.first);
}

function isRange6(network: Network): network is Range<Ipv6> {
  return !isIpv4(network.first);
}

/** Returns the same addresses as ranges in order that do not overlap. */
function* united<T extends Address>(ranges: readonly Range<T>[], compare: (a: T, b: T) => number): Slices<Range<T>[]> {
  const result: { first: T; last: T }[] = [];
  const inOrder = yield* sorted(ranges, (a, b) => compare(a.first, b.first));
  for (const [i, { first, last }] of inOrder.entries()) {
    if (i % rangesInSlice === 0) yield;
    const before = result.at(-1);
    if (before === undefined || compare(first, before.last) > 0) result.push({ first, last });
    else if (compare(last, before.last) > 0) before.last = last;
  }
  return result;
}

const rangesInSlice = 2_000;

function wholeOf(words: Ipv6): bigint {
  return words.reduce((whole, word) => (whole << 32n) | BigInt(word), 0n);
}
