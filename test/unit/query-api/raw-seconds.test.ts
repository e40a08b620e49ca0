/** For how many seconds of a minute one address, and one key, may have raw clicks read. */
import type { IncomingMessage } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { expect, it } from 'vitest';
import { Client } from '../../../infra/http-clients.ts';
import { KeyQuotas } from '../../../infra/key-quotas/key-quotas.ts';
import type { Key } from '../../../infra/keys/key-book.ts';
import { wholeQuotas } from '../../../infra/quotas/quota-shares.ts';
import { createRawSeconds } from '../../../query-api/http/raw-seconds.ts';

const noLimits = {
  ...{ clicks_per_second: 0, burst_seconds: 1, bytes_in_flight: 0, connections: 0 },
  ...{ open_jobs: 0, exports: 0, live_listeners: 0, raw_read_seconds_per_minute: 0 },
};

function setUp(perMinute: number, ofKey = 0) {
  const time = { nowMs: 0 };
  const now = () => time.nowMs;
  const addresses = new Map<string, Client>();
  const clients = {
    of: ({ headers: { host = '' } }: IncomingMessage) => {
      const client = addresses.get(host) ?? new Client(host);
      addresses.set(host, client);
      return client;
    },
  };
  const defaults = { ...noLimits, raw_read_seconds_per_minute: ofKey };
  const quotas = new KeyQuotas({ defaults, shares: wholeQuotas, now });
  return { time, seconds: createRawSeconds({ clients, quotas, perMinute, now }) };
}

const key = { id: 'k', created: { label: 'x', scopes: ['read'] }, quotas: {} } as unknown as Key;
const request = (address: string, query: object = { user_id: 'u' }, apiKey?: Key) =>
  ({
    ...{ query, apiKey, method: 'GET' },
    routeOptions: { url: '/v1/ads/popular_ads', config: {} },
    raw: { headers: { host: address } },
  }) as unknown as FastifyRequest;

it('lets an address read until its seconds are used, and again when some have come back', () => {
  const { time, seconds } = setUp(60);
  seconds.admit(request('a'));
  seconds.charge(request('a'), 75);
  expect(() => seconds.admit(request('a'))).toThrow(/60 s of a minute \(QUERY_RAW_SECONDS_PER_CLIENT\): wait 16 s/);
  seconds.admit(request('b'));
  // Counts need no place among raw reads.
  seconds.admit(request('a', {}));
  time.nowMs = 15_000;
  expect(() => seconds.admit(request('a'))).toThrow(/wait 1 s/);
  time.nowMs = 15_100;
  seconds.admit(request('a'));
});

it('counts the seconds of a key over all addresses, and those of an address over all keys', () => {
  const { seconds } = setUp(0, 30);
  seconds.charge(request('a', {}, key), 20);
  seconds.charge(request('b', {}, key), 20);
  expect(() => seconds.admit(request('c', { user_id: 'u' }, key))).toThrow(/raw/);
  seconds.admit(request('a'));
});

it('has no limit where none is set', () => {
  const { seconds } = setUp(0);
  seconds.charge(request('a'), 1_000_000);
  seconds.admit(request('a'));
});
