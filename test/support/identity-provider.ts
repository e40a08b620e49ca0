/**
 * A real identity provider (oidc-provider) on loopback, with one client and people who sign in by typing their name. It is at
 * `localhost`, so that for a browser it is another site than a service at 127.0.0.1.
 */
import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Provider from 'oidc-provider';

export interface TestIdentityProvider extends AsyncDisposable {
  readonly issuer: string;
  /** The settings of a query API that browsers reach at `publicUrl`. */
  settingsFor(groupKeys: string): Record<string, string>;
  /** Until then nobody answers there. */
  away(isAway: boolean): void;
}

export interface Someone {
  readonly groups?: readonly string[] | string;
}

/** `people` are by the name that they type, which is their subject. Everybody has a mail address, which nobody must find anywhere. */
export async function startIdentityProvider(
  publicUrl: string,
  people: Readonly<Record<string, Someone>>,
  groupsIn: 'id_token' | 'userinfo' = 'id_token',
): Promise<TestIdentityProvider> {
  let isAway = false;
  let answer: (request: IncomingMessage, response: ServerResponse) => unknown = () => undefined;
  const server = createServer((request, response) => {
    if (isAway) request.destroy();
    else void answer(request, response);
  });
  await new Promise<void>(resolve => server.listen(0, 'localhost', resolve));
  const issuer = `http://localhost:${(server.address() as AddressInfo).port}`;
  const provider = providerOf(issuer, publicUrl, people, groupsIn);
  const callback = provider.callback();
  answer = async (request, response) => {
    if (request.url?.startsWith('/interaction/') !== true) return callback(request, response);
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      return response.end('<form method="post"><label>Name <input name="name"></label><button>Go</button></form>');
    }
    const accountId = new URLSearchParams(await textOf(request)).get('name') ?? '';
    return await provider.interactionFinished(request, response, { login: { accountId } });
  };
  const files = mkdtempSync(join(tmpdir(), 'oidc-'));
  const file = (name: string, text: string) => {
    writeFileSync(join(files, name), text, { mode: 0o600 });
    return join(files, name);
  };
  const sessionKey = generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' });
  return {
    issuer,
    settingsFor: groupKeys => ({
      ...{ OIDC_ISSUER: issuer, OIDC_CLIENT_ID: 'dashboard', OIDC_PUBLIC_URL: publicUrl, OIDC_GROUP_KEYS: groupKeys },
      OIDC_CLIENT_SECRET_FILE: file('secret', `${clientSecret}\n`),
      OIDC_SESSION_KEY_FILE: file('session.pem', String(sessionKey)),
    }),
    away(given) {
      isAway = given;
      server.closeAllConnections();
    },
    async [Symbol.asyncDispose]() {
      rmSync(files, { recursive: true });
      server.closeAllConnections();
      await new Promise(resolve => server.close(resolve));
    },
  };
}

export const clientSecret = 'the secret of the dashboard, which is in no log';
export const mailOf = (name: string) => `${name}@shop.example`;

function providerOf(
  issuer: string,
  publicUrl: string,
  people: Readonly<Record<string, Someone>>,
  groupsIn: 'id_token' | 'userinfo',
): Provider {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2_048 });
  return new Provider(issuer, {
    clients: [
      {
        ...{ client_id: 'dashboard', client_secret: clientSecret },
        redirect_uris: [`${publicUrl}/v1/session/oidc/callback`],
      },
    ],
    jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: 'one' }] },
    cookies: { keys: ['a key of the cookies of the provider'] },
    pkce: { required: () => true },
    claims: { openid: ['sub', 'groups', 'email'] },
    // Otherwise all but the subject is in userinfo.
    conformIdTokenClaims: groupsIn === 'userinfo',
    features: { devInteractions: { enabled: false } },
    interactions: { url: (_context, { uid }) => `/interaction/${uid}` },
    findAccount: (_context, name) => {
      const { groups } = people[name] ?? {};
      const claims = { sub: name, email: mailOf(name), ...(groups !== undefined && { groups }) };
      return { accountId: name, claims: () => claims };
    },
    // Everybody agrees to what the dashboard asks for.
    async loadExistingGrant(context) {
      const grant = new context.oidc.provider.Grant({
        ...{ clientId: 'dashboard', accountId: context.oidc.session?.accountId ?? '' },
      });
      grant.addOIDCScope('openid');
      await grant.save();
      return grant;
    },
  });
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const piece of request) text += piece;
  return text;
}

/** What a browser does at the provider. Returns the address to which it leads back. */
export async function signInAtProvider(url: string, name: string): Promise<URL> {
  const cookies = new Map<string, string>();
  let next = url;
  let posted: URLSearchParams | undefined;
  for (let steps = 0; steps < 10; steps++) {
    const response = await fetch(next, {
      ...{ redirect: 'manual', method: posted ? 'POST' : 'GET' },
      headers: { cookie: [...cookies].map(([key, value]) => `${key}=${value}`).join('; ') },
      ...(posted && { body: posted }),
    });
    posted = undefined;
    for (const set of response.headers.getSetCookie()) {
      const [, key = '', value = ''] = /^([^=]+)=([^;]*)/.exec(set) ?? [];
      cookies.set(key, value);
    }
    const location = response.headers.get('location');
    if (location === null) {
      if (!response.ok) throw new Error(`the provider answers ${response.status}: ${await response.text()}`);
      await response.body?.cancel();
      posted = new URLSearchParams({ name });
      continue;
    }
    await response.body?.cancel();
    const to = new URL(location, next);
    if (to.pathname.endsWith('/callback')) return to;
    next = to.href;
  }
  throw new Error('the provider does not lead back');
}
