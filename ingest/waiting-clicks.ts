/**
 * How many bytes of clicks wait for Kafka, and whose they are. The buffer is one for all (click-log.ts); while Kafka is
 * slow, who sends the most would have it alone. So from half full on, a client that holds its share gets no more, and
 * the rest is the others'. Up to then anybody may have all of it: most deployments have few clients.
 */
import type { Client } from '../infra/http-clients.ts';
import { clientBusy } from './body-budget.ts';

export interface WaitingClicks {
  /** For as long as `wait` takes. @throws Problem 429 before it is begun */
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
