/**
 * Defines a session as a browser has it, in a cookie:
 *
 *     <id of the key: 16>.<until when: epoch ms in base 36>.<Ed25519 signature of both: 86>
 *
 * Whoever signs in shows a whole API key for a moment. The pair of keys that signs is derived from its secret, and the
 * public half of it stands beside the hash of the secret in topic `keys`. So every process can check a session, none has
 * to keep anything for it, and there is no further secret that processes would have to share. Who reads the topic can
 * sign nothing, and who steals a session does not learn the API key. When the secret ends, so do its sessions.
 */
import { createPrivateKey, createPublicKey, hkdfSync, type KeyObject, sign, verify } from 'node:crypto';

export interface Session {
  readonly keyId: string;
  /** Epoch ms. */
  readonly until: number;
}

/** A session as it was sent. Nobody has looked at its signature yet. */
export interface SentSession extends Session {
  readonly signature: Buffer;
}

/** Returns the public half, which may be stored. `keyText` must be a whole API key. */
export function sessionKeyOf(keyText: string): string {
  const { x = '' } = createPublicKey(signingKeyOf(keyText)).export({ format: 'jwk' });
  return x;
}

export const sessionKeyPattern = /^[A-Za-z0-9_-]{43}$/;

export function mintSession(keyText: string, session: Session): string {
  const signature = sign(null, signed(session), signingKeyOf(keyText));
  return `${session.keyId}.${session.until.toString(36)}.${signature.toString('base64url')}`;
}

/** Returns undefined for a text that is not a session. */
export function parseSession(text: string): SentSession | undefined {
  const [, keyId, until, signature] = form.exec(text) ?? [];
  if (keyId === undefined || until === undefined || signature === undefined) return undefined;
  return { keyId, until: Number.parseInt(until, 36), signature: Buffer.from(signature, 'base64url') };
}

export function isSignedWith(sessionKey: string, session: SentSession): boolean {
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x: sessionKey }, format: 'jwk' });
  return verify(null, signed(session), key, session.signature);
}

/** Where the id of the key is in the text. */
export const keyIdPlace = [0, 16] as const;

const form = /^([0-9A-Za-z]{16})\.([0-9a-z]{1,10})\.([A-Za-z0-9_-]{86})$/;

/** It begins with what it is, so that a signature for anything else that may be signed later is no session. */
function signed({ keyId, until }: Session): Buffer {
  return Buffer.from(`adclicks session 1 ${keyId} ${until}`);
}

function signingKeyOf(keyText: string): KeyObject {
  const seed = Buffer.from(hkdfSync('sha256', keyText, '', 'adclicks session key 1', 32));
  return createPrivateKey({ key: Buffer.concat([pkcs8OfEd25519, seed]), format: 'der', type: 'pkcs8' });
}

/** What stands before the 32 bytes of the seed in a private key (RFC 8410). */
const pkcs8OfEd25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
