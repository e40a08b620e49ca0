/**
 * The questions about ads, as the sender of a request may ask them: about all ads, or about those of one tenant.
 *
 * A route that answers tenants gets no other store than this one, and gets it only for a request
 * (`query-api/http/store-for.ts`). So no route can forget whose ads it reads. In the store of a tenant, ClickHouse has no
 * other ads, whatever a statement says (`infra/clickhouse/only-ads.ts`), and what is kept between requests is kept for
 * each tenant separately.
 *
 * The roll-up has top lists and sums of all ads together, which say nothing about the ads of a tenant. Its answers are
 * worked out from the rows by ad: of whole hours from `ad_hour`, of other minutes from `ad_minute`. They are as exact.
 */
import { readingAs } from '../../infra/clickhouse/clickhouse.ts';
import { onlyAds } from '../../infra/clickhouse/only-ads.ts';
import { ownsAd, sightOf, type Tenant } from '../../infra/keys/tenant.ts';
import type { Routing } from '../log/hot-ad-rules.ts';
import { createQueries } from './ad-counts.ts';
import { createCellQueries } from './cell-clicks.ts';
import { createAuditQueries } from './click-copies.ts';
import { createExportQueries } from './exports.ts';
import type { FilterStore } from './filters/filter-store.ts';
import { createGroupQueries } from './group-counts.ts';
import { createLateClicks } from './late-clicks.ts';
import type { Store, StoreOptions } from './open-store.ts';
import { createQuarantineQueries } from './quarantine.ts';
import { createRawQueries } from './raw-counts.ts';
import { createRestatementQueries } from './restatements.ts';
import { createBlockDirectory } from './rollup/block-directory.ts';
import { createTopQueries } from './rollup/top-lists.ts';
import { createSplitClicks } from './split-clicks.ts';
import { splitRulesOf } from './split-minutes.ts';

export interface AdStore
  extends Pick<
    Store,
    | 'groups'
    | 'restatements'
    | 'stated'
    | 'lateClicks'
    | 'splitClicks'
    | 'raw'
    | 'rawCoverage'
    | 'tops'
    | 'history'
    | 'exports'
    | 'quarantine'
    | 'audit'
    | 'cells'
  > {
  /** Whose ads these are. Undefined: those of all. */
  readonly tenant: Tenant | undefined;
  /** Names whose ads these are (infra/keys/tenant.ts), for what is issued to the sender: tags and cursors. */
  readonly sight: string | undefined;
  readonly queries: Pick<Store['queries'], 'popularAds' | 'progress'>;
  readonly filters: Pick<FilterStore, 'get'>;
  /** Which of these ads are split, over how many partitions. Undefined: Kafka does not answer. */
  readonly routing: () => Promise<Routing | undefined>;
}

export interface AdStoresOptions extends StoreOptions {
  readonly whole: Store;
  /** Of all ads. */
  readonly routing: AdStore['routing'];
}

export function openAdStores(options: AdStoresOptions): (tenant: Tenant | undefined) => AdStore {
  const ofAll: AdStore = { ...options.whole, tenant: undefined, sight: undefined, routing: options.routing };
  /** By what they see. The one that was used last is the last. */
  const known = new Map<string, AdStore>();
  return tenant => {
    const sight = sightOf(tenant);
    if (tenant === undefined || sight === undefined) return ofAll;
    const store = known.get(sight) ?? openTenantStore(options, tenant, sight);
    known.delete(sight);
    known.set(sight, store);
    if (known.size > mostKept) known.delete(known.keys().next().value ?? '');
    return store;
  };
}

/** A store that is opened anew has lost only what it had kept of the last second. */
const mostKept = 1_000;

function openTenantStore(options: AdStoresOptions, tenant: Tenant, sight: string): AdStore {
  const { whole, each, shards, timeoutMs, exportTimeoutMs, now } = options;
  const clickhouse = onlyAds(options.clickhouse, tenant.adIdPrefixes);
  const ofRaw = readingAs('raw', clickhouse);
  // Which hours are worked out, and up to date, is the same for all ads. It counts the restatements of all.
  const directory = createBlockDirectory(options.clickhouse, { timeoutMs, shards });
  const lateClicksOf = each(() => createLateClicks({ clickhouse, now }));
  const splitRules = splitRulesOf(options.splitRules, tenant);
  const splitClicksOf = each(() => createSplitClicks({ clickhouse, splitRules, now }));
  return {
    tenant,
    sight,
    queries: { popularAds: createQueries(clickhouse, { timeoutMs }).popularAds, progress: whole.queries.progress },
    groups: createGroupQueries(clickhouse, { timeoutMs, shards, byAd: directory }),
    restatements: createRestatementQueries(clickhouse, { timeoutMs }),
    // Which recounts are visible, and how far raw clicks reach, is the same for all ads.
    stated: whole.stated,
    rawCoverage: whole.rawCoverage,
    lateClicks: async () => await lateClicksOf()(),
    splitClicks: async finalUntil => await splitClicksOf()(finalUntil),
    raw: createRawQueries(ofRaw, { timeoutMs }),
    filters: { get: () => Promise.reject(new Error('a stored filter is not for tenants')) },
    tops: createTopQueries(clickhouse, directory, { timeoutMs, useLists: false }),
    history: { mostClicked: async () => undefined },
    exports: createExportQueries(ofRaw, { timeoutMs, exportTimeoutMs }),
    quarantine: createQuarantineQueries(ofRaw, { timeoutMs, now }),
    audit: createAuditQueries(ofRaw, { timeoutMs }),
    cells: createCellQueries(ofRaw, { timeoutMs }),
    async routing() {
      const all = await options.routing();
      return all && { ...all, rules: all.rules.filter(({ adId }) => ownsAd(tenant, adId)) };
    },
  };
}
