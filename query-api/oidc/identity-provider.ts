/**
 * Asks an identity provider who somebody is: OpenID Connect, authorization code with PKCE, state and nonce, by openid-client.
 *
 * What the provider says of itself is read at the first sign-in, and anew after an hour, so a process starts while it is
 * away. The signature of the ID token is checked, although it comes straight from the provider.
 */
import { createHash } from 'node:crypto';
import type { Configuration, UserInfoResponse } from 'openid-client';
import type { BegunSignIn } from './begun-sign-in.ts';
import type { Oidc } from './oidc-config.ts';

export interface Person {
  /** Names the person and tells nobody who it is: at most 128 characters of ASCII without spaces, and no mail address. */
  readonly subject: string;
  readonly groups: readonly string[];
}

export interface IdentityProvider {
  /** @throws ProviderError */
  begin(): Promise<{ readonly url: URL; readonly begun: BegunSignIn }>;
  /** `search` is the query with which the provider has led back. @throws ProviderError */
  finish(search: string, begun: BegunSignIn): Promise<Person>;
}

/** `denied`: the provider did not sign the person in. `refused`: what came back is not the end of this sign-in. */
export type ProviderFault = 'denied' | 'refused' | 'away';

export class ProviderError extends Error {
  override readonly name = 'ProviderError';
  readonly fault: ProviderFault;

  /** `why` must tell nothing about the person. */
  constructor(fault: ProviderFault, why: string) {
    super(why);
    this.fault = fault;
  }
}

const timeoutS = 10;
const readAnewMs = 3_600_000;

export function createIdentityProvider(oidc: Oidc): IdentityProvider {
  let read: { readonly at: number; readonly configuration: Promise<Configuration> } | undefined;
  const configured = async () => {
    if (read === undefined || performance.now() - read.at > readAnewMs)
      read = { at: performance.now(), configuration: discovered(oidc) };
    try {
      return await read.configuration;
    } catch (error) {
      read = undefined;
      throw new ProviderError('away', (await faultOf(error)).message);
    }
  };
  return {
    async begin() {
      const configuration = await configured();
      const client = await library();
      const begun = {
        state: client.randomState(),
        nonce: client.randomNonce(),
        verifier: client.randomPKCECodeVerifier(),
      };
      const url = client.buildAuthorizationUrl(configuration, {
        redirect_uri: oidc.callback.href,
        scope: oidc.scopes,
        state: begun.state,
        nonce: begun.nonce,
        code_challenge: await client.calculatePKCECodeChallenge(begun.verifier),
        code_challenge_method: 'S256',
      });
      return { url, begun };
    },
    async finish(search, { state, nonce, verifier }) {
      const configuration = await configured();
      const client = await library();
      try {
        // The address is the one that the setting says, whatever the request has come to.
        const tokens = await client.authorizationCodeGrant(configuration, new URL(`${oidc.callback.href}${search}`), {
          ...{ expectedState: state, expectedNonce: nonce, pkceCodeVerifier: verifier, idTokenExpected: true },
        });
        const claims = tokens.claims();
        if (claims === undefined) throw new ProviderError('refused', 'there is no ID token');
        const groups = claims[oidc.groupsClaim];
        const userInfo = async (): Promise<UserInfoResponse | undefined> =>
          configuration.serverMetadata().userinfo_endpoint === undefined
            ? undefined
            : await client.fetchUserInfo(configuration, tokens.access_token, claims.sub);
        return {
          subject: subjectOf(claims.sub),
          groups: textsIn(groups ?? (await userInfo())?.[oidc.groupsClaim]),
        };
      } catch (error) {
        throw await faultOf(error);
      }
    },
  };
}

/** It is loaded at the first sign-in, because most processes never need it. */
const library = async () => await import('openid-client');

async function discovered({ issuer, clientId, clientSecret }: Oidc): Promise<Configuration> {
  const client = await library();
  const execute = [client.enableNonRepudiationChecks];
  // The settings take http on loopback alone.
  if (issuer.protocol === 'http:') execute.push(client.allowInsecureRequests);
  const authentication = clientSecret === undefined ? client.None() : client.ClientSecretBasic(clientSecret);
  return await client.discovery(issuer, clientId, clientSecret, authentication, { execute, timeout: timeoutS });
}

/** Codes alone: messages and causes of the library may have in them what the provider says of the person. */
async function faultOf(error: unknown): Promise<ProviderError> {
  const client = await library();
  if (error instanceof ProviderError) return error;
  if (error instanceof client.AuthorizationResponseError) return new ProviderError('denied', codeIn(error.error));
  if (error instanceof client.ResponseBodyError)
    return new ProviderError(error.status < 500 ? 'refused' : 'away', codeIn(error.error));
  const code = codeIn((error as { readonly code?: unknown } | null)?.code);
  return new ProviderError(awayCodes.has(code) || error instanceof TypeError ? 'away' : 'refused', code);
}

/** What `fetch` throws if nobody answers is a TypeError without a code. */
const awayCodes: ReadonlySet<string> = new Set(['OAUTH_TIMEOUT', 'OAUTH_RESPONSE_IS_NOT_CONFORM', 'OAUTH_ABORT']);

function codeIn(given: unknown): string {
  return typeof given === 'string' && /^[A-Za-z_]{1,60}$/.test(given) ? given : 'unknown';
}

/** A subject is opaque with most providers. Where it is a mail address, or very long, its hash stands for it. */
function subjectOf(sub: string): string {
  if (/^[!-~]{2,128}$/.test(sub) && !sub.includes('@')) return sub;
  return `sha256:${createHash('sha256').update(sub).digest('base64url').slice(0, 22)}`;
}

const mostGroups = 1_000;

function textsIn(claim: unknown): readonly string[] {
  return [claim]
    .flat()
    .slice(0, mostGroups)
    .filter(each => typeof each === 'string');
}
