/**
 * Decides for each request whether it may be answered: by the API key that it has sent, or the session that was begun
 * with one, the scopes that it needs, and when keys are needed at all (config.ts).
 *
 * What is not known never lets a request in: while the keys have not been read, or cannot be read any more, requests
 * that need one get 503. `admin` always needs a key, wherever a process listens. Otherwise a key that somebody made
 * without one would outlive the mistake that made this possible, and the record of changes would not say who it was.
 *
 * A client (an address) that sends many unknown keys in a minute gets 429, and its keys are not checked any more. Keys
 * that were right from the same address before are still checked, so a guesser does not lock out other clients behind
 * the same address.
 *
 * A right key of another region (region.ts) gets 403 wherever it is used. That is decided here, before anything of the
 * request but its head was read.
 */
import { Problem } from '../problem.ts';
import type { KeyMode } from './config.ts';
import type { Key } from './key-book.ts';
import { keyIdPart } from './key-text.ts';
import { isGoodIn, noRegion, type Region, requireRegion } from './region.ts';
import type { CheckText, KeyVerdict } from './right-texts.ts';
import { isAllowed, isPublic, publicScope, type Scope } from './scopes.ts';
import { keyIdPlace } from './session-text.ts';
import type { WrongKeys } from './wrong-keys.ts';

/** The keys as a process follows them. */
export interface KnownKeys {
  readonly check: CheckText;
  readonly checkSession: CheckText;
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
  /** Where this process is. */
  readonly region: Region;
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
  /** The same for a request with a session (session-text.ts) and no key. */
  admitSession(session: string, needed: readonly Scope[], client: KeySender, asked: () => string): Key | undefined;
  /** Returns the key whose text this is. Guessing is as limited as in requests. @throws Problem for any other text */
  signIn(text: string, client: KeySender): Key;
  /**
   * Returns the key that is in force by what was sent, if any, for who is answered without one, too. Guessing is as
   * limited as in requests. @throws Problem while that is not known, or if the client has guessed too often
   */
  ownerOf(sent: Sent, client: KeySender): Key | undefined;
  /**
   * Returns the key that is in force by what was let in before. It counts no guesses, so what a client has just sent must
   * not be given to it. @throws Problem while that is not known
   */
  inForce(sent: Sent): Key | undefined;
}

export interface Sent {
  readonly authorization: string | undefined;
  readonly session: string | undefined;
}

export interface KeyGateOptions {
  readonly mode: KeyMode;
  readonly keys: KnownKeys;
  /** Left out: none, and then keys of regions are refused. */
  readonly region?: Region;
  /** Epoch ms. */
  readonly now?: () => number;
}

export function createKeyGate({ mode, keys, region = noRegion, now = Date.now }: KeyGateOptions): KeyGate {
  const check = () => {
    const refusal = keys.refusal();
    if (refusal !== undefined) throw new Error(refusal);
  };
  const requireReady = () => {
    const refusal = keys.refusal();
    if (refusal !== undefined) throw new Problem(503, 'not_ready', `${refusal}: try again`, {}, 1);
  };
  /** Every key that lets in goes through here. */
  const ofHere = (key: Key) => goodIn(region, key);
  /** @throws Problem unless the text is a valid key; `malformed` says what is wrong with what is no key at all */
  const keyOf = (text: string, client: KeySender, malformed: string) => {
    refuseGuesser(keyIdPart(text), client, now());
    return ofHere(checked(keys.check(text, now()), client, now(), malformed));
  };
  const isUnchecked = (needed: readonly Scope[]) => mode === 'off' && !needed.includes('admin');
  return {
    ...{ mode, region },
    readiness: mode === 'required' ? { keys: check } : {},
    admit(authorization, needed, client, asked) {
      if (isUnchecked(needed)) return undefined;
      if (authorization === undefined && mode === 'optional' && !needed.includes('admin')) return undefined;
      requireReady();
      if (authorization === undefined)
        throw unauthorized(`${asked()} needs an API key: send it as Authorization: Bearer adclicks_…`);
      return allowed(keyOf(keyIn(authorization), client, notInHeader), needed, asked);
    },
    admitSession(session, needed, client, asked) {
      if (isUnchecked(needed)) return undefined;
      requireReady();
      refuseGuesser(session.slice(...keyIdPlace), client, now());
      return allowed(ofHere(checked(keys.checkSession(session, now()), client, now(), noSession)), needed, asked);
    },
    admitPublic(text, client, asked) {
      requireReady();
      if (text === undefined) throw unauthorized(`${asked()} needs a public API key: ?k=adclicks_pub_…`);
      const key = keyOf(text, client, notInAddress);
      const { scopes, origins } = key.created;
      if (isPublic(scopes) && origins !== undefined) return key;
      const detail = `${asked()} needs a key with scope ${publicScope} alone, and API key ${key.id} is another: it must not stand in a page or an address, so rotate it`;
      throw refusedWith(key, new Problem(403, 'forbidden', detail, { scope: publicScope }));
    },
    signIn(text, client) {
      requireReady();
      return keyOf(text, client, notInBody);
    },
    ...lookUps(keys, region, now, requireReady),
  };
}

/** The looks at what was sent that refuse nobody for it. */
function lookUps(
  keys: KnownKeys,
  region: Region,
  now: () => number,
  requireReady: () => void,
): Pick<KeyGate, 'ownerOf' | 'inForce'> {
  const verdictOn = ({ authorization, session = '' }: Sent) =>
    authorization === undefined ? keys.checkSession(session, now()) : keys.check(keyIn(authorization), now());
  /** A key of another region is nobody's here. */
  const goodHere = (verdict: KeyVerdict) =>
    verdict.kind === 'right' && isGoodIn(region, verdict.key.created.region) ? verdict.key : undefined;
  return {
    ownerOf(sent, client) {
      const { authorization, session = '' } = sent;
      if (authorization === undefined && sent.session === undefined) return undefined;
      requireReady();
      const keyId = authorization === undefined ? session.slice(...keyIdPlace) : keyIdPart(keyIn(authorization));
      refuseGuesser(keyId, client, now());
      const verdict = verdictOn(sent);
      countGuess(verdict, client, now());
      return goodHere(verdict);
    },
    inForce(sent) {
      if (sent.authorization === undefined && sent.session === undefined) return undefined;
      requireReady();
      return goodHere(verdictOn(sent));
    },
  };
}

/** Returns the valid key that was not enough, if the problem says that. For the audit log. */
export function keyRefusedWith(problem: Problem): Key | undefined {
  return refusedKeys.get(problem);
}

/** Notes whose valid key was not enough. Every 403 to a valid key comes with it, or with `request.apiKey`. */
export function refusedWith(key: Key | undefined, problem: Problem): Problem {
  if (key !== undefined) refusedKeys.set(problem, key);
  return problem;
}

const refusedKeys = new WeakMap<Problem, Key>();

/** @throws Problem if too many wrong keys came from this client, and none with this id was right */
function refuseGuesser(keyId: string, client: KeySender, now: number): void {
  const { wrongKeys } = client;
  if (wrongKeys.isUsedUp(now) && !wrongKeys.wasRight(keyId)) throw tooMany(client, now);
}

/** @throws Problem unless what was sent is in force */
function checked(verdict: KeyVerdict, client: KeySender, now: number, malformed: string): Key {
  countGuess(verdict, client, now);
  if (verdict.kind === 'right') return verdict.key;
  throw unauthorized(verdict.kind === 'malformed' ? malformed : words(verdict));
}

function countGuess(verdict: KeyVerdict, { wrongKeys }: KeySender, now: number): void {
  if (verdict.kind === 'right') wrongKeys.right(verdict.key.id);
  if (verdict.kind === 'unknown' || verdict.kind === 'malformed') wrongKeys.wrong(now);
}

/** @throws Problem for a key of another region */
function goodIn(region: Region, key: Key): Key {
  try {
    requireRegion(`API key ${key.id}`, key.created.region, region);
  } catch (error) {
    throw error instanceof Problem ? refusedWith(key, error) : error;
  }
  return key;
}

/** @throws Problem unless the key has all scopes that are needed */
function allowed(key: Key, needed: readonly Scope[], asked: () => string): Key {
  const missing = needed.find(scope => !isAllowed(key.created.scopes, scope));
  if (missing === undefined) return key;
  const detail = `${asked()} needs scope ${missing}, which API key ${key.id} does not have`;
  throw refusedWith(key, new Problem(403, 'forbidden', detail, { scope: missing }));
}

/** Returns the text after `Bearer`, or an empty one. The key check reports a malformed key. */
function keyIn(authorization: string): string {
  // The usual form first, because this runs for every request.
  if (authorization.startsWith('Bearer ')) return authorization.slice('Bearer '.length).trimStart();
  return /^Bearer +([^ ]+)$/i.exec(authorization)?.[1] ?? '';
}

const notInHeader =
  'header Authorization has no API key, but must be Bearer and the whole key as it was shown when it was made';
const notInBody = 'field api_key is no API key, but must be the whole key as it was shown when it was made';
const noSession = 'the session in the cookie is none: sign in again';
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
    case 'over':
      return `the session of API key ${verdict.key.id} is over: sign in again`;
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
  checkSession: () => ({ kind: 'unknown' }),
  refusal: () => 'the API keys are not read yet',
};
