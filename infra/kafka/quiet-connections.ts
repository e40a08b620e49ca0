/**
 * Makes an unused connection cost almost nothing.
 *
 * kafkajs has two timers on every connection, and one of our processes has up to twenty connections:
 * - After every answer kafkajs checks whether requests are waiting until the broker no longer throttles. It also checks
 *   when none is waiting, with a timer whose time is in the past. That timer fires a millisecond later and starts
 *   again, forever: it woke a process 750 times a second, which used 2 to 3 % of a core to do nothing. Here the timer
 *   is set only while a request waits. A request that must wait later sets it itself, and requests that wait for the
 *   answers of others are checked when an answer comes.
 * - Ten times a second kafkajs checks whether an answer is overdue. Here one timer checks all connections, four times a second.
 *
 * kafkajs measures both by the wall clock. Where that was put back by minutes, a connection whose broker had gone silent
 * was kept for so much longer, and a throttled one sent nothing; where it was put forward, every answer was overdue.
 * Here the monotonic clock measures them.
 *
 * It replaces methods of kafkajs before they are used.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';

/** As far as it is used. */
interface RequestQueue {
  readonly pending: readonly unknown[];
  readonly inflight: ReadonlyMap<number, InFlight>;
  readonly enforceRequestTimeout: boolean;
  readonly maxInFlightRequests: number | null;
  throttleCheckTimeoutId: NodeJS.Timeout | null;
  isConnected(): boolean;
  maybeThrottle(throttleMs: number | null): void;
  canSendSocketRequestImmediately(): boolean;
  checkPendingRequests(): void;
  scheduleCheckPendingRequests(): void;
  scheduleRequestTimeoutCheck(): void;
  destroy(): void;
}

interface InFlight {
  readonly requestTimeout: number;
  timeoutRequest(): void;
}

/** Used when the broker does not throttle and the highest number of requests is in progress. */
const lookAgainMs = 10;
const overdueEveryMs = 250;

const require = createRequire(import.meta.url);
const RequestQueue: { readonly prototype: RequestQueue } = require('kafkajs/src/network/requestQueue/index.js');
const SocketRequest: {
  readonly prototype: { send(): void };
} = require('kafkajs/src/network/requestQueue/socketRequest.js');

/** When the throttling of a queue ends, on the monotonic clock. */
const throttledUntilMs = new WeakMap<RequestQueue, number>();

function throttledForMs(queue: RequestQueue): number {
  return Math.max(0, (throttledUntilMs.get(queue) ?? 0) - performance.now());
}

RequestQueue.prototype.maybeThrottle = function (throttleMs) {
  if (throttleMs !== null && throttleMs > throttledForMs(this))
    throttledUntilMs.set(this, performance.now() + throttleMs);
};

RequestQueue.prototype.canSendSocketRequestImmediately = function () {
  const isFull = this.maxInFlightRequests !== null && this.inflight.size >= this.maxInFlightRequests;
  return !isFull && throttledForMs(this) === 0;
};

RequestQueue.prototype.scheduleCheckPendingRequests = function () {
  if (this.pending.length === 0 || this.throttleCheckTimeoutId !== null) return;
  const throttledMs = throttledForMs(this);
  this.throttleCheckTimeoutId = setTimeout(
    () => {
      this.throttleCheckTimeoutId = null;
      this.checkPendingRequests();
    },
    throttledMs > 0 ? throttledMs : lookAgainMs,
  );
};

/** The queues of open connections. */
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

/** On the monotonic clock. */
const sentAtMs = new WeakMap<object, number>();

const { send } = SocketRequest.prototype;
SocketRequest.prototype.send = function () {
  sentAtMs.set(this, performance.now());
  send.call(this);
};

function endOverdue(): void {
  const nowMs = performance.now();
  for (const queue of [...watched]) {
    for (const request of [...queue.inflight.values()])
      if (nowMs - (sentAtMs.get(request) ?? nowMs) > request.requestTimeout) request.timeoutRequest();
    if (!queue.isConnected()) queue.destroy();
  }
}
