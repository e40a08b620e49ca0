/**
 * What the dashboard asks the query API, and what it answers, by URL: types of the OpenAPI document, for the type check
 * alone. A page that reads a field, gives a parameter or asks a path that the API does not have fails in the check.
 */
import type { Operations, operations } from '../client/operations.ts';

type Places = typeof operations;
type Method = 'GET' | 'POST' | 'DELETE';

/** Of a path: whatever text may stand for a parameter. */
type UrlsOf<Path extends string> = Path extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${UrlsOf<After>}`
  : Path;

type NamesBy<M extends Method> = {
  [N in keyof Operations]: Places[N] extends { service: 'query-api'; method: M; gives: 'json' } ? N : never;
}[keyof Operations];

type NameAt<M extends Method, U> = {
  [N in NamesBy<M>]: U extends UrlsOf<Places[N]['path']> ? N : never;
}[NamesBy<M>];

/** Health is in no client: it tells something only where it fails. */
type Unlisted<M extends Method> = M extends 'GET' ? '/readyz' : never;

export type Url<M extends Method> = UrlsOf<Places[NamesBy<M>]['path']> | Unlisted<M>;

export type Answer<M extends Method, U> = Operations[NameAt<M, U>]['answer'];

type Asked<U> = Operations[NameAt<'GET', U>]['input'] extends { readonly query?: infer Query }
  ? NonNullable<Query>
  : never;

/** A list may be given as its only member. */
export type Query<U> = { readonly [K in keyof Asked<U>]?: OneOrMore<Asked<U>[K]> | undefined };

type OneOrMore<Value> = Value extends readonly (infer One)[] ? Value | One : Value;

export type Body<U> = Operations[NameAt<'POST', U>]['input'] extends infer Input
  ? Input extends { readonly body: infer Content }
    ? Content
    : never
  : never;

/** Once a second, of all ads together. */
export type LiveEvent = Operations['listen']['answer'];

/** How final a number is. */
export type Finality = LiveEvent['current']['state'];

export type SeriesAnswer = Operations['getAllSeries']['answer'];

/** Of a series: one minute, hour or day. */
export type Point = SeriesAnswer['series'][number]['points'][number];

export type StatusAnswer = Operations['getStatus']['answer'];

export type QuarantineAnswer = Operations['getQuarantine']['answer'];

/** What has become of a line in quarantine. */
export type Outcome = QuarantineAnswer['lines'][number]['outcome'];

export type Replay = Operations['getReplay']['answer'];
