/**
 * GET /v1/session/oidc and GET /v1/session/oidc/callback: sign a person in with an identity provider (decision 049).
 *
 * Browsers alone ask for them, and go on to a page: the first leads to the provider, and the second, to which the provider
 * leads back, to the dashboard. What has gone wrong is a word in the address of the dashboard, which has a sentence for it.
 * Neither takes an address to go to, and nothing about the person is in an address or in a log line.
 */
import type { IncomingMessage } from 'node:http';
import type { FastifyReply } from 'fastify';
import { type Http, Problem } from '../../../infra/http.ts';
import { requireOwnPage } from '../../../infra/http-sessions.ts';
import type { Key, KeyBook } from '../../../infra/keys/key-book.ts';
import type { KeyGate } from '../../../infra/keys/key-gate.ts';
import { mintPersonSession } from '../../../infra/keys/person-session.ts';
import { isAllowed } from '../../../infra/keys/scopes.ts';
import type { Logger } from '../../../infra/log.ts';
import { counter } from '../../../infra/metrics.ts';
import { inTurn } from '../../http/in-turn.ts';
import { begunSignIns } from '../../oidc/begun-sign-in.ts';
import { createIdentityProvider, type Person, ProviderError } from '../../oidc/identity-provider.ts';
import { callbackPath, type Oidc } from '../../oidc/oidc-config.ts';
import { type SignedInDeps, signedInWith } from './signed-in.ts';

export interface OidcSignInDeps extends SignedInDeps {
  /** Left out: there is no identity provider. */
  readonly oidc: Oidc | undefined;
  readonly keyGate: KeyGate;
  readonly keyBook: Pick<KeyBook, 'get'>;
  readonly isOverTls: (request: IncomingMessage) => boolean;
  readonly sessionHours: number;
  readonly log: Logger;
  /** Epoch ms. */
  readonly now: () => number;
}

/** `unmapped`: nothing that the person is has a key. `ended`: what there is has a key that is not in force. */
const faults = ['denied', 'refused', 'away', 'unmapped', 'ended'] as const;
type Fault = (typeof faults)[number];

/** Each waits for the provider, for at most half a minute. */
const limits = { atOnce: 64, ofOneClient: 8 };

export function routeOidcSignIn(http: Http, deps: OidcSignInDeps): void {
  const { oidc, sessions, isOverTls, log, now } = deps;
  const common = { schema: { hide: true }, config: { scope: 'open', audit: 'sign-in' } } as const;
  if (oidc === undefined) {
    for (const path of ['/v1/session/oidc', callbackPath]) http.get(path, common, () => Promise.reject(noProvider()));
    return;
  }
  const provider = createIdentityProvider(oidc);
  const begunOnes = begunSignIns(isOverTls);
  const turns = inTurn('sign-ins', limits);
  /** The begun sign-in has ended in any case. */
  const leadOn = (request: IncomingMessage, reply: FastifyReply, to: string, ...cookies: readonly string[]) =>
    reply
      .header('cache-control', 'no-store')
      .header('set-cookie', [...cookies, begunOnes.remove(request)])
      .redirect(to, 303);
  const fail = (request: IncomingMessage, reply: FastifyReply, fault: Fault, why: string) => {
    outcomes.inc({ outcome: fault });
    log.warn({ fault, why }, 'a person was not signed in');
    return leadOn(request, reply, `/?sign-in=${fault}`);
  };

  http.get('/v1/session/oidc', common, async (request, reply) => {
    const { raw } = request;
    // Otherwise another site could end a sign-in that is under way.
    requireOwnPage(raw, () => signedInWith(request, deps).key);
    try {
      const { url, begun } = await turns(() => provider.begin());
      return reply
        .header('cache-control', 'no-store')
        .header('set-cookie', begunOnes.set(raw, begun))
        .redirect(url.href, 303);
    } catch (error) {
      if (error instanceof ProviderError) return fail(raw, reply, error.fault, error.message);
      throw error;
    }
  });

  http.get(callbackPath, common, async (request, reply) => {
    const { raw } = request;
    const begun = begunOnes.in(raw);
    if (begun === undefined) return fail(raw, reply, 'refused', 'this browser has begun no sign-in');
    let person: Person;
    try {
      person = await turns(() => provider.finish(searchOf(raw), begun));
    } catch (error) {
      if (error instanceof ProviderError) return fail(raw, reply, error.fault, error.message);
      throw error;
    }
    const found = sessionOf(person, oidc, deps);
    if (typeof found === 'string') return fail(raw, reply, found, 'see OIDC_GROUP_KEYS');
    request.apiKey = found.key;
    request.subject = person.subject;
    outcomes.inc({ outcome: 'signed_in' });
    const maxAgeS = Math.ceil((found.until - now()) / 1_000);
    return leadOn(raw, reply, '/', sessions.set(raw, found.session, maxAgeS));
  });
}

/** Gives the person the first key that fits. The gate, which will look at the session each time, looks at it here, too. */
function sessionOf(
  { subject, groups }: Person,
  { groupKeys, sessionKey }: Oidc,
  { keyBook, keyGate, sessionHours, now }: OidcSignInDeps,
): { readonly key: Key; readonly session: string; readonly until: number } | 'unmapped' | 'ended' {
  const fitting = groupKeys.filter(({ group }) => groups.includes(group));
  for (const { keyId } of fitting) {
    const key = keyBook.get(keyId);
    const [secret] = key?.secrets ?? [];
    if (key === undefined || secret === undefined || !isAllowed(key.created.scopes, 'read')) continue;
    const until = Math.min(now() + sessionHours * 3_600_000, key.created.expires_at ?? Number.POSITIVE_INFINITY);
    const session = mintPersonSession(sessionKey, secret, { keyId, until, subject });
    if (keyGate.inForce({ authorization: undefined, session }) === key) return { key, session, until };
  }
  return fitting.length === 0 ? 'unmapped' : 'ended';
}

function searchOf({ url = '' }: IncomingMessage): string {
  const at = url.indexOf('?');
  return at === -1 ? '' : url.slice(at);
}

function noProvider(): Problem {
  return new Problem(404, 'no_identity_provider', 'there is no identity provider here: sign in with an API key');
}

const outcomes = counter('oidc_sign_ins_total', 'Sign-ins with an identity provider, by how they ended', ['outcome']);
for (const outcome of ['signed_in', ...faults]) outcomes.inc({ outcome }, 0);
