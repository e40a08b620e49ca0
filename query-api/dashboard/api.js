/**
 * Asks the query API, for all views. A failure is an Error whose message names field, value and rule, as the API tells
 * it.
 */

export async function get(path, query = {}, signal = undefined) {
  const given = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    for (const one of [value].flat()) if (one !== undefined && one !== '') given.append(key, one);
  }
  const text = given.toString();
  return await answerOf(await reach(text ? `${path}?${text}` : path, { signal }));
}

/** As it is, whatever it is. */
export async function getText(path, signal) {
  return await (await reach(path, { signal })).text();
}

export async function post(path, body) {
  const headers = { 'content-type': 'application/json' };
  return await answerOf(await reach(path, { method: 'POST', headers, body: JSON.stringify(body) }));
}

export async function remove(path) {
  return await answerOf(await reach(path, { method: 'DELETE' }));
}

/** The API bounds its reads far below this: where nothing comes for so long, nothing will. */
const longestMs = 120_000;

async function reach(url, { signal, ...options }) {
  const limit = AbortSignal.timeout(longestMs);
  try {
    return await fetch(url, {
      ...options,
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      cache: 'no-store',
    });
  } catch (error) {
    if (error.name === 'AbortError') throw error;
    if (error.name === 'TimeoutError') throw new Error(`The query API has not answered for ${longestMs / 1_000} s.`);
    throw new Error('The query API cannot be reached.');
  }
}

async function answerOf(response) {
  const body = await response.json().catch(() => undefined);
  if (response.ok && body !== undefined) return body;
  throw Object.assign(new Error(body?.detail ?? `The query API answered with status ${response.status}.`), {
    status: response.status,
    body,
  });
}
