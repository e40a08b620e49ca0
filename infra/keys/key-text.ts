/**
 * Defines an API key as people and programs have it:
 *
 *     adclicks_<id: 16 letters and digits>_<secret: 43><checksum: 6>
 *     adclicks_pub_<id>_<secret><checksum>
 *
 * The second is a public key, which stands in the source of pages. It looks different so that a scanner of secrets does
 * not report it, and so that a person notices a key that must not be there.
 *
 * The secret is 256 random bits in base62, so that a double click selects a key as a whole, and no program has to escape
 * it. The checksum is the CRC-32 of all before it, in base62. With the fixed beginning it lets scanners of secrets
 * recognise a key in code and logs, and tell it from a text that only looks like one. A typing error is told without
 * looking anything up.
 */
import { hash, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

export interface KeyText {
  readonly keyId: string;
  /** SHA-256 of the secret as it is written, which is all that is stored of it. */
  readonly secretHash: Buffer;
}

/** Returns a text that is unlike any other. `random` returns that many random bytes. */
export function mintKeyText(
  keyId = mintKeyId(),
  random: RandomBytes = randomBytes,
  kind: 'secret' | 'public' = 'secret',
): { keyId: string; text: string } {
  const unchecked = `adclicks_${kind === 'public' ? 'pub_' : ''}${keyId}_${base62(random(32), secretLength)}`;
  return { keyId, text: unchecked + checksumOf(unchecked) };
}

/** Returns undefined for a text that is not a key. */
export function parseKeyText(text: string): KeyText | undefined {
  const [, unchecked = '', keyId, secret, checksum] = form.exec(text) ?? [];
  if (keyId === undefined || secret === undefined || checksum !== checksumOf(unchecked)) return undefined;
  return { keyId, secretHash: hash('sha256', secret, 'buffer') };
}

/** Returns what stands where the id of a key would be, of any text, without checking the rest. */
export function keyIdPart(text: string): string {
  const [, part = ''] = /^adclicks_(?:pub_)?([0-9A-Za-z]{16})_/.exec(text) ?? [];
  return part;
}

/** Replaces whatever looks like a key. For texts of others that we keep. */
export function withoutKeyTexts(text: string): string {
  return text.includes('adclicks_')
    ? text.replace(/adclicks_((?:pub_)?[0-9A-Za-z]{1,16})_[0-9A-Za-z]+/g, 'adclicks_$1_***')
    : text;
}

export type RandomBytes = (size: number) => Buffer;

/** Also for what else of a key needs a name of its own. 95 bits. */
export function mintKeyId(random: RandomBytes = randomBytes): string {
  return base62(random(12), keyIdLength).slice(-keyIdLength);
}

export const keyIdPattern = /^[0-9A-Za-z]{16}$/;

const keyIdLength = 16;
/** 62^43 is just above 2^256. */
const secretLength = 43;
const form = /^(adclicks_(?:pub_)?([0-9A-Za-z]{16})_([0-9A-Za-z]{43}))([0-9A-Za-z]{6})$/;
const digits = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

function checksumOf(text: string): string {
  let rest = crc32(text);
  let written = '';
  for (let i = 0; i < 6; i++) {
    written = digits[rest % 62]! + written;
    rest = Math.floor(rest / 62);
  }
  return written;
}

function base62(bytes: Buffer, length: number): string {
  let rest = BigInt(`0x${bytes.toString('hex')}`);
  let written = '';
  for (; rest > 0n; rest /= 62n) written = digits[Number(rest % 62n)]! + written;
  return written.padStart(length, '0');
}
