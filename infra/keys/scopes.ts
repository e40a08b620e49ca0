/** Lists the scopes of API keys: what a key lets its holder do. None includes another, but `admin` includes all except `ingest:public`. */

export const scopes = {
  ingest: 'post clicks',
  'ingest:public':
    'for a key in a page: send clicks from the browsers that show this page, of ads of one prefix, and nothing else',
  read: 'counts, top lists, series and the state of the pipeline',
  'read:personal':
    'what is about persons: clicks by user or address, stored filters, click trails, quarantined lines, raw exports',
  operate: 'start and end jobs, put and delete filters, add partitions',
  admin: 'make, rotate and revoke keys, and everything else',
} as const;

export type Scope = keyof typeof scopes;

/** Of keys that anybody has who sees a page. `admin` does not include it, because its key must never be in a page. */
export const publicScope = 'ingest:public' satisfies Scope;

/** Whether a key is for pages. One that may do anything else, too, is not. */
export function isPublic(held: readonly string[]): boolean {
  return held.length === 1 && held[0] === publicScope;
}

export const scopeNames = Object.keys(scopes) as readonly Scope[];

/** `held` may name scopes of a newer release. They let nobody do anything here. */
export function isAllowed(held: readonly string[], needed: Scope): boolean {
  return held.includes(needed) || held.includes('admin');
}
