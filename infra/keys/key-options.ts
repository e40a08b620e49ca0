/** Reads the options with which a new key is described on the command line, at the broker and over HTTP alike. */
import { brokenRule } from '../broken-rule.ts';
import { ConfigError } from '../errors.ts';
import { brokenQuotaRule, type OwnQuotas } from '../quotas/quotas.ts';
import type { Tenant } from './tenant.ts';

/** Adds `--quota name=n` to those before it. @throws ConfigError */
export function quotasWith(text: string, before: OwnQuotas = {}): OwnQuotas {
  const [name = '', value = ''] = text.split('=');
  const quotas = { [name]: /^\d+$/.test(value) ? Number(value) : value };
  const broken = brokenQuotaRule(quotas);
  if (broken) throw new ConfigError(brokenRule(broken.name, broken.value, broken.rule));
  return { ...before, ...(quotas as OwnQuotas) };
}

/** Of which ads `--tenant` and `--ad-id-prefix` speak. @throws ConfigError */
export function adsIn(
  tenantId: string | undefined,
  prefixes: readonly string[] = [],
): { readonly tenant?: Tenant; readonly adIdPrefix?: string } {
  if (tenantId !== undefined) {
    if (prefixes.length > 0) return { tenant: { id: tenantId, adIdPrefixes: prefixes } };
    throw new ConfigError(`--tenant ${tenantId}: needs --ad-id-prefix, which says what its ads begin with`);
  }
  const [adIdPrefix, second] = prefixes;
  if (second !== undefined)
    throw new ConfigError(`--ad-id-prefix ${second}: several may be given only together with --tenant`);
  return adIdPrefix === undefined ? {} : { adIdPrefix };
}
