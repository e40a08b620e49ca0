/**
 * Decides whether a session is in force: while its time runs, its key is usable, and the secret with which it was begun is
 * valid. So a revocation ends all sessions of a key everywhere, and a rotation those of the former secret.
 *
 * A signature takes as long to check as a whole request takes otherwise. So sessions that were right are remembered with
 * the secret that they belong to, as texts of keys are (key-check.ts), and never that they are still in force.
 */
import { type Key, type Secret, stateOf } from './key-book.ts';
import type { KeyVerdict } from './key-check.ts';
import { isSignedWith, parseSession, type SentSession } from './session-text.ts';

export type SessionVerdict = KeyVerdict | { readonly kind: 'over'; readonly key: Key };

/** `now` is in epoch ms. */
export type CheckSession = (text: string, now: number) => SessionVerdict;

export function createSessionCheck(get: (id: string) => Key | undefined): CheckSession {
  const right = new Map<string, Right>();
  return (text, now) => {
    const remembered = right.get(text);
    // A key that has changed in any way is another object, and looked at anew.
    const found = remembered && get(remembered.key.id) === remembered.key ? remembered : lookUp(text, get);
    if (!('secret' in found)) return found;
    const { key, secret, until } = found;
    const state = stateOf(key, now);
    if (state !== 'usable') return { kind: state, key };
    if (now >= secret.until) return { kind: 'replaced', key };
    if (now >= until) return { kind: 'over', key };
    if (found !== remembered) remember(right, text, found);
    return found;
  };
}

interface Right {
  readonly kind: 'right';
  readonly key: Key;
  readonly secret: Secret;
  readonly until: number;
}

function lookUp(
  text: string,
  get: (id: string) => Key | undefined,
): Right | { readonly kind: 'malformed' | 'unknown' } {
  const session = parseSession(text);
  if (session === undefined) return { kind: 'malformed' };
  const key = get(session.keyId);
  const secret = key?.secrets.find(each => hasSigned(each, session));
  return key === undefined || secret === undefined
    ? { kind: 'unknown' }
    : { kind: 'right', key, secret, until: session.until };
}

/** Secrets that were made by older releases have no key for sessions, and sign none. */
function hasSigned({ sessionKey }: Secret, session: SentSession): boolean {
  return sessionKey !== undefined && isSignedWith(sessionKey, session);
}

function remember(right: Map<string, Right>, text: string, found: Right): void {
  if (right.size >= mostRemembered) right.clear();
  right.set(text, found);
}

const mostRemembered = 4_096;
