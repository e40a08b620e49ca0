/**
 * Limits how much one client may ask for in a minute, counted in what it costs (clicks, for example) and not in
 * requests. A thousand posts of one click and one post of a thousand weigh the same.
 *
 * The allowance of a minute may be used at once, and it is given back evenly. The cost of a request is often known only
 * after reading it, so a client may overdraw. Then it waits until that is made good.
 *
 * There is no timer, no list and no listener: only two numbers for each client, updated when it asks.
 */
import type { Client } from './http-clients.ts';
import { Problem } from './problem.ts';

export interface RateLimit {
  /** Takes 1, the minimum cost of a request. Returns why the client must wait, or undefined. */
  admit(client: Client): Problem | undefined;
  /** Takes what the request has cost beyond that. */
  charge(client: Client, units: number): void;
}

export interface RateLimitOptions {
  /** 0 means no limit. */
  readonly perMinute: number;
  /** The name of what is counted, in the plural. */
  readonly unit: string;
  /** The environment variable that sets the limit. */
  readonly setting: string;
  /** Milliseconds of a clock that does not go back. */
  readonly now?: () => number;
}

const inMinute = { windowS: 60 };

export function createRateLimit({ perMinute, unit, setting, now }: RateLimitOptions): RateLimit {
  if (perMinute === 0) return { admit: () => undefined, charge: () => undefined };
  const clock = now ?? (() => performance.now());
  const perMs = perMinute / 60_000;
  return {
    admit(client) {
      const at = clock();
      const before = client.allowance;
      // NaN means that the client has not asked before, or not for so long that it was forgotten.
      const allowance = Number.isNaN(before)
        ? perMinute
        : Math.min(perMinute, before + (at - client.allowanceAt) * perMs);
      client.allowanceAt = at;
      if (allowance < 1) {
        client.allowance = allowance;
        const waitS = Math.ceil((1 - allowance) / perMs / 1_000);
        return new Problem(
          429,
          'rate_limited',
          `more than ${perMinute} ${unit} in a minute from ${client.network} (${setting}): wait ${waitS} s`,
          {},
          waitS,
          {
            policy: `client-${unit}`,
            quota: perMinute,
            ownUnit: unit === 'requests' ? undefined : unit,
            ...inMinute,
            remaining: 0,
            resetS: waitS,
          },
        );
      }
      client.allowance = allowance - 1;
      return undefined;
    },
    charge(client, units) {
      client.allowance -= units;
    },
  };
}
