/** Lists the scopes of API keys: what a key lets its holder do. None includes another, but `admin` includes all. */

export const scopes = {
  ingest: 'post clicks',
  read: 'counts, top lists, series and the state of the pipeline',
  'read:personal':
    'what is about persons: clicks by user or address, stored filters, click trails, quarantined lines, raw exports',
  operate: 'start and end jobs, put and delete filters, add partitions',
  admin: 'make, rotate and revoke keys, and everything else',
} as const;

export type Scope = keyof typeof scopes;

export const scopeNames = Object.keys(scopes) as readonly Scope[];

/** `held` may name scopes of a newer release. They let nobody do anything here. */
export function isAllowed(held: readonly string[], needed: Scope): boolean {
  return held.includes(needed) || held.includes('admin');
}
