import { Readable } from 'node:stream';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';

/** An empty store. */
const clickhouse: ClickHouse = {
  query: () => Promise.resolve([]),
  queryLines: () => Promise.resolve(new Uint8Array()),
  command: () => Promise.resolve(),
  stream: () => Readable.from([]),
  insert: () => Promise.resolve(),
  ping: () => Promise.resolve(),
  disks: async () => [],
  [Symbol.asyncDispose]: () => Promise.resolve(),
};

let http: Http;
beforeAll(async () => {
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, {}),
    ...{ clickhouse, log: pino({ level: 'silent' }), now: () => Date.parse('2026-03-01T12:00:00Z') },
    countedLog: { endOffsets: async () => new Map(), sinkPositions: async () => [] },
  });
});
afterAll(() => http?.close());

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

/** Every operation, with each of its parameters and an unknown one, which are as long as a request may be. */
async function asked() {
  const { body } = await http.inject('/openapi.json');
  const { paths } = JSON.parse(body) as { paths: Record<string, Record<string, Operation>> };
  const control = '%01'.repeat(4_000);
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).flatMap(([name, { parameters = [] }]) => {
      const method = name.toUpperCase() as 'GET' | 'POST' | 'PUT' | 'DELETE';
      const address = path.replace(/\{\w+\}/g, 'a');
      const names = [...parameters.filter(one => one.in === 'query').map(one => one.name), 'nonsense'];
      const queries = names.flatMap(one => [
        `${one}=${control}`,
        `${one}=${'a'.repeat(12_000)}`,
        Array.from({ length: 1_500 }, (_, i) => `${one}=${i}~`).join('&'),
      ]);
      const bodies = [
        { from: '\u0001'.repeat(2_000), to: '\u0001' },
        { partitions: Array.from({ length: 4_000 }, () => 0) },
        Object.fromEntries(Array.from({ length: 1_500 }, (_, i) => [`k${i}`, 0])),
        { ips: { in: Array.from({ length: 90 }, () => '\u0001'.repeat(20)) } },
      ];
      const takesBody = method === 'POST' || method === 'PUT';
      return [
        ...queries.map(query => ({ method, url: `${address}?${query}`, payload: takesBody ? {} : undefined })),
        ...(takesBody ? bodies.map(payload => ({ method, url: address, payload })) : []),
      ];
    }),
  );
}

it('a refusal is short, for every parameter of every route', async () => {
  const requests = await asked();
  const long: string[] = [];
  let refused = 0;
  for (const { method, url, payload } of requests) {
    const answer = await http.inject({ method, url, ...(payload === undefined ? {} : { payload }) });
    if (answer.statusCode < 400) continue;
    refused++;
    if (answer.body.length > 1_000) long.push(`${method} ${url.slice(0, 60)}: ${answer.body.length} characters`);
  }
  expect(refused).toBeGreaterThan(100);
  expect(long).toEqual([]);
});
