/**
 * Decides whether a session is in force: while its time runs, its key is usable, and the secret with which it was begun is
 * valid. A signature takes as long to check as a whole request takes otherwise (right-texts.ts remembers).
 */
import type { Key, Secret } from './key-book.ts';
import { type CheckText, createTextCheck } from './right-texts.ts';
import { isSignedWith, parseSession, type SentSession } from './session-text.ts';

export function createSessionCheck(get: (id: string) => Key | undefined): CheckText {
  return createTextCheck(get, text => {
    const session = parseSession(text);
    if (session === undefined) return { kind: 'malformed' };
    const key = get(session.keyId);
    const secret = key?.secrets.find(each => hasSigned(each, session));
    if (key === undefined || secret === undefined) return { kind: 'unknown' };
    return { kind: 'right', key, secret, until: session.until };
  });
}

/** Secrets that were made by older releases have no key for sessions, and sign none. */
function hasSigned({ sessionKey }: Secret, session: SentSession): boolean {
  return sessionKey !== undefined && isSignedWith(sessionKey, session);
}
