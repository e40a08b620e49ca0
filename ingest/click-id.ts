/**
 * Creates click ids, which are ULIDs: 48 bits of epoch ms and 80 random bits in Crockford's base 32, 26 characters.
 *
 * They sort by the millisecond of receipt (within one millisecond in no particular order), so clicks that are close in
 * time are close on disk. The random bits come from the system's cryptographic source in blocks. Asking it for every
 * click would take most of the time.
 */
import { randomFillSync } from 'node:crypto';

export type ClickIdMint = (nowMs: number) => string;
/** Writes an id of `clickIdLength` bytes at `at`. */
export type ClickIdWriter = (nowMs: number, target: Uint8Array, at: number) => void;

export const clickIdLength = 26;

export function createClickIdMint(): ClickIdMint {
  const write = createClickIdWriter();
  const id = Buffer.alloc(clickIdLength);
  return nowMs => {
    write(nowMs, id, 0);
    return id.toString('latin1');
  };
}

export function createClickIdWriter(): ClickIdWriter {
  const pool = new Uint16Array(8 * 1_024);
  let used = pool.length;
  let timeMs = -1;
  const time = new Uint8Array(10);
  return (nowMs, target, at) => {
    if (nowMs !== timeMs) {
      timeMs = nowMs;
      writeTime(nowMs, time);
    }
    if (used === pool.length) {
      randomFillSync(pool);
      used = 0;
    }
    for (let i = 0; i < time.length; i++) target[at + i] = time[i]!;
    for (let i = at + time.length; i < at + clickIdLength; i += 2) {
      const bits = pool[used++]!;
      target[i] = alphabet[(bits >> 5) & 31]!;
      target[i + 1] = alphabet[bits & 31]!;
    }
  };
}

const alphabet = Buffer.from('0123456789ABCDEFGHJKMNPQRSTVWXYZ');

function writeTime(timeMs: number, target: Uint8Array): void {
  for (let rest = timeMs, i = target.length - 1; i >= 0; i--, rest = Math.floor(rest / 32)) {
    target[i] = alphabet[rest % 32]!;
  }
}
