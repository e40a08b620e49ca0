/**
 * The types of requests and answers of the query API by their URL, from the OpenAPI document. They are only for the type
 * check: it fails if a page uses a field, a parameter or a path that the API does not have.
 */
import type { Operations, operations } from '../client/operations.ts';

type Places = typeof operations;
type Method = 'GET' | 'POST' | 'DELETE';

/** The URLs of a path, in which each parameter is replaced by a text. */
type UrlsOf<Path extends string> = Path extends `${infer Before}{${string}}${infer After}`
  ? `${Before}${string}${UrlsOf<After>}`
  : Path;

type NamesBy<M extends Method> = {
  [N in keyof Operations]: Places[N] extends { service: 'query-api'; method: M; gives: 'json' } ? N : never;
}[keyof Operations];

type NameAt<M extends Method, U> = {
  [N in NamesBy<M>]: U extends UrlsOf<Places[N]['path']> ? N : never;
}[NamesBy<M>];

/** Readiness is not in the client: its answer says something only if it fails. */
type Unlisted<M extends Method> = M extends 'GET' ? '/readyz' : never;

export type Url<M extends Method> = UrlsOf<Places[NamesBy<M>]['path']> | Unlisted<M>;

export type Answer<M extends Method, U> = Operations[NameAt<M, U>]['answer'];

type Asked<U> = Operations[NameAt<'GET', U>]['input'] extends { readonly query?: infer Query }
  ? NonNullable<Query>
  : never;

/** A list with one member may be given as that member. */
export type Query<U> = { readonly [K in keyof Asked<U>]?: OneOrMore<Asked<U>[K]> | undefined };

type OneOrMore<Value> = Value extends readonly (infer One)[] ? Value | One : Value;

export type Body<U> = Operations[NameAt<'POST', U>]['input'] extends infer Input
  ? Input extends { readonly body: infer Content }
    ? Content
    : never
  : never;

/** A live event comes once a second and counts all ads together. */
export type LiveEvent = Operations['listen']['answer'];

/** How final a number is. */
export type Finality = LiveEvent['current']['state'];

export type SeriesAnswer = Operations['getAllSeries']['answer'];

/** One minute, hour or day of a series. */
export type Point = SeriesAnswer['series'][number]['points'][number];

export type StatusAnswer = Operations['getStatus']['answer'];

export type QuarantineAnswer = Operations['getQuarantine']['answer'];

/** What has happened to a line since it was quarantined. */
export type Outcome = QuarantineAnswer['lines'][number]['outcome'];

/** Who is signed in. */
export type Session = Operations['getSession']['answer'];

export type ApiKey = Operations['listKeys']['answer']['keys'][number];

export type Scope = Operations['createKey']['input']['body']['scopes'][number];

export type Replay = Operations['getReplay']['answer'];
