/**
 * What a browser keeps, in a cookie, while its user is at the identity provider: so that only the browser which has begun a
 * sign-in can end it, at whichever query API.
 *
 * The provider leads back from another site, so the cookie is `SameSite=Lax`. It lets nobody in. Over TLS it has the prefix
 * `__Host-`: another host of the same domain cannot set one, and so cannot have somebody sign in as somebody else.
 */
import type { IncomingMessage } from 'node:http';
import { parseCookie, stringifySetCookie } from 'cookie';

export interface BegunSignIn {
  readonly state: string;
  readonly nonce: string;
  /** Of PKCE. */
  readonly verifier: string;
}

export interface BegunSignIns {
  in(request: IncomingMessage): BegunSignIn | undefined;
  /** Both return the value of `Set-Cookie`. */
  set(request: IncomingMessage, begun: BegunSignIn): string;
  remove(request: IncomingMessage): string;
}

export function begunSignIns(isOverTls: (request: IncomingMessage) => boolean): BegunSignIns {
  const nameFor = (request: IncomingMessage) => (isOverTls(request) ? '__Host-adclicks_sign_in' : 'adclicks_sign_in');
  const cookie = (request: IncomingMessage, value: string, maxAge: number) =>
    stringifySetCookie({
      ...{ name: nameFor(request), value, maxAge, secure: isOverTls(request) },
      ...{ path: '/', httpOnly: true, sameSite: 'lax' },
    });
  return {
    in(request) {
      const value = parseCookie(request.headers.cookie ?? '')[nameFor(request)] ?? '';
      const [, state, nonce, verifier] = form.exec(value) ?? [];
      if (state === undefined || nonce === undefined || verifier === undefined) return undefined;
      return { state, nonce, verifier };
    },
    set: (request, { state, nonce, verifier }) => cookie(request, `${state}.${nonce}.${verifier}`, maxAgeS),
    remove: request => cookie(request, '', 0),
  };
}

/** Providers ask for passwords and second factors meanwhile. */
const maxAgeS = 600;
const form = /^([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})$/;
