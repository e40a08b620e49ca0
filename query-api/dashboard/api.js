/**
 * Asks the query API for all views. A failure is an Error. Its message is the sentence of the API, which names field, value
 * and rule.
 */

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
  return await (await reach(path, { signal })).text();
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
  /** @param {number} status @param {Partial<Problem> | undefined} body */
  constructor(status, body) {
    super(body?.detail ?? `The query API answered with status ${status}.`);
    /** @type {Partial<Problem> | undefined} */
    this.body = body;
  }
}

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
  try {
    const response = await fetch(url, {
      ...options,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: 'no-store',
    });
    // Whoever signs in with a wrong key gets 401, too. It changes nothing.
    if (response.status === 401 && url !== '/v1/session') unauthorized();
    return response;
  } catch (error) {
    const name = error instanceof Error ? error.name : '';
    if (name === 'AbortError') throw error;
    if (name === 'TimeoutError') throw new Error(`The query API has not answered for ${longestMs / 1_000} s.`);
    throw new Error('The query API cannot be reached.');
  }
}

/** @param {Response} response @returns {Promise<unknown>} */
async function answerOf(response) {
  /** @type {Partial<Problem> | undefined} */
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  throw new ApiError(response.status, body);
}
