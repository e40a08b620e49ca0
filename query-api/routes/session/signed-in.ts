/**
 * Finds with which key a request comes to the routes of signing in and out, which are open. A wrong key or session counts
 * as a guess there as everywhere.
 */
import type { FastifyRequest } from 'fastify';
import type { Clients } from '../../../infra/http-clients.ts';
import type { SessionCookies } from '../../../infra/http-sessions.ts';
import type { Key } from '../../../infra/keys/key-book.ts';
import type { KeyGate } from '../../../infra/keys/key-gate.ts';
import { subjectIn } from '../../../infra/keys/person-session.ts';

export interface SignedInDeps {
  readonly keyGate: Pick<KeyGate, 'ownerOf'>;
  readonly sessions: SessionCookies;
  readonly clients: Pick<Clients, 'of'>;
}

/** `session`: what was looked at, right or wrong. @throws Problem as `ownerOf` of the gate */
export function signedInWith(
  request: FastifyRequest,
  { keyGate, sessions, clients }: SignedInDeps,
): { readonly key: Key | undefined; readonly session: string | undefined } {
  const { raw, headers } = request;
  const { authorization } = headers;
  // A proxy may add a key to what browsers send. As everywhere, the cookie is not looked at then.
  const session = authorization === undefined ? sessions.in(raw) : undefined;
  const key = keyGate.ownerOf({ authorization, session }, clients.of(raw));
  if (key !== undefined && session !== undefined) request.subject = subjectIn(session);
  return { key, session };
}
