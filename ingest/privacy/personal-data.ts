/**
 * CONTRACT: defines what is kept of the fields of a click that say who a person is: `user_id`, `ip` and `user_agent`.
 *
 * They become what is kept before the click is written to the log, so no later program ever sees more. What is kept
 * depends only on the field, the time of the click and the key. Copies of one click therefore stay equal, and clicks of
 * one person stay those of one person, within a day or for good.
 *
 *     user_id  plain      u-17
 *              hashed     hashed:3qW…22 characters of base64url, 128 bits
 *     ip       full       203.0.113.7
 *              truncated  203.0.113.0 (IPv4: the /24), 2001:db8:1:: (IPv6: the /48)
 *              hashed     fd3b:…, an IPv6 address of fd00::/8 with 120 bits of the hash
 *              none       nothing
 *     user_agent full, or none
 *
 * A hashed address has the form of an address because readers of all releases, tables and filters take addresses.
 * fd00::/8 is for networks that do not reach the internet (RFC 4193), so no visitor has such an address.
 *
 * A posted text that has the form of a hash already, or of the token of an erased person, stays as it is: it comes out of
 * an export or of the quarantine. To hash it again would make another person of it, whom nobody finds and nobody erases.
 * The address of a connection is never such a text.
 *
 * The hash is HMAC-SHA256 with a key that is kept apart from the clicks. Without a key it would hide nothing: there are
 * only 2^32 IPv4 addresses, and ids of users can be guessed, so anybody could hash them all and look theirs up.
 */
import { createHmac, type KeyObject } from 'node:crypto';
import ipaddr from 'ipaddr.js';

/** `fixed`: one person has the same hash for good. `daily`: another one on each UTC day of the click. */
export type HashSalt = 'fixed' | 'daily';

export interface PersonalDataRules {
  readonly ip: 'full' | 'truncated' | 'hashed' | 'none';
  readonly userId: 'plain' | 'hashed';
  /** Left out: full. */
  readonly userAgent?: 'full' | 'none';
  readonly salt: HashSalt;
  /** Must be there when something is hashed. */
  readonly key?: KeyObject | undefined;
}

/** The functions take a value that the rules of a click allow (click-body.ts), and the time of the click in epoch ms. */
export interface PersonalData {
  keptUserId(userId: string, clickedAt: number): string;
  /** Of an address that somebody has posted. Undefined: nothing is kept. */
  keptIp(ip: string, clickedAt: number): string | undefined;
  /** Of the address from which a visitor has come. */
  keptVisitorIp(ip: string, clickedAt: number): string | undefined;
  readonly keepsUserAgent: boolean;
}

/** Returns undefined when all fields are kept as they are. */
export function createPersonalData(rules: PersonalDataRules): PersonalData | undefined {
  const { ip: ipRule, userId, userAgent = 'full', salt, key } = rules;
  if (ipRule === 'full' && userId === 'plain' && userAgent === 'full') return undefined;
  const needed = () => {
    if (key === undefined) throw new Error('a hash needs a key');
    return key;
  };
  const keptVisitorIp = (text: string, clickedAt: number) => {
    switch (ipRule) {
      case 'full':
        return text;
      case 'truncated':
        return truncatedIp(text);
      case 'hashed':
        return hashedIp(needed(), text, saltOf(salt, clickedAt));
      case 'none':
        return undefined;
    }
  };
  return {
    keepsUserAgent: userAgent === 'full',
    keptUserId: (text, clickedAt) =>
      userId === 'plain' || keptUserIdPattern.test(text) ? text : hashedUserId(needed(), text, saltOf(salt, clickedAt)),
    keptIp: (text, clickedAt) =>
      ipRule === 'hashed' && keptIpPattern.test(text) ? text : keptVisitorIp(text, clickedAt),
    keptVisitorIp,
  };
}

/** As `hashedUserId` makes them, and `tokenOf` of erasure-record.ts. The last of 22 characters stands for 2 bits of 128. */
const keptUserIdPattern = /^(?:hashed:[A-Za-z0-9_-]{21}[AQgw]|erased:[A-Za-z0-9_-]{22})$/;
/** As `hashedIp` makes them, and `addressTokenOf` of erasure-record.ts: with all 32 digits. */
export const keptIpPattern = /^fd[0-9a-f]{2}(?::[0-9a-f]{4}){7}$/;

/** Returns the UTC day of a click, as `2026-11-29`, or an empty text where the salt does not change. */
export function saltOf(salt: HashSalt, clickedAt: number): string {
  return salt === 'fixed' ? '' : new Date(clickedAt).toISOString().slice(0, 10);
}

export function hashedUserId(key: KeyObject, userId: string, salt: string): string {
  return `hashed:${hash(key, 'user_id', salt, userId).toString('base64url', 0, 16)}`;
}

/** Two spellings of one address have the same hash. */
export function hashedIp(key: KeyObject, ip: string, salt: string): string {
  const hex = hash(key, 'ip', salt, ipaddr.process(ip).toNormalizedString()).toString('hex', 0, 15);
  return `fd${hex}`.match(/.{4}/g)!.join(':');
}

/** Three bytes of an IPv4 address, and six of an IPv6 address, which is what one site or customer has at most. */
function truncatedIp(ip: string): string {
  const address = ipaddr.process(ip);
  const kept = address.toByteArray().map((byte, i) => (i < (address.kind() === 'ipv4' ? 3 : 6) ? byte : 0));
  return ipaddr.fromByteArray(kept).toString();
}

/** No field contains a newline, so two inputs never have the same text. */
function hash(key: KeyObject, field: string, salt: string, value: string): Buffer {
  return createHmac('sha256', key).update(`${field}\n${salt}\n${value}`).digest();
}
