/**
 * GET, POST and DELETE /v1/session: signs a browser in by an API key, says who is signed in, and signs it out.
 *
 * The routes are open, because they are for those who are not signed in. Signing in and out is only for pages of this
 * service, so that no other site can have a browser work under a key that is not its user's.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { type Http, Problem, ProblemSchema } from '../../../infra/http.ts';
import { requireOwnPage } from '../../../infra/http-sessions.ts';
import type { Key } from '../../../infra/keys/key-book.ts';
import type { KeyGate } from '../../../infra/keys/key-gate.ts';
import { parseKeyText } from '../../../infra/keys/key-text.ts';
import { parsePersonSession } from '../../../infra/keys/person-session.ts';
import { isAllowed, publicScope, type Scope, scopeNames } from '../../../infra/keys/scopes.ts';
import { mintSession, parseSession } from '../../../infra/keys/session-text.ts';
import { invalid } from '../../../infra/problem.ts';
import { isoOf, problems, timeField } from '../../http/parameters.ts';
import { type SignedInDeps, signedInWith } from './signed-in.ts';

export interface SessionRoutesDeps extends SignedInDeps {
  readonly keyGate: KeyGate;
  readonly sessionHours: number;
  /** Left out: there is no identity provider. */
  readonly oidc: object | undefined;
  /** Epoch ms. */
  readonly now: () => number;
}

export function routeSession(http: Http, deps: SessionRoutesDeps): void {
  const { keyGate, sessions, clients, now } = deps;
  const answerOf = (key: Key | undefined, until: number | undefined) => ({
    ...answerFor(keyGate, key, until),
    identity_provider: deps.oidc !== undefined,
  });
  const common = { config: { scope: 'open' }, onRequest: forbidKeeping } as const;
  const signedOut = () => answerOf(undefined, undefined);

  http.get('/v1/session', { schema: getSchema, ...common }, async (request, reply) => {
    const { key, session } = signedInWith(request, deps);
    if (session !== undefined && key === undefined) reply.header('set-cookie', sessions.remove(request.raw));
    return answerOf(key, (parseSession(session ?? '') ?? parsePersonSession(session ?? ''))?.until);
  });

  http.post(
    '/v1/session',
    { schema: signInSchema, ...common, config: signInConfig, preValidation: refuseOtherBody },
    async (request, reply) => {
      const text = request.body.api_key.trim();
      requireOwnPage(request.raw, () => keyGate.signIn(text, clients.of(request.raw)));
      const key = keyGate.signIn(text, clients.of(request.raw));
      request.apiKey = key;
      refuseUseless(key, text);
      const until = Math.min(now() + deps.sessionHours * 3_600_000, key.created.expires_at ?? Number.POSITIVE_INFINITY);
      const maxAgeS = Math.ceil((until - now()) / 1_000);
      const session = mintSession(text, { keyId: key.id, until });
      reply.header('set-cookie', sessions.set(request.raw, session, maxAgeS));
      return answerOf(key, until);
    },
  );

  http.delete('/v1/session', { schema: signOutSchema, ...common }, async (request, reply) => {
    const { raw } = request;
    requireOwnPage(raw, () => signedInWith(request, deps).key);
    reply.header('set-cookie', sessions.remove(raw));
    return signedOut();
  });
}

const signInConfig = { scope: 'open', audit: 'sign-in' } as const;

/** Runs before the validator, which would repeat in its answer what was sent. */
async function refuseOtherBody({ body }: FastifyRequest): Promise<void> {
  if (!Value.Check(SignIn, body)) throw invalid('api_key', undefined, 'must be an API key, and alone in the body');
}

/** @throws Problem for a key that can do nothing here, or begin no session */
function refuseUseless(key: Key, text: string): void {
  const { id, created, secrets } = key;
  if (!isAllowed(created.scopes, 'read')) {
    const detail = `API key ${id} does not have scope read, which the dashboard needs`;
    throw new Problem(403, 'forbidden', detail, { scope: 'read' });
  }
  const hash = parseKeyText(text)?.secretHash;
  const secret = secrets.find(each => hash?.equals(each.hash));
  if (secret?.sessionKey === undefined)
    throw new Problem(
      409,
      'key_without_sessions',
      `an older release has made the secret of API key ${id}, and it cannot begin a session: rotate the key with adclicks keys rotate ${id}`,
    );
}

function answerFor({ mode, region }: KeyGate, key: Key | undefined, until: number | undefined) {
  const isOpen = (scope: Scope) => scope !== 'admin' && (mode === 'off' || (mode === 'optional' && key === undefined));
  return {
    keys: mode,
    region: region.name || null,
    // What a public key opens is for pages of others, and goes by the key that stands in them.
    may: scopeNames.filter(
      scope => scope !== publicScope && (isOpen(scope) || (key !== undefined && isAllowed(key.created.scopes, scope))),
    ),
    key: key === undefined ? null : { id: key.id, label: key.created.label, scopes: key.created.scopes },
    until: key === undefined || until === undefined ? null : isoOf(until),
  };
}

/** It is different for each browser, and a moment later. */
async function forbidKeeping(_request: FastifyRequest, reply: FastifyReply): Promise<void> {
  reply.header('cache-control', 'no-store');
}

const SignIn = Type.Object(
  { api_key: Type.String({ description: 'the whole key, as it was shown when it was made' }) },
  { additionalProperties: false },
);

const SessionSchema = Type.Object(
  {
    keys: Type.Enum(['required', 'optional', 'off'], {
      type: 'string',
      description:
        '`required`: without a key nothing is answered; `optional`: a key is needed for keys alone; `off`: the same, and keys are not checked elsewhere',
    }),
    region: Type.Union([Type.String(), Type.Null()], {
      description: 'the region in which this service is (`REGION`); null: none',
    }),
    identity_provider: Type.Boolean({
      description: 'whether persons can sign in with an identity provider: a browser goes to `/v1/session/oidc`',
    }),
    may: Type.Array(Type.String(), { description: 'the scopes that requests of this browser have' }),
    key: Type.Union(
      [
        Type.Object(
          {
            id: Type.String(),
            label: Type.String({ description: 'what the key is for, and who has it' }),
            scopes: Type.Array(Type.String(), { description: `of ${scopeNames.join(', ')}` }),
          },
          { additionalProperties: false },
        ),
        Type.Null(),
      ],
      { description: 'the key with which the browser is signed in; null: it is not signed in' },
    ),
    until: Type.Union([timeField('until when'), Type.Null()], {
      description: 'when the session is over at the latest; null: there is none',
    }),
  },
  { additionalProperties: false },
);

const getSchema = {
  tags: ['keys'],
  operationId: 'getSession',
  summary: 'Who is signed in with this browser, and what it may do',
  description: 'Whoever is not signed in gets an answer, too.',
  response: { 200: SessionSchema, ...problems },
} as const;

const signInSchema = {
  tags: ['keys'],
  operationId: 'signIn',
  summary: 'Sign a browser in by an API key: the answer sets a cookie',
  description:
    'Only for pages of this service. The cookie holds no key: it is signed with one, and is over when its time has run, when the key is revoked or expires, or when its secret is replaced. Programs send the key itself with each request.',
  body: SignIn,
  response: { 200: SessionSchema, ...problems, 401: ProblemSchema, 403: ProblemSchema, 409: ProblemSchema },
} as const;

const signOutSchema = {
  tags: ['keys'],
  operationId: 'signOut',
  summary: 'Sign a browser out: the answer takes its cookie away',
  description: 'Only for pages of this service. To end all sessions of a key everywhere, rotate or revoke it.',
  response: { 200: SessionSchema, ...problems, 403: ProblemSchema },
} as const;
