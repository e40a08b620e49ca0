/**
 * Opens what a process knows about API keys: which there are (key-follower.ts), and which part of their quotas it may
 * give out (infra/quotas/quota-members.ts).
 */
import type { KafkaClient } from '../kafka/client.ts';
import type { Logger } from '../log.ts';
import { joinQuotaMembers, type QuotaMembers } from '../quotas/quota-members.ts';
import { wholeQuotas } from '../quotas/quota-shares.ts';
import type { Names } from '../topics.ts';
import { type KeySettings, keyModeOf, requireUsableKey } from './config.ts';
import { followKeys } from './key-follower.ts';
import type { Scope } from './scopes.ts';

export interface OpenKeysDeps {
  readonly config: KeySettings;
  readonly kafka: KafkaClient;
  readonly names: Names;
  readonly log: Logger;
  readonly role: 'ingest' | 'query-api';
}

export function openKeys({ config, kafka, names, log, role }: OpenKeysDeps) {
  const mode = keyModeOf(config);
  const keys = followKeys({ kafka, names, log });
  // These may be asked before it is known who else there is: where no key is needed, and the query API, which listens at
  // once.
  const startsWhole = mode !== 'required' || role === 'query-api';
  const join = () => joinQuotaMembers({ kafka, names, log, role, startsWhole });
  const members = mode === 'off' ? undefined : mode === 'required' ? join() : atFirstUse(join);
  const quotaShares: QuotaMembers | typeof wholeQuotas = members ?? wholeQuotas;
  return {
    keys,
    quotaShares,
    /**
     * Resolves when requests can be answered as their keys allow, or when `stop` has fired. `fitting`: scopes with which
     * something can be asked of this process. @throws ConfigError
     */
    async ready(stop: AbortSignal, fitting: readonly Scope[]): Promise<void> {
      if (mode === 'required') await Promise.all([keys.ready(stop), members?.ready(stop)]);
      if (!stop.aborted) requireUsableKey(config, keys.book.list(), fitting, Date.now());
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await Promise.all([keys, members].map(each => each?.[Symbol.asyncDispose]()));
    },
  };
}

/** Where keys are the exception, a process that sees none says nothing every two seconds. */
function atFirstUse(join: () => QuotaMembers): QuotaMembers {
  let joined: QuotaMembers | undefined;
  let demands: Parameters<QuotaMembers['tells']>[0] | undefined;
  const first = () => {
    const members = join();
    if (demands) members.tells(demands);
    return members;
  };
  return {
    shareOf(keyId) {
      joined ??= first();
      return joined.shareOf(keyId);
    },
    isAlone: () => joined?.isAlone() ?? true,
    tells(given) {
      demands = given;
      joined?.tells(given);
    },
    ready: () => Promise.resolve(),
    [Symbol.asyncDispose]: async () => await joined?.[Symbol.asyncDispose](),
  };
}
