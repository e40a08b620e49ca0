/**
 * Which routes answer with a stream, found by asking every route that can be read. None of them takes HEAD: its answer
 * would be made like that of GET, of which nobody reads anything, and would keep the client's place among exports.
 */
import { Readable } from 'node:stream';
import type { RouteOptions } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../../../infra/config.ts';
import type { Http } from '../../../../infra/http.ts';
import { buildQueryApi } from '../../../../query-api/app.ts';
import { QueryApiConfig } from '../../../../query-api/config.ts';
import { routesOf } from '../../../support/documents.ts';

let http: Http;
let routes: readonly RouteOptions[];
/** How often a stream of rows was opened in the store. */
let opened = 0;
const streaming = new Set<string>();

/** Has nothing in any table. */
const emptyStore: ClickHouse = {
  query: async () => [],
  queryLines: async () => new Uint8Array(),
  command: async () => undefined,
  stream: () => {
    opened++;
    return Readable.from([]);
  },
  insert: async () => undefined,
  ping: async () => undefined,
  disks: async () => [],
  [Symbol.asyncDispose]: async () => undefined,
};

beforeAll(async () => {
  const built = await routesOf(
    async () =>
      await buildQueryApi({
        config: loadConfig(QueryApiConfig, { QUERY_API_RATE_LIMIT_PER_MINUTE: '0' }),
        clickhouse: emptyStore,
        log: pino({ level: 'silent' }),
        now: () => Date.parse('2025-11-22T08:26:40.123Z'),
        countedLog: { endOffsets: async () => new Map(), sinkPositions: async () => [] },
        erasures: {
          ...{ room: unasked, begin: unasked, get: unasked, nodesOf: unasked },
          logKeptUntil: async () => new Map(),
        },
      }),
    // The answer is cut short, because some of them have no end.
    async (request, reply, payload) => {
      if (!(payload instanceof Readable)) return payload;
      if (reply.statusCode === 200) streaming.add(`${request.routeOptions.url}`);
      payload.destroy();
      return '';
    },
  );
  ({ http } = built);
  routes = built.routes.filter(({ url }) => url.startsWith('/v1/'));
});
afterAll(async () => await http.close());

it('are the exports and the live feed alone', async () => {
  for (const { url } of routes.filter(({ method }) => method === 'GET')) await http.inject(addressOf(url));
  expect([...streaming].sort()).toEqual([
    '/v1/exports/ad_minutes',
    '/v1/exports/clicks',
    '/v1/live',
    '/v1/quarantine/export',
    '/v1/users/:user_id/export',
  ]);
});

it('take no HEAD: it gets 405, reads nothing, and keeps no place of an export', async () => {
  expect(streaming.size).toBeGreaterThan(0);
  opened = 0;
  for (const url of [...streaming, ...streaming, ...streaming]) {
    const { statusCode, headers } = await http.inject({ method: 'HEAD', url: addressOf(url) });
    expect({ url, statusCode, allow: headers.allow }).toEqual({ url, statusCode: 405, allow: 'GET' });
  }
  expect(opened).toBe(0);
});

it('every other route that is read takes HEAD, too', async () => {
  const read = routes.filter(({ method }) => method === 'GET').map(({ url }) => url);
  const asked = routes.filter(({ method }) => method === 'HEAD').map(({ url }) => url);
  expect(asked.toSorted()).toEqual(read.filter(url => !streaming.has(url)).toSorted());
  expect(asked.length).toBeGreaterThan(15);
});

function addressOf(url: string): string {
  return url.replace(/:\w+/g, '0123456789abcdef');
}

const unasked = () => Promise.reject(new Error('nobody asks for it here'));
