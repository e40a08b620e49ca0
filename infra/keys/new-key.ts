/** Makes an API key: the rules for what may be asked for, the text that is shown once, and the record. Pure but for chance. */
import { brokenQuotaRule, type OwnQuotas } from '../quotas/quotas.ts';
import type { Key } from './key-book.ts';
import type { KeyChange } from './key-record.ts';
import { firstSecret } from './key-rotations.ts';
import { mintKeyId, mintKeyText, parseKeyText } from './key-text.ts';
import { isOriginPattern, maxOrigins, originRule } from './origins.ts';
import { regionPattern, regionRule } from './region.ts';
import { isPublic, publicScope, scopeNames } from './scopes.ts';
import { sessionKeyOf } from './session-text.ts';
import { adIdPrefixPattern, mostPrefixes, sharedPrefix, type Tenant, tenantIdPattern } from './tenant.ts';

/** What is asked for. Times are epoch ms. */
export interface WantedKey {
  readonly label: string;
  readonly scopes: readonly string[];
  readonly expiresAt?: number | undefined;
  readonly adIdPrefix?: string | undefined;
  readonly quotas?: OwnQuotas | undefined;
  /** Whose ads the key is for. Left out: those of all. */
  readonly tenant?: Tenant | undefined;
  /** From which pages a public key may be used (origins.ts). */
  readonly origins?: readonly string[] | undefined;
  /** In which region alone it is good (region.ts). Left out: in all. */
  readonly region?: string | undefined;
}

/** Who does it, and from which address, if it is done over HTTP. */
export interface Doer {
  readonly by: string;
  readonly from?: string;
}

export interface BrokenKeyRule {
  readonly field:
    | 'label'
    | 'scopes'
    | 'expires_at'
    | 'ad_id_prefix'
    | 'quotas'
    | 'origins'
    | 'region'
    | 'tenant'
    | 'tenant.id'
    | 'tenant.ad_id_prefixes';
  readonly value: unknown;
  readonly rule: string;
  readonly advice?: string;
}

export const maxLabelLength = 100;

/** Returns the first rule that is broken, if any. `tenants` are those of the keys that there are. */
export function brokenKeyRule(
  wanted: WantedKey,
  now: number,
  tenants: readonly Tenant[] = [],
): BrokenKeyRule | undefined {
  const { label, scopes, expiresAt, tenant, quotas, region } = wanted;
  if (!isLabel(label))
    return {
      field: 'label',
      value: label,
      rule: `must be 1 to ${maxLabelLength} characters without control characters`,
    };
  const unknown = scopes.find(scope => !(scopeNames as readonly string[]).includes(scope));
  if (unknown !== undefined || scopes.length === 0)
    return { field: 'scopes', value: unknown, rule: `must be one or several of ${scopeNames.join(', ')}` };
  if (new Set(scopes).size < scopes.length)
    return { field: 'scopes', value: scopes, rule: 'must name each scope once' };
  if (expiresAt !== undefined && expiresAt <= now)
    return { field: 'expires_at', value: new Date(expiresAt).toISOString(), rule: 'must lie in the future' };
  const brokenQuota = quotas && brokenQuotaRule(quotas);
  if (brokenQuota)
    return { field: 'quotas', value: brokenQuota.value, rule: `${brokenQuota.name} ${brokenQuota.rule}` };
  if (region !== undefined && !regionPattern.test(region)) return { field: 'region', value: region, rule: regionRule };
  if (tenant !== undefined) return brokenTenantRule(wanted, tenant, tenants);
  return scopes.includes(publicScope) ? brokenPublicRule(wanted) : brokenPrefixRule(wanted);
}

/** A key that stands in a page does one thing, from named pages, for named ads. */
function brokenPublicRule({ scopes, adIdPrefix, origins = [] }: WantedKey): BrokenKeyRule | undefined {
  if (scopes.length > 1)
    return {
      field: 'scopes',
      value: scopes,
      rule: `must be ${publicScope} alone, because whoever sees a page has the key that stands in it`,
    };
  if (origins.length === 0 || origins.length > maxOrigins)
    return { field: 'origins', value: origins, rule: `must name 1 to ${maxOrigins} origins with scope ${publicScope}` };
  const wrong = origins.find(origin => !isOriginPattern(origin));
  if (wrong !== undefined) return { field: 'origins', value: wrong, rule: originRule };
  if (adIdPrefix === undefined)
    return {
      field: 'ad_id_prefix',
      value: undefined,
      rule: `must be given with scope ${publicScope}, because anybody can send clicks of all ads of the key`,
    };
  return brokenPrefix(adIdPrefix);
}

function brokenPrefixRule({ scopes, adIdPrefix, origins }: WantedKey): BrokenKeyRule | undefined {
  if (origins !== undefined)
    return { field: 'origins', value: origins, rule: `may stand with scope ${publicScope} alone` };
  if (adIdPrefix === undefined) return undefined;
  const further = scopes.find(scope => scope !== 'ingest');
  if (further === undefined) return brokenPrefix(adIdPrefix);
  return {
    field: 'ad_id_prefix',
    value: adIdPrefix,
    rule: `may stand with scope ingest or ${publicScope} alone, and ${further} is asked for, too`,
    advice: 'it limits only which ads are written: name a tenant to limit which are read, too',
  };
}

/**
 * What is done with `operate` and `admin` concerns the ads of all: a job recounts minutes of every ad, and a key could
 * make another one that is for all.
 */
const scopesOfTenants: readonly string[] = ['ingest', 'read', 'read:personal'];

function brokenTenantRule(
  { scopes, adIdPrefix, origins }: WantedKey,
  tenant: Tenant,
  tenants: readonly Tenant[],
): BrokenKeyRule | undefined {
  const { id, adIdPrefixes } = tenant;
  if (!tenantIdPattern.test(id))
    return {
      field: 'tenant.id',
      value: id,
      rule: 'must be 1 to 64 of A-Z a-z 0-9 . _ -, and begin with a letter or a digit',
    };
  const wrong = adIdPrefixes.find(prefix => !adIdPrefixPattern.test(prefix));
  if (wrong !== undefined || adIdPrefixes.length === 0 || adIdPrefixes.length > mostPrefixes)
    return {
      field: 'tenant.ad_id_prefixes',
      value: wrong ?? adIdPrefixes,
      rule: `must be 1 to ${mostPrefixes} texts, each 1 to 128 of A-Z a-z 0-9 . _ : -`,
    };
  const further = scopes.find(scope => !scopesOfTenants.includes(scope));
  if (further !== undefined)
    return {
      field: 'tenant',
      value: id,
      rule: `may stand with the scopes ${scopesOfTenants.join(', ')} alone, and ${further} is asked for, too`,
      advice: `what is done with ${further} concerns the ads of all tenants`,
    };
  if (adIdPrefix !== undefined)
    return {
      field: 'ad_id_prefix',
      value: adIdPrefix,
      rule: 'cannot be used together with tenant',
      advice: 'the key is for the ads of tenant.ad_id_prefixes: name only the one there',
    };
  if (origins !== undefined)
    return { field: 'origins', value: origins, rule: `may stand with scope ${publicScope} alone` };
  const shared = sharedPrefix(tenant, tenants);
  if (shared === undefined) return undefined;
  return {
    field: 'tenant.ad_id_prefixes',
    value: shared.own,
    rule: `must have no ads in common with ${shared.prefix}, which is for tenant ${shared.other}`,
  };
}

function brokenPrefix(adIdPrefix: string): BrokenKeyRule | undefined {
  if (adIdPrefixPattern.test(adIdPrefix)) return undefined;
  return { field: 'ad_id_prefix', value: adIdPrefix, rule: 'must be 1 to 128 of A-Z a-z 0-9 . _ : -' };
}

export interface MadeKey {
  /** Is shown once. */
  readonly text: string;
  readonly change: KeyChange & { readonly kind: 'created' | 'rotated' };
}

/** The rules must hold. */
export function createdKey(wanted: WantedKey, doer: Doer, now: number): MadeKey {
  const { label, scopes, expiresAt, adIdPrefix, tenant, origins, quotas, region } = wanted;
  const { keyId, text } = mintKeyText(undefined, undefined, kindOf(scopes));
  return {
    text,
    change: {
      kind: 'created',
      id: keyId,
      label,
      scopes: [...scopes],
      ...(adIdPrefix === undefined ? {} : { ad_id_prefix: adIdPrefix }),
      ...(tenant === undefined ? {} : { tenant: { id: tenant.id, ad_id_prefixes: [...tenant.adIdPrefixes] } }),
      ...(origins === undefined ? {} : { origins: [...origins] }),
      ...(region === undefined ? {} : { region }),
      ...(expiresAt === undefined ? {} : { expires_at: expiresAt }),
      ...(quotas === undefined || Object.keys(quotas).length === 0 ? {} : { quotas }),
      ...storedOf(text),
      at: now,
      ...doer,
    },
  };
}

/** A key with another secret. The one that is in force now stays so for `overlapMs`. */
export function rotatedKey(key: Key, overlapMs: number, doer: Doer, now: number): MadeKey {
  const { text } = mintKeyText(key.id, undefined, kindOf(key.created.scopes));
  // The newest change is in force, and the clocks of two processes may differ.
  const at = Math.max(now, (key.rotated?.at ?? 0) + 1);
  const previous_until = now + overlapMs;
  return {
    text,
    change: {
      kind: 'rotated',
      id: key.id,
      change: mintKeyId(),
      replaces: key.rotated?.change ?? firstSecret,
      ...storedOf(text),
      previous_until,
      at,
      ...doer,
    },
  };
}

/** A key with other quotas, which replace all that it has had of its own. They must be valid. */
export function limitedKey(key: Key, quotas: OwnQuotas, doer: Doer, now: number): KeyChange & { kind: 'limited' } {
  const at = Math.max(now, (key.limited?.at ?? 0) + 1);
  return { kind: 'limited', id: key.id, change: mintKeyId(), quotas, at, ...doer };
}

/** A key that has ended for good. */
export function revokedKey(id: string, doer: Doer, now: number): KeyChange & { kind: 'revoked' } {
  return { kind: 'revoked', id, change: mintKeyId(), at: now, ...doer };
}

/** The mark of a change that is void (key-book.ts). It holds in whatever order the log is read. */
export function voidMark({ change }: MadeKey, doer: Doer, now: number): KeyChange {
  return change.kind === 'rotated' ? { ...change, void: true } : { ...revokedKey(change.id, doer, now), void: true };
}

function kindOf(scopes: readonly string[]): 'secret' | 'public' {
  return isPublic(scopes) ? 'public' : 'secret';
}

/** What is stored of a secret. Neither tells it. */
function storedOf(text: string) {
  return { secret_sha256: parseKeyText(text)?.secretHash.toString('hex') ?? '', session_key: sessionKeyOf(text) };
}

function isLabel(label: string): boolean {
  return label.trim() !== '' && label.length <= maxLabelLength && !/\p{Cc}/u.test(label) && label.isWellFormed();
}
