/**
 * Defines the text of a click link and its signature. Whoever has a key makes links by it, in any language (README.md has
 * two functions), and ingest checks them by it.
 *
 *     /c/{ad_id}?e=<event id>&t=<made at, epoch s>&x=<expires at, epoch s>&d=<destination>&k=<key id>&s=<signature>
 *
 * The signature is base64url(HMAC-SHA256(secret, text)). The text has seven lines, joined by `\n`: `adclicks-link-1`, ad
 * id, event id, `t`, `x`, key id and destination (empty if the link has none), each as it is before percent-encoding. No
 * field can contain a newline, and their number is fixed, so two different links never have the same text. Lengths in
 * front of the fields would do the same, but people who write such a function get them wrong: bytes, characters or UTF-16
 * units. The first line says the version, so a later form can never be taken for this one.
 *
 * Signatures are compared as texts, whole and in constant time. As bytes, four texts would be the same signature, because
 * the last of its 43 characters has two bits that mean nothing.
 */
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';

/** What a link says, each as the text that is signed. */
export interface LinkText {
  readonly adId: string;
  readonly eventId: string;
  /** Epoch seconds. */
  readonly madeAt: string;
  /** Epoch seconds. */
  readonly expiresAt: string;
  readonly keyId: string;
  /** Empty if it is in the key file. */
  readonly destination: string;
}

const version = 'adclicks-link-1';

function signatureOf(secret: KeyObject, link: LinkText): string {
  return createHmac('sha256', secret).update(signedText(link)).digest('base64url');
}

export function isSignatureOf(secret: KeyObject, link: LinkText, given: string): boolean {
  const right = Buffer.from(signatureOf(secret, link));
  const asked = Buffer.from(given);
  return right.length === asked.length && timingSafeEqual(right, asked);
}

/** Returns path and query of the signed link. */
export function linkOf(secret: KeyObject, link: LinkText): string {
  const { adId, eventId, madeAt, expiresAt, destination, keyId } = link;
  const query = [
    ['e', eventId],
    ['t', madeAt],
    ['x', expiresAt],
    ...(destination === '' ? [] : [['d', destination]]),
    ['k', keyId],
    ['s', signatureOf(secret, link)],
  ].map(([name, value = '']) => `${name}=${encodeURIComponent(value)}`);
  return `/c/${encodeURIComponent(adId)}?${query.join('&')}`;
}

/** The characters of the secret are the key, as they are. */
export function secretOf(text: string): KeyObject {
  return createSecretKey(text, 'utf8');
}

/** @throws RangeError where a field has a newline, which its rule forbids */
function signedText({ adId, eventId, madeAt, expiresAt, keyId, destination }: LinkText): string {
  const fields = [version, adId, eventId, madeAt, expiresAt, keyId, destination];
  if (fields.some(field => field.includes('\n'))) throw new RangeError('a field of a click link contains a newline');
  return fields.join('\n');
}
