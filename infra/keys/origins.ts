/**
 * Defines from which pages a public key may be used: an allow-list of origins, each as browsers write it in `Origin`
 * (`https://shop.example`, `http://localhost:3000`), or with `*.` for all names below one (`https://*.shop.example`).
 *
 * An origin is compared whole. By a part of it, `https://shop.example.evil.example` would be `https://shop.example`.
 * `*.` stands for one name or several, so whoever can have pages below that name is allowed: it needs two further
 * names, so that nobody allows all of `com` by it. Names under which anybody can have a page (`github.io`, `co.uk`)
 * are not known here.
 */
import { isIP } from 'node:net';

export const maxOrigins = 20;
export const originRule =
  'must be origins as browsers write them: https://shop.example, without a path, a usual port (80, 443) or capitals; or https://*.shop.example for all names below shop.example';

const maxOriginLength = 200;

export function isOriginPattern(text: string): boolean {
  if (text.length > maxOriginLength || !/^https?:\/\//.test(text)) return false;
  const isWildcard = text.includes('://*.');
  const plain = text.replace('://*.', '://');
  if (!URL.canParse(plain)) return false;
  const { origin, hostname } = new URL(plain);
  // What a browser would write otherwise would never be equal to it.
  return origin === plain && !plain.includes('*') && (!isWildcard || (hostname.includes('.') && isIP(hostname) === 0));
}

/** `origin` is what a request says: it may be anything. */
export function isAllowedOrigin(patterns: readonly string[], origin: string): boolean {
  return patterns.some(pattern => (pattern.includes('://*.') ? isBelow(pattern, origin) : pattern === origin));
}

function isBelow(pattern: string, origin: string): boolean {
  const [scheme = '', above = ''] = pattern.split('*');
  if (!origin.startsWith(scheme) || !origin.endsWith(above)) return false;
  return /^[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(origin.slice(scheme.length, -above.length));
}
