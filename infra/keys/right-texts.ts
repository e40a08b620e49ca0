/**
 * Decides whether what was sent is in force: a text that belongs to a secret of a key (key-check.ts), or a session that
 * was begun with one (session-check.ts).
 *
 * Most requests come with one of a few texts, and to check each anew would cost as much as everything else that is done
 * before a handler runs. So texts that were right are remembered with the secret that they belong to. A text that was
 * not right is never in that table, and the table compares texts only if their hashes by a seed of this process are
 * equal, so it tells a guesser nothing. What is remembered is never that a text is still in force: a revocation ends all
 * that belongs to the key, and a rotation all that belongs to the former secret.
 */
import { type Key, type Secret, stateOf } from './key-book.ts';

export type KeyVerdict =
  | { readonly kind: 'right'; readonly key: Key }
  | { readonly kind: 'malformed' }
  /** No such key, or another secret. */
  | { readonly kind: 'unknown' }
  /** `over`: a session whose time has passed. */
  | { readonly kind: 'expired' | 'revoked' | 'replaced' | 'over'; readonly key: Key };

/** `now` is in epoch ms. */
export type CheckText = (text: string, now: number) => KeyVerdict;

/** A text that was right, for as long as its key is the same. */
export interface RightText {
  readonly kind: 'right';
  readonly key: Key;
  readonly secret: Secret;
  /** Epoch ms: until when the text itself is good. */
  readonly until: number;
}

/** `lookUp` says to which secret a text belongs, whether or not that is in force. */
export function createTextCheck(
  get: (id: string) => Key | undefined,
  lookUp: (text: string) => RightText | { readonly kind: 'malformed' | 'unknown' },
): CheckText {
  const right = new Map<string, RightText>();
  return (text, now) => {
    const remembered = right.get(text);
    // A key that has changed in any way is another object, and looked at anew.
    const found = remembered && get(remembered.key.id) === remembered.key ? remembered : lookUp(text);
    if (!('secret' in found)) return found;
    const { key, secret, until } = found;
    const state = stateOf(key, now);
    if (state !== 'usable') return { kind: state, key };
    if (now >= secret.until) return { kind: 'replaced', key };
    if (now >= until) return { kind: 'over', key };
    if (found !== remembered) {
      if (right.size >= mostRemembered) right.clear();
      right.set(text, found);
    }
    return found;
  };
}

const mostRemembered = 4_096;
