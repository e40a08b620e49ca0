/**
 * Who is signed in with this browser, and what the page may therefore show and start. The session itself is in a cookie that no
 * script can read, and the API key that begins it is kept nowhere. All tabs have the same cookie: who signs in or out in one of
 * them does so in all, and answers to the others are about that key from then on. So tabs tell each other.
 */
import { get, onUnauthorized, post, remove } from './api.js';

/** @import { Scope, Session } from './api-types.ts' */

/** As where no key is needed, until the API has answered. @type {Session} */
let session = {
  keys: 'optional',
  may: ['ingest', 'read', 'read:personal', 'operate'],
  region: null,
  identity_provider: false,
  key: null,
  until: null,
};
let wasSignedIn = false;
let isWanted = false;
/** Why the identity provider has not signed somebody in. @type {string | null} */
let fault = null;
/** @type {Promise<void> | undefined} */
let asking;

export const currentSession = () => session;

/** @param {Scope} scope */
export const may = scope => session.may.includes(scope);

/** Whether the page has to ask for a key, because nothing is answered without one, or because somebody wants to sign in. */
export const needsSignIn = () => session.key === null && (session.keys === 'required' || isWanted);

/** Whether somebody was signed in with this page, and is not any more without having asked for it. */
export const isOver = () => wasSignedIn && session.key === null;

/** Asks who is signed in. The event `session` tells that it is somebody else now. */
export async function loadSession() {
  asking ??= ask().finally(() => {
    asking = undefined;
  });
  await asking;
}

/** @param {string} apiKey */
export async function signIn(apiKey) {
  take(await post('/v1/session', { api_key: apiKey }));
}

export async function signOut() {
  const after = await remove('/v1/session');
  wasSignedIn = false;
  take(after, { isAsked: true });
}

/** Shows the page for signing in, or leaves it. @param {boolean} wanted */
export function wantSignIn(wanted) {
  isWanted = wanted;
  dispatchEvent(new Event('session'));
}

/** Looks who is signed in whenever the API answers that nobody is, or not any more. */
export function followSession() {
  onUnauthorized(loadSession);
  tabs.addEventListener('message', ({ data }) => {
    if (data !== (session.key?.id ?? '')) loadSession();
  });
}

/** Each message is the id of the key with which this browser is signed in, or empty. */
const tabs = new BroadcastChannel('adclicks session');

/**
 * The address to which a browser comes back from the identity provider has no room for the one that was left, so the page
 * remembers that by itself, for this tab. Nobody else can say where to go.
 */
export function leaveForProvider() {
  sessionStorage.setItem(leftAddress, location.search);
}

/** A word for why the identity provider has not signed somebody in, if that was so. */
export const providerFault = () => fault;

/** Goes on where it was left. Whoever was not signed in is told why. */
export function comeBack() {
  const left = sessionStorage.getItem(leftAddress);
  sessionStorage.removeItem(leftAddress);
  fault = new URLSearchParams(location.search).get('sign-in');
  isWanted = fault !== null;
  if (left !== null || isWanted) history.replaceState(null, '', `/${left ?? ''}`);
}

const leftAddress = 'adclicks left for the identity provider';

async function ask() {
  try {
    take(await get('/v1/session'));
  } catch {
    // Whoever shows numbers says that the API cannot be reached.
  }
}

/** @param {Session} next */
function take(next, { isAsked = false } = {}) {
  const before = session;
  session = next;
  wasSignedIn = next.key !== null || (wasSignedIn && !isAsked);
  if (next.key !== null) {
    isWanted = false;
    fault = null;
  }
  const isSame =
    JSON.stringify([before.keys, before.key, before.may]) === JSON.stringify([next.keys, next.key, next.may]);
  if (isSame) return;
  tabs.postMessage(next.key?.id ?? '');
  dispatchEvent(new Event('session'));
}
