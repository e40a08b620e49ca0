/**
 * Decides whether a text is a key that is in force.
 *
 * Hashes are compared in constant time, also for a key that does not exist. Only to whom the secret is known it is told
 * what has become of his key: everybody else hears the same, so that nobody learns which keys exist.
 *
 * Most requests come with one of a few keys, and to hash each of them anew would cost as much as everything else that is
 * done before a handler runs. So texts that were right are remembered with the hash that they had. A text that was not
 * right is never in that table, and the table compares texts only if their hashes by a seed of this process are equal,
 * so it tells a guesser nothing. What is remembered says only what the hash of a text is, never that it is still valid.
 */
import { timingSafeEqual } from 'node:crypto';
import type { Key } from './key-book.ts';
import { stateOf } from './key-book.ts';
import { type KeyText, parseKeyText } from './key-text.ts';

export type KeyVerdict =
  | { readonly kind: 'right'; readonly key: Key }
  | { readonly kind: 'malformed' }
  /** No such key, or another secret. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'expired' | 'revoked' | 'replaced'; readonly key: Key };

/** `now` is in epoch ms. */
export type CheckKey = (text: string, now: number) => KeyVerdict;

export function createKeyCheck(get: (id: string) => Key | undefined): CheckKey {
  const right = new Map<string, KeyText>();
  return (text, now) => {
    const remembered = right.get(text);
    const parsed = remembered ?? parseKeyText(text);
    if (parsed === undefined) return { kind: 'malformed' };
    const key = get(parsed.keyId);
    const secret = (key?.secrets ?? noSecrets).find(({ hash }) => timingSafeEqual(hash, parsed.secretHash));
    if (key === undefined || secret === undefined) return { kind: 'unknown' };
    const state = stateOf(key, now);
    if (state !== 'usable') return { kind: state, key };
    if (now >= secret.until) return { kind: 'replaced', key };
    if (remembered === undefined) remember(right, text, parsed);
    return { kind: 'right', key };
  };
}

/** No secret has this hash. */
const noSecrets = [{ hash: Buffer.alloc(32), until: 0 }];

function remember(right: Map<string, KeyText>, text: string, parsed: KeyText): void {
  if (right.size >= mostRemembered) right.clear();
  right.set(text, parsed);
}

const mostRemembered = 4_096;
