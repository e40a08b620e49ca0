/** Makes the request for an operation and its input. Pure. */
import type { Place } from './operations.ts';
import { InvalidInput } from './problem-error.ts';

export interface Input {
  readonly params?: Readonly<Record<string, string>> | undefined;
  readonly query?: Readonly<Record<string, QueryValue>> | undefined;
  readonly body?: unknown;
}

type QueryValue = string | number | boolean | readonly (string | number)[] | undefined;

/** `base` is the URL of the service. It may have a path, for example that of a gateway. @throws InvalidInput if a parameter cannot stand in a path */
export function requestOf(base: string, place: Place, input: Input): { url: string; init: RequestInit } {
  const path = place.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = input.params?.[name];
    // An empty value, `.` and `..` would lead to another path, also if they were encoded.
    if (value === undefined || value === '') throw new InvalidInput(`${name} is not given, but must be`);
    if (value === '.' || value === '..')
      throw new InvalidInput(`${name} is "${value}", but must not be . or .., which no address can name`);
    return encodeURIComponent(value);
  });
  const query = queryOf(input.query ?? {});
  const headers: Record<string, string> = { accept: accepts[place.gives] };
  const init: RequestInit = { method: place.method, headers };
  if (input.body !== undefined) {
    headers['content-type'] = 'application/json';
    init.body = JSON.stringify(input.body);
  }
  return { url: `${base.replace(/\/+$/, '')}${path}${query === '' ? '' : `?${query}`}`, init };
}

/** What `fetch` does not take would be shown in its error, so it is refused here. @throws InvalidInput */
export function authorizationOf(apiKey: string | undefined): Readonly<Record<string, string>> {
  if (apiKey === undefined) return {};
  if (!/^[\x21-\x7e]+$/.test(apiKey)) throw new InvalidInput('apiKey is no API key, but must be one, whole');
  return { authorization: `Bearer ${apiKey}` };
}

const accepts = {
  json: 'application/json',
  lines: 'application/x-ndjson',
  events: 'text/event-stream',
  text: '*/*',
  nothing: '*/*',
} as const satisfies Record<Place['gives'], string>;

/** A list becomes one `name=value` for each element. */
function queryOf(query: Readonly<Record<string, QueryValue>>): string {
  const pairs = Object.entries(query).flatMap(([name, value]) => {
    if (value === undefined) return [];
    return [value].flat().map((one): [string, string] => [name, String(one)]);
  });
  return new URLSearchParams(pairs).toString();
}
