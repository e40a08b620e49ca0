/**
 * Mints click ids: ULIDs, 48 bits of epoch ms and 80 random bits in Crockford's base 32, 26 characters. They sort by
 * the ms of receipt (within one ms in no particular order), so neighbours in time are neighbours on disk.
 * Random bits come from the system's cryptographic source in blocks: asking it for every click would cost most of the time.
 */
import { randomFillSync } from 'node:crypto';

export type ClickIdMint = (nowMs: number) => string;

export function createClickIdMint(): ClickIdMint {
  const pool = new Uint16Array(8 * 1_024);
  let used = pool.length;
  let timeMs = -1;
  let timeText = '';
  return nowMs => {
    if (nowMs !== timeMs) {
      timeMs = nowMs;
      timeText = encodeTime(nowMs);
    }
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    let id = timeText;
    for (const end = used + 8; used < end; used++) id += pairs[pool[used]! & 1_023];
    return id;
  };
}

const alphabet = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';

/** Two characters for every value of 10 bits. */
const pairs = Array.from({ length: 1_024 }, (_, bits) => `${alphabet[bits >> 5]}${alphabet[bits & 31]}`);

function encodeTime(timeMs: number): string {
  let text = '';
  for (let rest = timeMs, i = 0; i < 10; i++, rest = Math.floor(rest / 32)) text = alphabet[rest % 32] + text;
  return text;
}
