/**
 * Defines the settings for the quotas of API keys. They hold for every key that has no value of its own, and for all
 * processes of a kind together, which share each quota (member-shares.ts).
 */
import { type TInteger, Type } from 'typebox';
import { mostOfQuota, type QuotaName, type Quotas, quotaMeanings, quotaNames } from './quotas.ts';

const defaults: Quotas = {
  clicks_per_second: 100_000,
  burst_seconds: 10,
  bytes_in_flight: 32 << 20,
  connections: 2_000,
  open_jobs: 10,
  exports: 1,
  live_listeners: 200,
  raw_read_seconds_per_minute: 60,
};

const ofIngest = ['clicks_per_second', 'burst_seconds', 'bytes_in_flight', 'connections'] as const;
const ofQueryApi = ['connections', 'open_jobs', 'exports', 'live_listeners', 'raw_read_seconds_per_minute'] as const;

type Setting<Name extends QuotaName> = (typeof quotaMeanings)[Name]['setting'];

export const IngestQuotaConfig = Type.Object(settingsOf(ofIngest));
export const QueryApiQuotaConfig = Type.Object(settingsOf(ofQueryApi));

/** Of what a process does not limit there is no setting, and no limit. */
export function quotasOf(config: Readonly<Partial<Record<Setting<QuotaName>, number>>>): Quotas {
  const quotaOf = (name: QuotaName) => config[quotaMeanings[name].setting] ?? 0;
  return Object.fromEntries(quotaNames.map(name => [name, quotaOf(name)])) as Record<QuotaName, number>;
}

function settingsOf<const Names extends readonly QuotaName[]>(names: Names) {
  return Object.fromEntries(
    names.map(name => [
      quotaMeanings[name].setting,
      Type.Integer({
        default: defaults[name],
        minimum: name === 'burst_seconds' ? 1 : 0,
        maximum: name === 'burst_seconds' ? 3_600 : mostOfQuota,
        description: `quota of one API key that has none of its own, over all processes of this kind: ${quotaMeanings[name].description}; more: 429 with Retry-After${name === 'burst_seconds' ? '' : '; 0: no limit'}`,
      }),
    ]),
  ) as { readonly [Name in Names[number] as Setting<Name>]: TInteger };
}
