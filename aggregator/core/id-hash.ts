/**
 * A 128-bit hash of an event id's bytes: MurmurHash3 x86 128 (Austin Appleby, public domain), with the last block
 * padded by zeros; the length goes into the result, so padding cannot make two ids meet.
 *
 * Two ids are taken for the same click if their 128 bits agree. With n ids in one window that happens by chance with
 * probability below n² / 2^129: 10^-25 for ten million. The seed is the process's secret: without it nobody can choose
 * ids that collide. It never changes what is counted, only where an id lies in memory.
 */
export function hashId(b: DataView, start: number, end: number, seed: number, into: Int32Array, at = 0): void {
  let h1 = seed | 0;
  let h2 = seed | 0;
  let h3 = seed | 0;
  let h4 = seed | 0;
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

const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

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
