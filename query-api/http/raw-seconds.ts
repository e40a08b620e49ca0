/**
 * Limits for how many seconds of a minute requests for raw clicks may have places in the database: of one client address,
 * and of one API key. Counted is the time with a place, and not the time in the queue (infra/clickhouse/tickets.ts). How
 * long a read takes is known only afterwards, so it may overdraw what is left, and the next one waits for that.
 */
import type { FastifyRequest } from 'fastify';
import type { Client, Clients } from '../../infra/http-clients.ts';
import type { KeyQuotas } from '../../infra/key-quotas/key-quotas.ts';
import { Problem } from '../../infra/problem.ts';
import { TokenBucket } from '../../infra/quotas/token-bucket.ts';
import { asksForRaw } from './raw-requests.ts';

export interface RawSeconds {
  /** Before anything is read. @throws Problem 429 */
  admit(request: FastifyRequest): void;
  charge(request: FastifyRequest, seconds: number): void;
}

export interface RawSecondsOptions {
  readonly clients: Pick<Clients, 'of'>;
  readonly quotas: KeyQuotas;
  /** Of one client address; 0 means that there is no limit. */
  readonly perMinute: number;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

export function createRawSeconds({
  clients,
  quotas,
  perMinute,
  now = () => performance.now(),
}: RawSecondsOptions): RawSeconds {
  const rule = { perSecond: perMinute / 60, burst: perMinute };
  const bucketOf = (client: Client) => {
    client.rawReads ??= new TokenBucket(rule.burst, now());
    return client.rawReads;
  };
  return {
    admit(request) {
      if (!asksForRaw(request)) return;
      const client = clients.of(request.raw);
      if (perMinute > 0 && !bucketOf(client).has(leastS, rule, now())) throw usedUp(client, bucketOf(client));
      if (request.apiKey) quotas.admitRawRead(request.apiKey);
    },
    charge(request, seconds) {
      if (perMinute > 0) bucketOf(clients.of(request.raw)).take(seconds, rule, now());
      if (request.apiKey) quotas.chargeRawRead(request.apiKey, seconds);
    },
  };

  function usedUp({ network }: Client, bucket: TokenBucket): Problem {
    const waitS = bucket.waitS(leastS, rule, now());
    const detail = `requests for raw clicks from ${network} have had ${perMinute} s of a minute (QUERY_RAW_SECONDS_PER_CLIENT): wait ${waitS} s`;
    const limit = { policy: 'client-raw-reads', quota: perMinute, ownUnit: 'seconds', windowS: 60, remaining: 0 };
    return new Problem(429, 'client_raw_reads', detail, {}, waitS, { ...limit, resetS: waitS });
  }
}

/** Anything above nothing will do. */
const leastS = 0.001;
