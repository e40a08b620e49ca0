/**
 * The feeds of GET /v1/live: one for all who see all ads, and one for each tenant that listens. Each reads by itself, keeps
 * its own events, and gives them ids of its own, so nobody gets an event of others, whatever id he sends.
 *
 * A feed reads several times a second while somebody listens. So the number of tenants that listen at the same time is
 * limited, and each of them may have only a part of the listeners of a process.
 */
import type { Readable } from 'node:stream';
import type { AdStore } from '../../store/ad-store.ts';
import { createLiveFeed, type LiveFeed, type LiveFeedDeps } from './live-feed.ts';

export interface LiveFeeds extends AsyncDisposable {
  /** As `LiveFeed.open`, for the ads of this store. */
  open(store: AdStore, client: string, lastEventId: string | undefined): Readable | undefined;
}

export interface LiveFeedsDeps extends Omit<LiveFeedDeps, 'read' | 'run' | 'tenant'> {
  readonly readOf: (store: AdStore) => LiveFeedDeps['read'];
  readonly maxTenants?: number;
}

export function createLiveFeeds({ readOf, maxTenants = 32, ...deps }: LiveFeedsDeps): LiveFeeds {
  const { now, maxClients } = deps;
  const feeds = new Map<string | undefined, LiveFeed>();
  let made = 0;
  const feedOf = (store: AdStore): LiveFeed | undefined => {
    const { sight } = store;
    const known = feeds.get(sight);
    if (known) return known;
    const isOfTenant = sight !== undefined;
    if (isOfTenant && !makeRoom()) return undefined;
    const feed = createLiveFeed({
      ...deps,
      read: readOf(store),
      run: `${now().toString(36)}${(made++).toString(36).padStart(3, '0')}`,
      tenant: store.tenant?.id,
      maxClients: isOfTenant ? Math.ceil(maxClients / partOfTenant) : maxClients,
    });
    feeds.set(sight, feed);
    return feed;
  };
  /** Forgets a feed that nobody listens to, if there are as many as there may be. */
  const makeRoom = (): boolean => {
    const ofTenants = [...feeds].filter(([sight]) => sight !== undefined);
    if (ofTenants.length < maxTenants) return true;
    const [idle] = ofTenants.find(([, feed]) => !feed.isReading) ?? [];
    return idle !== undefined && feeds.delete(idle);
  };
  return {
    open: (store, client, lastEventId) => feedOf(store)?.open(client, lastEventId),
    async [Symbol.asyncDispose]() {
      await Promise.all([...feeds.values()].map(feed => feed[Symbol.asyncDispose]()));
    },
  };
}

/** One tenant may have a tenth of all listeners. */
const partOfTenant = 10;
