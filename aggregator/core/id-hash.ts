/**
 * A 128-bit hash of an event id's bytes: MurmurHash3 x86 128 (Austin Appleby, public domain), with the last block
 * padded by zeros; the length goes into the result, so padding cannot make two ids meet.
 *
 * Two ids are taken for the same click if their 128 bits agree. With n ids in one window that happens by chance with
 * probability below n² / 2^129: 10^-25 for ten million. On purpose it can be brought about where the multipliers are
 * known, under every seed at once (Aumasson, Bernstein: attacks on MurmurHash, 2012). So they belong to the key as well,
 * which is the process's secret: pairs that collide under one key do not under the next, and nobody can work any out
 * beforehand. That is no proof, as there is for SipHash. The key never changes what is counted otherwise, only where an
 * id lies in memory.
 */
export function hashId(b: DataView, start: number, end: number, key: IdKey, into: Int32Array, at = 0): void {
  const c1 = key[1]!;
  const c2 = key[2]!;
  const c3 = key[3]!;
  const c4 = key[4]!;
  let h1 = key[0]!;
  let h2 = h1;
  let h3 = h1;
  let h4 = h1;
  for (let i = start; i < end; i += 16) {
    const whole = i + 16 <= end;
    const k1 = whole ? b.getInt32(i, true) : partialWord(b, i, end);
    const k2 = whole ? b.getInt32(i + 4, true) : partialWord(b, i + 4, end);
    const k3 = whole ? b.getInt32(i + 8, true) : partialWord(b, i + 8, end);
    const k4 = whole ? b.getInt32(i + 12, true) : partialWord(b, i + 12, end);
    h1 ^= Math.imul(rotate(Math.imul(k1, c1), 15), c2);
    h1 = (Math.imul((rotate(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotate(Math.imul(k2, c2), 16), c3);
    h2 = (Math.imul((rotate(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotate(Math.imul(k3, c3), 17), c4);
    h3 = (Math.imul((rotate(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotate(Math.imul(k4, c4), 18), c1);
    h4 = (Math.imul((rotate(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  const length = end - start;
  h1 ^= length;
  h2 ^= length;
  h3 ^= length;
  h4 ^= length;
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
}

/** The seed, and four odd multipliers. */
export type IdKey = Int32Array;

/** `seed`: 32 random bits, of which all others are made. */
export function idKeyOf(seed: number): IdKey {
  const key = new Int32Array(5);
  // Weyl's sequence, each member mixed (splitmix).
  for (let i = 0, state = seed | 0; i < key.length; i++) {
    state = (state + 0x9e3779b9) | 0;
    key[i] = avalanche(state) | (i === 0 ? 0 : 1);
  }
  return key;
}

function rotate(x: number, by: number): number {
  return (x << by) | (x >>> (32 - by));
}

function avalanche(h: number): number {
  let x = h ^ (h >>> 16);
  x = Math.imul(x, 0x85ebca6b);
  x ^= x >>> 13;
  x = Math.imul(x, 0xc2b2ae35);
  return x ^ (x >>> 16);
}

function partialWord(b: DataView, start: number, end: number): number {
  let x = 0;
  for (let i = start, shift = 0; i < end && shift < 32; i++, shift += 8) x |= b.getUint8(i) << shift;
  return x;
}
