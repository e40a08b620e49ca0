/**
 * Keeps a connection that nobody uses from costing CPU. kafkajs has two timers on every connection, and a process of
 * ours has up to twenty of them:
 * - after every answer it looks whether requests wait until the broker throttles no more, and it looks also when none
 *   waits, by a timer whose time lies in the past. That fires a millisecond later and begins anew, for ever: a process
 *   was woken 750 times a second for it and took 2 to 3 % of a core to do nothing. Here it is set only while a request
 *   waits; one that has to wait later sets it itself, and what waits for others' answers is looked after when one comes;
 * - ten times a second it looks whether an answer is overdue. Here one timer looks for all connections, four times.
 *
 * It takes the place of kafkajs' methods, before they are used.
 */
import { createRequire } from 'node:module';

/** As far as it is used. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, InFlight>;
  readonly enforceRequestTimeout: boolean;
  /** Epoch ms; -1: never throttled. */
  readonly throttledUntil: number;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  isConnected(): boolean;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
  destroy(): void;
}

interface InFlight {
  readonly sentAt: number;
  readonly requestTimeout: number;
  timeoutRequest(): void;
}

/** Where the broker does not throttle, and as many requests are under way as may be. */
const lookAgainMs = 10;
const overdueEveryMs = 250;

const require = createRequire(import.meta.url);
const RequestQueue: { readonly prototype: RequestQueue } = require('kafkajs/src/network/requestQueue/index.js');

RequestQueue.prototype.scheduleCheckPendingRequests = function () {
  if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return;
  const throttledMs = this.throttledUntil - Date.now();
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    throttledMs > 0 ? throttledMs : lookAgainMs,
  );
};

/** Those of connections that are made. */
const watched = new Set<RequestQueue>();
let timer: NodeJS.Timeout | undefined;

RequestQueue.prototype.scheduleRequestTimeoutCheck = function () {
  if (!this.enforceRequestTimeout) return;
  this.destroy();
  watched.add(this);
  timer ??= setInterval(endOverdue, overdueEveryMs);
};

const { destroy } = RequestQueue.prototype;
RequestQueue.prototype.destroy = function () {
  destroy.call(this);
  watched.delete(this);
  if (watched.size > 0) return;
  clearInterval(timer);
  timer = undefined;
};

function endOverdue(): void {
  const now = Date.now();
  for (const queue of [...watched]) {
    for (const request of [...queue.inflight.values()])
      if (now - request.sentAt > request.requestTimeout) request.timeoutRequest();
    if (!queue.isConnected()) queue.destroy();
  }
}
