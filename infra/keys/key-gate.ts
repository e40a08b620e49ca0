/**
 * Decides for each request whether it may be answered: by the API key that it has sent, the scopes that it needs, and
 * when keys are needed at all (config.ts).
 *
 * What is not known never lets a request in: while the keys have not been read, or cannot be read any more, requests
 * that need one get 503. `admin` always needs a key, wherever a process listens. Otherwise a key that somebody made
 * without one would outlive the mistake that made this possible, and the record of changes would not say who it was.
 *
 * A client (an address) that sends many unknown keys in a minute gets 429, and its keys are not checked any more. Keys
 * that were right from the same address before are still checked, so a guesser does not lock out other clients behind
 * the same address.
 */
import { Problem } from '../problem.ts';
import type { KeyMode } from './config.ts';
import type { Key } from './key-book.ts';
import type { CheckKey, KeyVerdict } from './key-check.ts';
import { keyIdPart } from './key-text.ts';
import { isAllowed, isPublic, publicScope, type Scope } from './scopes.ts';
import type { WrongKeys } from './wrong-keys.ts';

/** The keys as a process follows them. */
export interface KnownKeys {
  readonly check: CheckKey;
  /** Why no key can be accepted at present, or undefined. */
  refusal(): string | undefined;
}

/** The client that sends a request. */
export interface KeySender {
  readonly network: string;
  readonly wrongKeys: WrongKeys;
}

export interface KeyGate {
  readonly mode: KeyMode;
  /** A check of readiness, if all requests need a key. @throws if no key can be accepted */
  readonly readiness: { readonly keys?: () => void };
  /** `authorization` is the header, and `asked` names the request. @throws Problem if it must not be answered */
  admit(
    authorization: string | undefined,
    needed: readonly Scope[],
    client: KeySender,
    asked: () => string,
  ): Key | undefined;
  /**
   * Admits a request that browsers send without a header of ours, by the key in its address. Such a request needs its
   * key in every mode, because the key says from which pages it may come. A key that is meant for programs is refused
   * here, also that of an admin: where it stands, anybody can read it. @throws Problem if it must not be answered
   */
  admitPublic(text: string | undefined, client: KeySender, asked: () => string): Key;
}

export interface KeyGateOptions {
  readonly mode: KeyMode;
  readonly keys: KnownKeys;
  /** Epoch ms. */
  readonly now?: () => number;
}

export function createKeyGate({ mode, keys, now = Date.now }: KeyGateOptions): KeyGate {
  const check = () => {
    const refusal = keys.refusal();
    if (refusal !== undefined) throw new Error(refusal);
  };
  const mustBeRead = () => {
    const refusal = keys.refusal();
    if (refusal !== undefined) throw new Problem(503, 'not_ready', `${refusal}: try again`, {}, 1);
  };
  return {
    mode,
    readiness: mode === 'required' ? { keys: check } : {},
    admit(authorization, needed, client, asked) {
      const isAdmin = needed.includes('admin');
      if (mode === 'off' && !isAdmin) return undefined;
      if (authorization === undefined && mode === 'optional' && !isAdmin) return undefined;
      mustBeRead();
      if (authorization === undefined)
        throw unauthorized(`${asked()} needs an API key: send it as Authorization: Bearer adclicks_…`);
      const key = checked(keyIn(authorization), keys.check, client, now(), notInHeader);
      const missing = needed.find(scope => !isAllowed(key.created.scopes, scope));
      if (missing === undefined) return key;
      const detail = `${asked()} needs scope ${missing}, which API key ${key.id} does not have`;
      const problem = new Problem(403, 'forbidden', detail, { scope: missing });
      refusedKeys.set(problem, key);
      throw problem;
    },
    admitPublic(text, client, asked) {
      mustBeRead();
      if (text === undefined) throw unauthorized(`${asked()} needs a public API key: ?k=adclicks_pub_…`);
      const key = checked(text, keys.check, client, now(), notInAddress);
      const { scopes, origins } = key.created;
      if (isPublic(scopes) && origins !== undefined) return key;
      const detail = `${asked()} needs a key with scope ${publicScope} alone, and API key ${key.id} is another: it must not stand in a page or an address, so rotate it`;
      throw new Problem(403, 'forbidden', detail, { scope: publicScope });
    },
  };
}

/** Returns the valid key that was not enough, if the problem says that. For the audit log. */
export function keyRefusedWith(problem: Problem): Key | undefined {
  return refusedKeys.get(problem);
}

const refusedKeys = new WeakMap<Problem, Key>();

/** `malformed` says what is wrong with what is no key at all. @throws Problem unless the text is a valid key */
function checked(text: string, check: CheckKey, client: KeySender, now: number, malformed: string): Key {
  const { wrongKeys } = client;
  if (wrongKeys.isUsedUp(now) && !wrongKeys.wasRight(keyIdPart(text))) throw tooMany(client, now);
  const verdict = check(text, now);
  if (verdict.kind === 'right') {
    wrongKeys.right(verdict.key.id);
    return verdict.key;
  }
  if (verdict.kind === 'unknown' || verdict.kind === 'malformed') wrongKeys.wrong(now);
  throw unauthorized(verdict.kind === 'malformed' ? malformed : words(verdict));
}

/** Returns the text after `Bearer`, or an empty one. The key check reports a malformed key. */
function keyIn(authorization: string): string {
  // The usual form first, because this runs for every request.
  if (authorization.startsWith('Bearer ')) return authorization.slice('Bearer '.length).trimStart();
  return /^Bearer +([^ ]+)$/i.exec(authorization)?.[1] ?? '';
}

const notInHeader =
  'header Authorization has no API key, but must be Bearer and the whole key as it was shown when it was made';
const notInAddress = 'parameter k is no API key, but must be the whole public key as it was shown when it was made';

/** What was sent is never repeated. */
function words(verdict: Exclude<KeyVerdict, { kind: 'right' | 'malformed' }>): string {
  switch (verdict.kind) {
    case 'unknown':
      return 'the API key is not known here';
    case 'expired':
      return `API key ${verdict.key.id} has expired`;
    case 'revoked':
      return `API key ${verdict.key.id} was revoked`;
    case 'replaced':
      return `API key ${verdict.key.id} was rotated, and this secret is not valid any more`;
  }
}

function unauthorized(detail: string): Problem {
  return new Problem(401, 'unauthorized', detail);
}

function tooMany({ network, wrongKeys }: KeySender, now: number): Problem {
  const waitS = wrongKeys.waitS(now);
  const detail = `too many API keys that are not known here came from ${network}: wait ${waitS} s`;
  return new Problem(429, 'wrong_keys', detail, {}, waitS);
}

/** For a process that does not follow the keys. */
export const unreadKeys: KnownKeys = {
  check: () => ({ kind: 'unknown' }),
  refusal: () => 'the API keys are not read yet',
};
