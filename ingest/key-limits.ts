/** Applies the quotas of API keys to posts of clicks (infra/quotas/). */
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Clients } from '../infra/http-clients.ts';
import { keyConnections } from '../infra/key-quotas/key-connections.ts';
import { KeyQuotas } from '../infra/key-quotas/key-quotas.ts';
import { keysAtQuota } from '../infra/key-quotas/keys-at-quota.ts';
import type { Key } from '../infra/keys/key-book.ts';
import type { Logger } from '../infra/log.ts';
import { quotasOf } from '../infra/quotas/config.ts';
import type { QuotaMembers } from '../infra/quotas/quota-members.ts';
import type { QuotaShares } from '../infra/quotas/quota-shares.ts';
import { rateLimitFields } from '../infra/quotas/rate-limit-fields.ts';
import type { IngestConfig } from './config.ts';

export interface KeyLimits {
  /** Updates the metrics, when they are collected. */
  readonly report: () => void;
  /** Before the body is read. @throws Problem 429 */
  withinQuotas(request: FastifyRequest, reply: FastifyReply, key: Key): void;
  /** A body without an announced length is held from when it is there. @throws Problem 429 */
  holdUnannounced(request: FastifyRequest, reply: FastifyReply, bytes: number): void;
  /**
   * Takes the clicks of a request beyond the first, which was taken before the body was read: all of them, or none.
   * @throws Problem 429
   */
  takeFurther(key: Key | undefined, clicks: number): void;
  /** Tells the client when little is left. */
  tell(reply: FastifyReply, key: Key | undefined): void;
}

export interface KeyLimitsDeps {
  readonly config: IngestConfig;
  readonly clients: Clients;
  readonly shares: QuotaShares & Partial<Pick<QuotaMembers, 'tells'>>;
  readonly log: Logger;
}

export function createKeyLimits({ config, clients, shares, log }: KeyLimitsDeps): KeyLimits {
  const quotas = new KeyQuotas({ defaults: quotasOf(config), shares });
  shares.tells?.(passedMs => quotas.demands(passedMs));
  const countConnection = keyConnections(quotas, clients);
  const holdBytes = (key: Key, reply: FastifyReply, bytes: number) => {
    reply.raw.once('close', quotas.hold(key, 'bytes_in_flight', bytes));
  };
  return {
    report: keysAtQuota(quotas, ['clicks_per_second', 'bytes_in_flight', 'connections'], log),
    withinQuotas({ raw: { socket, headers } }, reply, key) {
      countConnection(socket, key);
      const announced = headers['content-length'];
      if (announced !== undefined) holdBytes(key, reply, Number(announced));
      quotas.admitClicks(key);
    },
    holdUnannounced({ apiKey, raw: { headers } }, reply, bytes) {
      if (apiKey && headers['content-length'] === undefined) holdBytes(apiKey, reply, bytes);
    },
    takeFurther(key, clicks) {
      if (key) quotas.takeClicks(key, clicks);
    },
    tell(reply, key) {
      const left = key && quotas.littleLeft(key);
      if (left) reply.headers(rateLimitFields(left));
    },
  };
}
