/**
 * Decides whether a text is a key that is in force.
 *
 * Hashes are compared in constant time, also for a key that does not exist. Only a client that knows the secret learns
 * what happened to its key. All others get the same answer, so that nobody learns which keys exist.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Key } from './key-book.ts';
import { parseKeyText } from './key-text.ts';
import { type CheckText, createTextCheck } from './right-texts.ts';

export function createKeyCheck(get: (id: string) => Key | undefined): CheckText {
  return createTextCheck(get, text => {
    const parsed = parseKeyText(text);
    if (parsed === undefined) return { kind: 'malformed' };
    const key = get(parsed.keyId);
    const secret = (key?.secrets ?? noSecrets).find(({ hash }) => timingSafeEqual(hash, parsed.secretHash));
    if (key === undefined || secret === undefined) return { kind: 'unknown' };
    return { kind: 'right', key, secret, until: Number.POSITIVE_INFINITY };
  });
}

/** No secret has this hash. */
const noSecrets = [{ hash: Buffer.alloc(32), sessionKey: undefined, until: 0 }];
