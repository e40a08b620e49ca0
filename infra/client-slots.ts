/**
 * Limits how many long answers one client may have at a time, and one API key, so that nobody can use up the few that
 * exist in total.
 */
import type { Readable } from 'node:stream';
import type { Client } from './http-clients.ts';
import type { HeldName } from './key-quotas/key-load.ts';
import type { KeyQuotas } from './key-quotas/key-quotas.ts';
import type { Key } from './keys/key-book.ts';
import { Problem } from './problem.ts';

/**
 * Opens an answer, which counts until it closes in whatever way. @throws Problem 429 when the client already has as
 * many as it may
 */
export type ClientSlots = (
  client: Client,
  key: Key | undefined,
  open: () => Readable | Promise<Readable>,
) => Promise<Readable>;

export interface ClientSlotOptions {
  readonly maxPerClient: number;
  /** The code of the problem. */
  readonly code: string;
  /** The name of what is limited, in the plural. */
  readonly what: string;
  /** The environment variable that sets the limit. */
  readonly setting: string;
  readonly retryAfterS: number;
  /** The quota of a key, which holds for it from whatever addresses it is used. Left out: there is none. */
  readonly ofKey?: { readonly quotas: KeyQuotas; readonly name: HeldName } | undefined;
}

export function clientSlots({ maxPerClient, code, what, setting, retryAfterS, ofKey }: ClientSlotOptions): ClientSlots {
  /** By network, because a client may be forgotten while its answers continue. */
  const taken = new Map<string, number>();
  const add = (network: string, change: number) => {
    const count = (taken.get(network) ?? 0) + change;
    if (count > 0) taken.set(network, count);
    else taken.delete(network);
  };
  return async ({ network }, key, open) => {
    if ((taken.get(network) ?? 0) >= maxPerClient) {
      const detail = `${maxPerClient} ${what} of ${network} are open, which is the limit (${setting})`;
      const limit = {
        policy: `client-${what}`,
        quota: maxPerClient,
        unit: 'concurrent-requests',
        remaining: 0,
      } as const;
      throw new Problem(429, code, detail, {}, retryAfterS, limit);
    }
    const releaseKey = key && ofKey?.quotas.hold(key, ofKey.name, 1);
    add(network, 1);
    const release = () => {
      add(network, -1);
      releaseKey?.();
    };
    try {
      const stream = await open();
      stream.once('close', release);
      return stream;
    } catch (error) {
      release();
      throw error;
    }
  };
}
