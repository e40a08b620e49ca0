import { createRequire } from 'node:module';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import '../../../../infra/kafka/quiet-connections.ts';

const require = createRequire(import.meta.url);
interface Queue {
  push(request: object): void;
  fulfillRequest(answer: object): void;
  maybeThrottle(ms: number): void;
  scheduleRequestTimeoutCheck(): void;
  destroy(): void;
}
const Queue: new (options: object) => Queue = require('kafkajs/src/network/requestQueue/index.js');
const logger: object = { namespace: () => logger, debug() {}, error() {}, warn() {}, info() {} };

let sent: number[];
let rejected: number[];
beforeEach(() => {
  vi.useFakeTimers();
  [sent, rejected] = [[], []];
});
afterEach(() => {
  vi.useRealTimers();
});

const queueOf = (more: object = {}) =>
  new Queue({ logger, requestTimeout: 30_000, maxInFlightRequests: null, enforceRequestTimeout: true, ...more });
const request = (correlationId: number) => ({
  entry: {
    ...{ apiName: 'Fetch', apiKey: 1, apiVersion: 0, correlationId, resolve() {} },
    reject: () => void rejected.push(correlationId),
  },
  expectResponse: true,
  sendRequest: () => void sent.push(correlationId),
});
const answer = (correlationId: number) => ({ correlationId, payload: {}, size: 0 });

it('leaves no timer behind once everything has been answered', () => {
  const queue = queueOf();
  queue.push(request(1));
  queue.fulfillRequest(answer(1));
  expect(sent).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

it('sends what waited for the end of a throttling when that has come, and is quiet then', () => {
  const queue = queueOf();
  queue.maybeThrottle(300);
  queue.push(request(1));
  vi.advanceTimersByTime(299);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(2);
  expect(sent).toEqual([1]);
  expect(vi.getTimerCount()).toBe(0);
});

it('waits on where the throttling was prolonged meanwhile', () => {
  const queue = queueOf();
  queue.maybeThrottle(100);
  queue.push(request(1));
  queue.maybeThrottle(300);
  vi.advanceTimersByTime(250);
  expect(sent).toEqual([]);
  vi.advanceTimersByTime(60);
  expect(sent).toEqual([1]);
});

it('sends what waited for a place when one is free', () => {
  const queue = queueOf({ maxInFlightRequests: 1 });
  queue.push(request(1));
  queue.push(request(2));
  expect(sent).toEqual([1]);
  queue.fulfillRequest(answer(1));
  expect(sent).toEqual([1, 2]);
});

it('looks with one timer for overdue answers of all connections, and for as long as there is one', () => {
  const [quick, slow] = [queueOf({ requestTimeout: 1_000 }), queueOf()];
  for (const queue of [quick, slow]) queue.scheduleRequestTimeoutCheck();
  expect(vi.getTimerCount()).toBe(1);
  quick.push(request(1));
  slow.push(request(2));
  vi.advanceTimersByTime(950);
  expect(rejected).toEqual([]);
  vi.advanceTimersByTime(500);
  expect(rejected).toEqual([1]);
  slow.destroy();
  expect(vi.getTimerCount()).toBe(1);
  quick.destroy();
  expect(vi.getTimerCount()).toBe(0);
});

it('looks no longer after a connection that is gone', () => {
  let isConnected = true;
  const queue = queueOf({ isConnected: () => isConnected });
  queue.scheduleRequestTimeoutCheck();
  isConnected = false;
  vi.advanceTimersByTime(300);
  expect(vi.getTimerCount()).toBe(0);
});

it.each([
  ['back', -600_000],
  ['forward', 600_000],
])('measures throttling and overdue answers by how long they last, though the clock is put %s', (_, stepMs) => {
  const [queue, throttled] = [queueOf({ requestTimeout: 1_000 }), queueOf()];
  queue.scheduleRequestTimeoutCheck();
  queue.push(request(1));
  throttled.maybeThrottle(500);
  throttled.push(request(2));
  vi.advanceTimersByTime(300);
  vi.setSystemTime(Date.now() + stepMs);
  throttled.push(request(3));
  vi.advanceTimersByTime(100);
  expect({ sent, rejected }).toEqual({ sent: [1], rejected: [] });
  vi.advanceTimersByTime(110);
  expect(sent).toEqual([1, 2, 3]);
  vi.advanceTimersByTime(1_000);
  expect(rejected).toEqual([1]);
  queue.destroy();
});
