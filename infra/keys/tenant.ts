/**
 * Pure: a tenant, which is one of several owners of ads in the same pipeline. What belongs to it is decided by the
 * beginnings of ad ids, and by nothing else.
 *
 * Two tenants never have an ad in common, because no prefix of one may begin with a prefix of another
 * (`sharedPrefix`).
 */
export interface Tenant {
  readonly id: string;
  /** An ad belongs to the tenant if its id begins with one of these texts. */
  readonly adIdPrefixes: readonly string[];
}

export const tenantIdPattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
/** They become part of statements (infra/clickhouse/only-ads.ts), and so contain no quote and no backslash. */
export const adIdPrefixPattern = /^[A-Za-z0-9._:-]{1,128}$/;
/** All of them are compared with each click, and are sent with each statement. */
export const mostPrefixes = 20;

/** What the record of a key says about ads (key-record.ts). */
interface KeyForAds {
  readonly created: {
    readonly ad_id_prefix?: string;
    readonly tenant?: { readonly id: string; readonly ad_id_prefixes: readonly string[] };
  };
}

/** Returns undefined if the key is for the ads of all. */
export function tenantOf({ created: { tenant } }: KeyForAds): Tenant | undefined {
  return tenant && { id: tenant.id, adIdPrefixes: tenant.ad_id_prefixes };
}

/** Returns what the id of an ad may begin with that is written with the key. Undefined: it may be any ad. */
export function writableWith(key: KeyForAds | undefined): readonly string[] | undefined {
  if (key === undefined) return undefined;
  const { ad_id_prefix } = key.created;
  return tenantOf(key)?.adIdPrefixes ?? (ad_id_prefix === undefined ? undefined : [ad_id_prefix]);
}

export function ownsAd({ adIdPrefixes }: Pick<Tenant, 'adIdPrefixes'>, adId: string): boolean {
  return adIdPrefixes.some(prefix => adId.startsWith(prefix));
}

/**
 * A text that is the same only for keys that see the same ads. What is kept or issued for one of them (a cache, a tag, a
 * cursor) is named by it, so that it is of no use to another. Undefined stands for the ads of all.
 */
export function sightOf(tenant: Tenant | undefined): string | undefined {
  return tenant && [tenant.id, ...[...tenant.adIdPrefixes].sort()].join(' ');
}

/** Returns a prefix of another tenant which would have ads in common with `tenant`, and whose it is. */
export function sharedPrefix(
  tenant: Tenant,
  others: readonly Tenant[],
): { readonly prefix: string; readonly own: string; readonly other: string } | undefined {
  for (const { id, adIdPrefixes } of others) {
    if (id === tenant.id) continue;
    for (const prefix of adIdPrefixes) {
      const own = tenant.adIdPrefixes.find(each => each.startsWith(prefix) || prefix.startsWith(each));
      if (own !== undefined) return { prefix, own, other: id };
    }
  }
  return undefined;
}
