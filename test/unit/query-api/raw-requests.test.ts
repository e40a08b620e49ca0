/** Calls every route in all ways that may need raw clicks, and compares what it reads with what was decided before. */
import { pino } from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { currentAsker } from '../../../infra/asking.ts';
import { loadConfig } from '../../../infra/config.ts';
import type { Http } from '../../../infra/http.ts';
import { noRules } from '../../../ingest/validity/rules.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';

const now = Date.parse('2025-11-22T08:26:40.123Z');

const storedFilter = {
  id: 'f',
  definition: '{"user_ids":{"in":["u"]}}',
  deleted: 0,
  created_at: 1,
  updated_at: 1,
  seq: 0,
};
const counts = {
  count: 1,
  duplicates: 0,
  users: 1,
  differs: 0,
  start: now,
  name: 'a',
  n: 1,
  top: [[-1, 'a', 1, 0, 1]],
};
const place = { ad_id: 'a', country: 'KR', click_id: 'c', received_at: now, clicked_at: now };
const click = { ...counts, ...place, facts: '', event_id: 'e', ms: 1, person: '', user: '', address: '' };
const readsRaw = /click_raw/;

interface Statement {
  readonly sql: string;
  readonly kind: string;
  readonly hasTicket: boolean;
}

const unasked = () => Promise.reject(new Error('it is not asked for'));

let http: Http;
let read: Statement[] = [];
beforeAll(async () => {
  const clickhouse = clickHouseThatAnswers(async (sql, { kind = 'counts' } = {}) => {
    const ticket = currentAsker()?.ticket;
    read.push({ sql, kind, hasTicket: ticket !== undefined && !ticket.aborted });
    await new Promise(resolve => setImmediate(resolve));
    // There is a stored filter and a click.
    if (/stored_filter/.test(sql)) return [storedFilter];
    return readsRaw.test(sql) ? [click] : [];
  });
  http = await buildQueryApi({
    ...{ config: loadConfig(QueryApiConfig, {}), clickhouse, log: pino({ level: 'silent' }), now: () => now },
    partitions: { read: async () => ({ topics: [], rules: [], difference: null }), grow: async () => undefined },
    validityRules: {
      read: async () => ({ versions: [], at: () => noRules, soonestFrom: () => now }),
      announce: unasked,
    },
    erasures: {
      ...{ room: unasked, begin: unasked, get: async () => undefined, nodesOf: async () => [] },
      logKeptUntil: async () => new Map(),
    },
    countedLog: { endOffsets: async () => new Map(), sinkPositions: async () => [] },
  });
  await http.ready();
});
afterAll(() => http.close());

interface Operation {
  readonly parameters?: readonly { readonly in: string; readonly name: string }[];
}

/** The URLs of all routes that read, with each of the parameters that may need raw clicks. */
function asked(): string[] {
  const ways = ['user_id=u', 'ip=203.0.113.7', 'filter=f', 'uniques=true', 'uniques=false', 'compare=previous'];
  return Object.entries(http.swagger().paths ?? {}).flatMap(([path, item]) => {
    const { get } = item as { readonly get?: Operation };
    if (get === undefined || !path.startsWith('/v1/') || ['/v1/live', '/v1/keys', '/v1/audit'].includes(path))
      return [];
    const names = (get.parameters ?? []).filter(parameter => parameter.in === 'query').map(({ name }) => name);
    const address = path.replaceAll(/\{\w+\}/g, 'e');
    const possible = ways.filter(way => names.includes(way.split('=')[0] ?? ''));
    return [address, ...possible.map(way => `${address}?${way}`)];
  });
}

describe('a request for raw clicks', () => {
  it('is known before anything is read, for each route and each way to ask', async () => {
    const urls = asked();
    expect(urls.length).toBeGreaterThan(30);
    const wrong: string[] = [];
    let [ofRaw, ofCounts] = [0, 0];
    for (const url of urls) {
      read = [];
      const { statusCode, body } = await http.inject(url);
      if (statusCode >= 500) wrong.push(`${url}: ${statusCode} ${body}`);
      for (const { sql, kind, hasTicket } of read) {
        const isRaw = kind === 'raw' || readsRaw.test(sql);
        if (isRaw && !(kind === 'raw' && hasTicket)) wrong.push(`${url}: raw without a ticket: ${sql}`);
        if (isRaw) ofRaw++;
        else if (!hasTicket) ofCounts++;
      }
      // A request that needs no raw clicks is not taken for one that does.
      const isNeeded = read.some(({ kind }) => kind === 'raw');
      if (!isNeeded && read.some(({ hasTicket }) => hasTicket)) wrong.push(`${url}: a ticket for nothing`);
    }
    expect(wrong).toEqual([]);
    expect([ofRaw > 20, ofCounts > 30]).toEqual([true, true]);
  });
});
