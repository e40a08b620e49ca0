/**
 * Asks the query API for all views. A failure is an Error. Its message is the sentence of the API, which names field, value
 * and rule; where something else has answered in place of the API, it says that, and what to do. The page learns the time of the
 * server from each answer.
 */
import { hearTime, serverTime } from './clock.js';

/** @import { Answer, Body, Query, Url } from './api-types.ts' */
/** @import { Problem } from '../client/operations.ts' */

/**
 * @template {Url<'GET'>} U
 * @param {U} path
 * @param {Query<U>} [query]
 * @param {AbortSignal} [signal]
 */
export async function get(path, query = {}, signal = undefined) {
  const given = new URLSearchParams();
  /** @type {[string, unknown][]} */
  const asked = Object.entries(query);
  for (const [key, value] of asked) {
    for (const one of [value].flat()) if (one !== undefined && one !== '') given.append(key, String(one));
  }
  const text = given.toString();
  const answer = await answerOf(await reach(text ? `${path}?${text}` : path, { signal }));
  return /** @type {Answer<'GET', U>} */ (answer);
}

/**
 * Gives the text of an answer as it is.
 * @param {string} path
 * @param {AbortSignal} [signal]
 */
export async function getText(path, signal) {
  const response = await reach(path, { signal });
  const body = await textOf(response);
  if (!response.ok) throw new ApiError(response, undefined);
  if (!isOfType(response, 'text/plain')) throw new Error(otherAnswer);
  return body;
}

/**
 * @template {Url<'POST'>} U
 * @param {U} path
 * @param {Body<U>} body
 */
export async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  const answer = await answerOf(await reach(path, { method: 'POST', headers, body: JSON.stringify(body) }));
  return /** @type {Answer<'POST', U>} */ (answer);
}

/**
 * @template {Url<'DELETE'>} U
 * @param {U} path
 */
export async function remove(path) {
  return /** @type {Answer<'DELETE', U>} */ (await answerOf(await reach(path, { method: 'DELETE' })));
}

/** The message of an error, whatever was thrown. @param {unknown} error */
export function messageOf(error) {
  return error instanceof Error ? error.message : String(error);
}

/**
 * The parts that are not ready, each with its reason, if the error is an answer of GET /readyz.
 * @param {unknown} error
 */
export function failedOf(error) {
  const failed = error instanceof ApiError ? error.body?.['failed'] : undefined;
  return /** @type {Readonly<Record<string, string>> | undefined} */ (failed);
}

/** An answer that is not a success. `body` holds its problem details if it has any. */
class ApiError extends Error {
  /** @param {Response} response @param {Partial<Problem> | undefined} body */
  constructor({ status, headers }, body) {
    super(body?.detail ?? `The query API answered with status ${status}. ${adviceFor(status)}`);
    /** @type {Partial<Problem> | undefined} */
    this.body = body;
    /** How long the server wants to be left alone, if it says so. @type {number | undefined} */
    this.retryAfterMs = retryAfterOf(headers.get('retry-after'));
  }
}

/** For an answer without a sentence of its own: mostly a proxy has written it. @param {number} status */
function adviceFor(status) {
  if (status === 401 || status === 403) return 'Reload the page to sign in again.';
  if (status === 429) return 'Too many requests were made from here: wait a minute, and close other tabs of this page.';
  if (status >= 500) return 'It is overloaded or being restarted: try again in a moment.';
  return 'Reload the page: it may be older than the server.';
}

/** RFC 9110 allows seconds, and a date. @param {string | null} text */
function retryAfterOf(text) {
  const ms = text === null ? Number.NaN : /^\d+$/.test(text) ? Number(text) * 1_000 : Date.parse(text) - serverTime();
  return ms > 0 ? ms : undefined;
}

const otherAnswer =
  'Something between this browser and the query API has answered in its place, for example the sign-in page of a proxy or of a network. Reload the page, and sign in there.';
const partOfAnswer = 'The answer of the query API has arrived only in part. Try again.';

/** @type {() => unknown} */
let unauthorized = () => undefined;

/** Calls `listener` whenever an answer says that nobody is signed in, or not any more. @param {() => unknown} listener */
export function onUnauthorized(listener) {
  unauthorized = listener;
}

/** The API answers or fails much sooner than this. After so long no answer will arrive. */
const longestMs = 120_000;

/**
 * @param {string} url
 * @param {Omit<RequestInit, 'signal'> & { readonly signal?: AbortSignal | undefined }} given
 */
async function reach(url, { signal, ...options }) {
  const limit = AbortSignal.timeout(longestMs);
  const sentAt = performance.now();
  try {
    const response = await fetch(url, {
      ...options,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: 'no-store',
      // The API redirects no question. Another site, to which a proxy redirects, would look as if nobody could be reached.
      redirect: 'manual',
    });
    if (response.type === 'opaqueredirect') throw new OtherAnswer(otherAnswer);
    learnTime(response, performance.now() - sentAt);
    // Whoever signs in with a wrong key gets 401, too. It changes nothing.
    if (response.status === 401 && url !== '/v1/session') unauthorized();
    return response;
  } catch (error) {
    throw error instanceof OtherAnswer ? error : connectionError(error, 'The query API cannot be reached. Try again.');
  }
}

class OtherAnswer extends Error {}

/**
 * The header is written while the request is on its way, in whole seconds.
 * @param {Response} response
 * @param {number} tookMs
 */
function learnTime(response, tookMs) {
  const at = Date.parse(response.headers.get('date') ?? '');
  if (Number.isFinite(at)) hearTime(at, at + 1_000 + tookMs);
}

/** @param {unknown} error @param {string} otherwise */
function connectionError(error, otherwise) {
  const name = error instanceof Error ? error.name : '';
  if (name === 'AbortError') return error;
  if (name === 'TimeoutError')
    return new Error(`The query API has not answered for ${longestMs / 1_000} s. Try again.`);
  return new Error(otherwise);
}

/** @param {Response} response @returns {Promise<unknown>} */
async function answerOf(response) {
  const text = await textOf(response);
  const isJson = isOfType(response, 'json');
  const body = isJson ? parsed(text) : undefined;
  if (!response.ok) throw new ApiError(response, /** @type {Partial<Problem> | undefined} */ (body));
  if (!isJson) throw new Error(otherAnswer);
  if (body === undefined) throw new Error(partOfAnswer);
  return body;
}

/** @param {Response} response */
async function textOf(response) {
  try {
    return await response.text();
  } catch (error) {
    throw connectionError(error, partOfAnswer);
  }
}

/** @param {Response} response @param {string} type */
function isOfType(response, type) {
  return (response.headers.get('content-type') ?? '').includes(type);
}

/** Undefined if it is no object. @param {string} text */
function parsed(text) {
  try {
    /** @type {unknown} */
    const body = JSON.parse(text);
    return typeof body === 'object' && body !== null ? body : undefined;
  } catch {
    return undefined;
  }
}
