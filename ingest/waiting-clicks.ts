/**
 * Limits how many waiting clicks one client may have.
 *
 * The buffer is shared by all (click-log.ts). While Kafka is slow, the client that sends the most would fill it alone.
 * So once the buffer is half full, a client that holds its share gets no more room, and the rest is for others. Until
 * then any client may use all of it, because most deployments have few clients.
 */
import type { Client } from '../infra/http-clients.ts';
import { clientBusy } from './body-budget.ts';

export interface WaitingClicks {
  /** Counts the bytes for as long as `wait` takes. @throws Problem 429 before it begins */
  during(client: Client, bytes: number, wait: () => Promise<void>): Promise<void>;
}

export interface WaitingClicksOptions {
  readonly maxBytes: number;
  readonly clientBytes: number;
}

export function createWaitingClicks({ maxBytes, clientBytes }: WaitingClicksOptions): WaitingClicks {
  let waiting = 0;
  return {
    async during(client, bytes, wait) {
      const isShareFull = client.waitingBytes > 0 && client.waitingBytes + bytes > clientBytes;
      if (isShareFull && waiting + bytes > maxBytes / 2) throw clientBusy(client, clientBytes);
      waiting += bytes;
      client.waitingBytes += bytes;
      try {
        await wait();
      } finally {
        waiting -= bytes;
        client.waitingBytes -= bytes;
      }
    },
  };
}
