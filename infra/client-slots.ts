/**
 * Limits how many long answers one client may have at a time, so that one client cannot use up the few that exist in
 * total.
 */
import type { Readable } from 'node:stream';
import type { Client } from './http-clients.ts';
import { Problem } from './problem.ts';

/**
 * Opens an answer, which counts until it closes in whatever way. @throws Problem 429 when the client already has as
 * many as it may
 */
export type ClientSlots = (client: Client, open: () => Readable | Promise<Readable>) => Promise<Readable>;

export interface ClientSlotOptions {
  readonly maxPerClient: number;
  /** The code of the problem. */
  readonly code: string;
  /** The name of what is limited, in the plural. */
  readonly what: string;
  /** The environment variable that sets the limit. */
  readonly setting: string;
  readonly retryAfterS: number;
}

export function clientSlots({ maxPerClient, code, what, setting, retryAfterS }: ClientSlotOptions): ClientSlots {
  /** By network, because a client may be forgotten while its answers continue. */
  const taken = new Map<string, number>();
  const add = (network: string, change: number) => {
    const count = (taken.get(network) ?? 0) + change;
    if (count > 0) taken.set(network, count);
    else taken.delete(network);
  };
  return async ({ network }, open) => {
    if ((taken.get(network) ?? 0) >= maxPerClient) {
      const detail = `${maxPerClient} ${what} of ${network} are open, which is the limit (${setting})`;
      throw new Problem(429, code, detail, {}, retryAfterS);
    }
    add(network, 1);
    try {
      const stream = await open();
      stream.once('close', () => add(network, -1));
      return stream;
    } catch (error) {
      add(network, -1);
      throw error;
    }
  };
}
