/**
 * Decides whether a text is a key that is in force.
 *
 * Hashes are compared in constant time, also for a key that does not exist. Only a client that knows the secret learns
 * what happened to its key. All others get the same answer, so that nobody learns which keys exist.
 *
 * Most requests come with one of a few keys, and to hash each of them anew would cost as much as everything else that is
 * done before a handler runs. So texts that were right are remembered with the secret that they are. A text that was not
 * right is never in that table, and the table compares texts only if their hashes by a seed of this process are equal,
 * so it tells a guesser nothing. What is remembered says only which secret a text is, never that it is still valid.
 */
import { timingSafeEqual } from 'node:crypto';
import { type Key, type Secret, stateOf } from './key-book.ts';
import { parseKeyText } from './key-text.ts';

export type KeyVerdict =
  | { readonly kind: 'right'; readonly key: Key }
  | { readonly kind: 'malformed' }
  /** No such key, or another secret. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'expired' | 'revoked' | 'replaced'; readonly key: Key };

/** `now` is in epoch ms. */
export type CheckKey = (text: string, now: number) => KeyVerdict;

export function createKeyCheck(get: (id: string) => Key | undefined): CheckKey {
  const right = new Map<string, Right>();
  return (text, now) => {
    const remembered = right.get(text);
    // A key that has changed in any way is another object, and looked at anew.
    const found = remembered && get(remembered.key.id) === remembered.key ? remembered : lookUp(text, get);
    if (!('secret' in found)) return found;
    const { key, secret } = found;
    const state = stateOf(key, now);
    if (state !== 'usable') return { kind: state, key };
    if (now >= secret.until) return { kind: 'replaced', key };
    if (found !== remembered) remember(right, text, found);
    return found;
  };
}

/** A text that was right, for as long as its key is the same. */
interface Right {
  readonly kind: 'right';
  readonly key: Key;
  readonly secret: Secret;
}

function lookUp(
  text: string,
  get: (id: string) => Key | undefined,
): Right | { readonly kind: 'malformed' | 'unknown' } {
  const parsed = parseKeyText(text);
  if (parsed === undefined) return { kind: 'malformed' };
  const key = get(parsed.keyId);
  const secret = (key?.secrets ?? noSecrets).find(({ hash }) => timingSafeEqual(hash, parsed.secretHash));
  return key === undefined || secret === undefined ? { kind: 'unknown' } : { kind: 'right', key, secret };
}

/** No secret has this hash. */
const noSecrets = [{ hash: Buffer.alloc(32), sessionKey: undefined, until: 0 }];

function remember(right: Map<string, Right>, text: string, found: Right): void {
  if (right.size >= mostRemembered) right.clear();
  right.set(text, found);
}

const mostRemembered = 4_096;
