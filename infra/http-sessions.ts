/**
 * The cookie by which a browser is signed in: how it is set, found and taken away, and which requests it counts for.
 *
 * Scripts cannot read it, other sites cannot have it sent, and over TLS it has the prefix `__Host-`, so that neither
 * another host of the same domain nor a page that came without TLS can set one. Browsers send it with every request to
 * this host, whichever page has caused it. So it counts only for requests that pages of this service itself make, or
 * that a person begins by typing an address. A request that changes something has to prove it. One that only reads
 * counts unless a header says that another site has caused it: browsers without `Sec-Fetch-Site` say nothing with a GET,
 * and no page of another origin can read the answer. That keeps out other hosts of the same domain, too, which are the
 * same site for browsers.
 */
import type { IncomingMessage } from 'node:http';
import { parseCookie, stringifySetCookie } from 'cookie';
import type { Key } from './keys/key-book.ts';
import { refusedWith } from './keys/key-gate.ts';
import { Problem } from './problem.ts';

export interface SessionCookies {
  /** Returns the session of a request, which nobody has looked at yet. */
  in(request: IncomingMessage): string | undefined;
  /** Returns the value of `Set-Cookie`. */
  set(request: IncomingMessage, session: string, maxAgeS: number): string;
  remove(request: IncomingMessage): string;
}

export function sessionCookies(isOverTls: (request: IncomingMessage) => boolean): SessionCookies {
  const cookie = (request: IncomingMessage, value: string, maxAge: number) => {
    const secure = isOverTls(request);
    const name = secure ? nameOverTls : nameInClear;
    return stringifySetCookie({ name, value, maxAge, secure, path: '/', httpOnly: true, sameSite: 'strict' });
  };
  return {
    in(request) {
      const { cookie: header } = request.headers;
      if (header === undefined) return undefined;
      return parseCookie(header)[isOverTls(request) ? nameOverTls : nameInClear];
    },
    set: cookie,
    remove: request => cookie(request, '', 0),
  };
}

const nameInClear = 'adclicks_session';
const nameOverTls = '__Host-adclicks_session';

/**
 * `owner` finds the key with which the request comes, for the audit log. It is asked for only if the request is refused,
 * and what it throws changes nothing about that. @throws Problem for a request that another site may have caused
 */
export function requireOwnPage(request: IncomingMessage, owner: () => Key | undefined): void {
  if (isOfOwnPage(request)) return;
  const problem = new Problem(
    403,
    'cross_site',
    'a session counts only for requests that pages of this service make: use the dashboard, or send an API key as Authorization: Bearer adclicks_…',
  );
  throw refusedWith(found(owner), problem);
}

/** Nobody's while the keys are not known, and of a client that has guessed too often. */
function found(owner: () => Key | undefined): Key | undefined {
  try {
    return owner();
  } catch (error) {
    if (error instanceof Problem) return undefined;
    throw error;
  }
}

/**
 * Refuses a request that a page of another site has had a browser send. For requests that change something and need no
 * key: the user of this machine looks at pages of others, too. Programs send neither of the two headers. @throws Problem
 */
export function refuseOtherSites({ headers }: IncomingMessage): void {
  const site = headers['sec-fetch-site'];
  const isOther = site === undefined ? !isOriginOf(headers) : site === 'cross-site' || site === 'same-site';
  if (!isOther) return;
  const detail =
    'a page of another site has caused this request, which has no API key: send one as Authorization: Bearer adclicks_…, or a public key';
  throw new Problem(403, 'cross_site', detail);
}

/** Whether a page of this service has caused the request, or none, as far as `Origin` says. */
function isOriginOf({ origin, host = '' }: IncomingMessage['headers']): boolean {
  if (origin === undefined) return true;
  if (!URL.canParse(origin)) return false;
  const { protocol, host: hostOfPage } = new URL(origin);
  return URL.canParse(`${protocol}//${host}`) && new URL(`${protocol}//${host}`).host === hostOfPage;
}

/**
 * Browsers say in `Sec-Fetch-Site` who has caused a request, if it goes to this machine or over TLS. Otherwise they say at
 * least in `Origin` which page has caused a request that may change something.
 */
function isOfOwnPage({ headers, method }: IncomingMessage): boolean {
  const changesNothing = method === 'GET' || method === 'HEAD';
  const site = headers['sec-fetch-site'];
  if (site !== undefined) return site === 'same-origin' || (site === 'none' && changesNothing);
  return headers.origin === undefined ? changesNothing : isOriginOf(headers);
}
