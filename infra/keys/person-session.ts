/**
 * Defines the session of a person whom an identity provider has signed in (decision 049), as a browser has it in the cookie
 * in which others have the session of a key (session-text.ts):
 *
 *     <id of the key: 16>.<until when: epoch ms in base 36>.<subject in base64url>.<Ed25519 signature: 86>
 *
 * The key says what the person may do. Nobody has shown its secret, so another pair of keys signs, which all query APIs
 * share. What is signed names the hash of the secret that is in force, too. So such a session ends with all that ends one
 * of the key itself: when the key is revoked or expires, and when its secret is replaced.
 */
import { createPublicKey, type KeyObject, sign, verify } from 'node:crypto';
import type { Key, Secret } from './key-book.ts';
import { type CheckText, createTextCheck } from './right-texts.ts';

export interface PersonSession {
  readonly keyId: string;
  /** Epoch ms. */
  readonly until: number;
  /** The person, as records of what was done name them. */
  readonly subject: string;
}

/** `signingKey` is the private half. */
export function mintPersonSession(signingKey: KeyObject, { hash }: Secret, session: PersonSession): string {
  const { keyId, until, subject } = session;
  const signature = sign(null, signed(session, hash), signingKey).toString('base64url');
  return `${keyId}.${until.toString(36)}.${Buffer.from(subject).toString('base64url')}.${signature}`;
}

/** Returns undefined for a text that is none. Nobody has looked at its signature yet. */
export function parsePersonSession(text: string): (PersonSession & { readonly signature: Buffer }) | undefined {
  const [, keyId, until, subject, signature] = form.exec(text) ?? [];
  if (keyId === undefined || until === undefined || subject === undefined || signature === undefined) return undefined;
  return {
    ...{ keyId, until: Number.parseInt(until, 36) },
    subject: Buffer.from(subject, 'base64url').toString(),
    signature: Buffer.from(signature, 'base64url'),
  };
}

/** Whose session a text is that is right. Empty for a session of a key, which names no person. */
export function subjectIn(text: string): string {
  return parsePersonSession(text)?.subject ?? '';
}

/** Returns a check that is `otherwise` for all sessions that are not those of persons. */
export function createPersonSessionCheck(
  signingKey: KeyObject,
  get: (id: string) => Key | undefined,
  otherwise: CheckText,
): CheckText {
  const publicKey = createPublicKey(signingKey);
  const check = createTextCheck(get, text => {
    const session = parsePersonSession(text);
    if (session === undefined) return { kind: 'malformed' };
    const key = get(session.keyId);
    const secret = key?.secrets.find(({ hash }) => verify(null, signed(session, hash), publicKey, session.signature));
    if (key === undefined || secret === undefined) return { kind: 'unknown' };
    return { kind: 'right', key, secret, until: session.until };
  });
  return (text, now) => (form.test(text) ? check : otherwise)(text, now);
}

/** Subjects have at most 128 bytes (query-api/oidc/identity-provider.ts). */
const form = /^([0-9A-Za-z]{16})\.([0-9a-z]{1,10})\.([A-Za-z0-9_-]{2,171})\.([A-Za-z0-9_-]{86})$/;

/** It begins with what it is, so that no signature for anything else is a session. A subject has no space in it. */
function signed({ keyId, until, subject }: PersonSession, secretHash: Buffer): Buffer {
  return Buffer.from(`adclicks person session 1 ${keyId} ${until} ${subject} ${secretHash.toString('hex')}`);
}
