/** Defines the settings by which persons sign in to the dashboard with an identity provider (OpenID Connect), and reads their files. */
import { createPrivateKey, type KeyObject } from 'node:crypto';
import { type Static, Type } from 'typebox';
import { brokenRule } from '../../infra/broken-rule.ts';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { isLoopback } from '../../infra/keys/config.ts';
import { keyIdPattern } from '../../infra/keys/key-text.ts';
import { readRegularFileSync } from '../../infra/regular-file.ts';

export const OidcConfig = Type.Object({
  OIDC_ISSUER: Type.String({
    default: '',
    description:
      'the identity provider with which persons sign in to the dashboard (OpenID Connect): its issuer, `https://…` (`http://` on loopback alone). Empty: only API keys sign in. All settings `OIDC_…` must be the same in all query APIs behind one name',
  }),
  OIDC_CLIENT_ID: Type.String({ default: '', description: 'the id that the provider has given to the dashboard' }),
  OIDC_CLIENT_SECRET_FILE: Type.String({
    default: '',
    description: 'file with the secret that the provider has given to the dashboard. Empty: it has none (PKCE alone)',
  }),
  OIDC_SCOPES: Type.String({
    default: 'openid',
    description: 'scopes that the provider is asked for, with spaces between them; `openid` must be one of them',
  }),
  OIDC_GROUPS_CLAIM: Type.String({
    default: 'groups',
    minLength: 1,
    description:
      'the claim, of the ID token or else of userinfo, that says what a person is: a text, or a list of texts',
  }),
  OIDC_GROUP_KEYS: Type.String({
    default: '',
    description:
      'what persons may do, by what the claim says: `finance=KEY_ID,operators=KEY_ID`. Of several that fit, the first one counts whose API key is in force. A person whom none fits is not signed in',
  }),
  OIDC_PUBLIC_URL: Type.String({
    default: '',
    description:
      'where browsers reach this query API, such as `https://clicks.example.com`. The provider must know the address that it leads back to: this one with `/v1/session/oidc/callback`',
  }),
  OIDC_SESSION_KEY_FILE: Type.String({
    default: '',
    description:
      'file (PEM) with an Ed25519 private key that signs the sessions of persons, as `openssl genpkey -algorithm ed25519` makes it. Another key ends all of them',
  }),
});
type OidcConfig = Static<typeof OidcConfig>;

export interface GroupKey {
  readonly group: string;
  /** Of the API key that says what the group may do. */
  readonly keyId: string;
}

export interface Oidc {
  readonly issuer: URL;
  readonly clientId: string;
  readonly clientSecret: string | undefined;
  readonly scopes: string;
  readonly groupsClaim: string;
  readonly groupKeys: readonly GroupKey[];
  /** Where the provider leads back to. */
  readonly callback: URL;
  readonly sessionKey: KeyObject;
}

export const callbackPath = '/v1/session/oidc/callback';

/** Returns undefined if there is no identity provider. @throws ConfigError */
export function oidcOf(config: OidcConfig): Oidc | undefined {
  if (config.OIDC_ISSUER === '') return undefined;
  for (const name of ['OIDC_CLIENT_ID', 'OIDC_GROUP_KEYS', 'OIDC_PUBLIC_URL', 'OIDC_SESSION_KEY_FILE'] as const)
    if (config[name] === '')
      throw new ConfigError(brokenRule(name, undefined, 'must be, because OIDC_ISSUER is given'));
  if (!config.OIDC_SCOPES.split(' ').includes('openid'))
    throw new ConfigError(brokenRule('OIDC_SCOPES', config.OIDC_SCOPES, 'must contain openid'));
  const secretFile = config.OIDC_CLIENT_SECRET_FILE;
  return {
    issuer: urlOf('OIDC_ISSUER', config.OIDC_ISSUER),
    clientId: config.OIDC_CLIENT_ID,
    clientSecret: secretFile === '' ? undefined : clientSecretIn(secretFile),
    scopes: config.OIDC_SCOPES,
    groupsClaim: config.OIDC_GROUPS_CLAIM,
    groupKeys: config.OIDC_GROUP_KEYS.split(',').map(groupKeyOf),
    callback: new URL(callbackPath, urlOf('OIDC_PUBLIC_URL', config.OIDC_PUBLIC_URL)),
    sessionKey: sessionKeyOf(config.OIDC_SESSION_KEY_FILE),
  };
}

function urlOf(name: string, text: string): URL {
  const rule = 'must be an https URL without user, password, query and fragment (on loopback http is taken, too)';
  if (!URL.canParse(text)) throw new ConfigError(brokenRule(name, text, rule));
  const url = new URL(text);
  const isSafe = url.protocol === 'https:' || (url.protocol === 'http:' && isLoopback(url.hostname));
  if (!isSafe || url.username + url.password + url.search + url.hash !== '')
    throw new ConfigError(brokenRule(name, text, rule));
  return url;
}

/** A name of a group may have an equals sign in it. */
function groupKeyOf(text: string): GroupKey {
  const at = text.lastIndexOf('=');
  const [group, keyId] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (at > 0 && group !== '' && keyIdPattern.test(keyId)) return { group, keyId };
  throw new ConfigError(brokenRule('OIDC_GROUP_KEYS', text, 'must be a group and the id of an API key: group=KEY_ID'));
}

function clientSecretIn(path: string): string {
  const secret = textOf('OIDC_CLIENT_SECRET_FILE', path).trim();
  if (secret !== '') return secret;
  throw new ConfigError(`OIDC_CLIENT_SECRET_FILE=${path}: is empty, but must have the secret of the client`);
}

function sessionKeyOf(path: string): KeyObject {
  const pem = textOf('OIDC_SESSION_KEY_FILE', path);
  const rule = `OIDC_SESSION_KEY_FILE=${path}: must have an Ed25519 private key (PEM), as openssl genpkey -algorithm ed25519 makes it`;
  let key: KeyObject;
  try {
    key = createPrivateKey(pem);
  } catch {
    // The error of the parser could show a part of it.
    throw new ConfigError(rule);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw new ConfigError(rule);
  return key;
}

function textOf(setting: string, path: string): string {
  try {
    return readRegularFileSync(path).toString();
  } catch (error) {
    throw new ConfigError(`${setting}=${path}: cannot be read: ${messageOf(error)}`);
  }
}
