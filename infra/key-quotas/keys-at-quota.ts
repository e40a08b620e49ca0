/**
 * Reports which keys are at a quota for long: as a metric of the longest one of each quota, and in the log with the key.
 * It looks when metrics are collected, so it has no timer.
 */
import type { Logger } from '../log.ts';
import { gauge } from '../metrics.ts';
import type { QuotaName } from '../quotas/quotas.ts';
import type { KeyQuotas } from './key-quotas.ts';

/** Long enough to be no burst. */
const toldAfterMs = 600_000;

export function keysAtQuota(quotas: KeyQuotas, names: readonly QuotaName[], log: Logger): () => void {
  const told = new Map<QuotaName, string>();
  return () => {
    for (const name of names) {
      const longest = quotas.longestAtQuota(name);
      atQuota.set({ quota: name }, (longest?.ms ?? 0) / 1_000);
      if (longest === undefined || longest.ms < toldAfterMs) {
        told.delete(name);
      } else if (told.get(name) !== longest.key.id) {
        told.set(name, longest.key.id);
        const { id, created } = longest.key;
        log.warn(
          { key: id, label: created.label, quota: name, minutes: Math.floor(longest.ms / 60_000) },
          'API key at its quota for long',
        );
      }
    }
  };
}

const atQuota = gauge(
  'key_at_quota_seconds',
  'How long one API key has been refused requests again and again because of this quota: the key for which it is the longest',
  ['quota'],
);
