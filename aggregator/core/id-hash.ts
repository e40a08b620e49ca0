/**
 * Computes a 128-bit hash of a click's identity, which is its ad and its event id.
 *
 * It is MurmurHash3 x86 128 (Austin Appleby, public domain) over the blocks of the ad and then those of the event id.
 * How a text is divided into blocks depends on its length, and both lengths go into the result. So no two different
 * pairs have the same input, wherever one text ends and the other begins.
 *
 * Two clicks are treated as equal if their 128 bits agree. With n clicks in one window this happens by chance with a
 * probability below n² / 2^129, which is 10^-25 for ten million. An attacker who knows the multipliers can cause it on
 * purpose, under every seed at once (Aumasson, Bernstein: attacks on MurmurHash, 2012). So the multipliers belong to
 * the key, which is a secret of the process. Pairs that collide under one key do not collide under the next, and nobody
 * can compute such pairs beforehand. There is no proof of that, as there is for SipHash. Apart from collisions, the key
 * never changes what is counted, only where an id lies in memory.
 */

/** The positions of ad and event id in `view`. Neither is empty. */
export interface IdBytes {
  readonly view: DataView;
  readonly adIdStart: number;
  readonly adIdEnd: number;
  readonly eventIdStart: number;
  readonly eventIdEnd: number;
}

/**
 * Writes four words into `into`. Without `isPerAd` they depend on the event id alone, as in minutes from before the ad
 * was part of the identity (checkpoint.ts). Where `firstInto` is given, three words of the first text alone are written
 * there, so that an address and a person at this address are hashed together (click-persons.ts). @returns 32 bits of the
 * ad alone, which are a by-product and serve to look up its cells (cell-table.ts)
 *
 * Long because it runs for every click: the steps of a block are written out, as calls for them would cost more than they do.
 */
export function hashClick(
  click: IdBytes,
  isPerAd: boolean,
  key: IdKey,
  into: Int32Array,
  at = 0,
  firstInto?: Int32Array,
  firstAt = 0,
): number {
  const { view: b, adIdStart, adIdEnd, eventIdStart, eventIdEnd } = click;
  const c1 = key[1]!;
  const c2 = key[2]!;
  const c3 = key[3]!;
  const c4 = key[4]!;
  let h1 = key[0]!;
  let h2 = h1;
  let h3 = h1;
  let h4 = h1;
  let adHash = 0;
  let isAd = true;
  let start = adIdStart;
  let end = adIdEnd;
  for (let i = start; ; ) {
    // The last block of a text is its last 16 bytes. Some of them may also be in the block before.
    const block = i + 16 <= end ? i : end - 16;
    let k1 = 0;
    let k2 = 0;
    let k3 = 0;
    let k4 = 0;
    if (block >= start) {
      k1 = b.getInt32(block, true);
      k2 = b.getInt32(block + 4, true);
      k3 = b.getInt32(block + 8, true);
      k4 = b.getInt32(block + 12, true);
    } else if (end - start >= 8) {
      k1 = b.getInt32(start, true);
      k2 = b.getInt32(start + 4, true);
      k3 = b.getInt32(end - 8, true);
      k4 = b.getInt32(end - 4, true);
    } else if (end - start >= 4) {
      k1 = b.getInt32(start, true);
      k2 = b.getInt32(end - 4, true);
    } else {
      for (let at = start; at < end; at++) k1 = (k1 << 8) | b.getUint8(at);
    }
    h1 ^= Math.imul(rotate(Math.imul(k1, c1), 15), c2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(k2, c2), 16), c3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(k3, c3), 17), c4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(k4, c4), 18), c1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
    i += 16;
    if (i < end) continue;
    if (!isAd) break;
    isAd = false;
    adHash = (h1 + h2 + h3 + h4) ^ (adIdEnd - adIdStart);
    if (firstInto !== undefined) {
      firstInto[firstAt] = avalanche(adHash);
      firstInto[firstAt + 1] = h2 + Math.imul(h1, c3);
      firstInto[firstAt + 2] = h3 + Math.imul(h4, c4);
    }
    start = eventIdStart;
    end = eventIdEnd;
    i = start;
    if (!isPerAd) {
      h1 = key[0]!;
      h2 = h1;
      h3 = h1;
      h4 = h1;
    }
  }
  const lengths = (isPerAd ? (adIdEnd - adIdStart) << 16 : 0) | (eventIdEnd - eventIdStart);
  h1 ^= lengths;
  h2 ^= lengths;
  h3 ^= lengths;
  h4 ^= lengths;
  h1 = (h1 + h2 + h3 + h4) | 0;
  h2 = (h2 + h1) | 0;
  h3 = (h3 + h1) | 0;
  h4 = (h4 + h1) | 0;
  h1 = avalanche(h1);
  h2 = avalanche(h2);
  h3 = avalanche(h3);
  h4 = avalanche(h4);
  h1 = (h1 + h2 + h3 + h4) | 0;
  into[at] = h1;
  into[at + 1] = h2 + h1;
  into[at + 2] = h3 + h1;
  into[at + 3] = h4 + h1;
  return adHash;
}

/** The seed, and four odd multipliers. */
export type IdKey = Int32Array;

/** `seed` is 32 random bits, from which the whole key is derived. */
export function idKeyOf(seed: number): IdKey {
  const key = new Int32Array(5);
  // Weyl's sequence, with each member mixed (splitmix).
  for (let i = 0, state = seed | 0; i < key.length; i++) {
    state = (state + 0x9e3779b9) | 0;
    key[i] = avalanche(state) | (i === 0 ? 0 : 1);
  }
  return key;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

export function avalanche(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}
