/** GET /v1/live over real sockets, on a real ClickHouse. */
import { type ClientRequest, get, type IncomingMessage } from 'node:http';
import { pino } from 'pino';
import { Value } from 'typebox/value';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig } from '../../../infra/config.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig } from '../../../query-api/config.ts';
import { LiveEvent } from '../../../query-api/routes/live/live-event.ts';
import { allValid } from '../../support/shown-counts.ts';
import { openTemporaryClickHouse, type TemporaryClickHouse } from '../../support/temporary-clickhouse.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: 'silent' });
const minuteMs = 60_000;

let engine: TemporaryClickHouse;
let http: Http;
let url: string;
let logIsAway = false;
const clients = 1_000;

beforeAll(async () => {
  engine = await openTemporaryClickHouse();
  await migrate(engine.clickhouse, log);
  http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, {
      QUERY_API_LIVE_MAX_CLIENTS: String(clients),
      // All of them are of one address here.
      QUERY_API_LIVE_MAX_PER_CLIENT: String(clients + 1),
    }),
    clickhouse: engine.clickhouse,
    log,
    now: Date.now,
    countedLog: {
      sinkPositions: async () => [],
      endOffsets: async () => {
        if (logIsAway) throw new Error('no broker');
        return new Map([[0, 12]]);
      },
    },
  });
  url = await listen(http, '127.0.0.1', 0);
});
afterAll(async () => {
  await http.close();
  await engine[Symbol.asyncDispose]();
});

interface Listener extends Disposable {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  events(): LiveEvent[];
  ids(): string[];
  text(): string;
}

async function listenTo(headers: Record<string, string> = {}): Promise<Listener> {
  let text = '';
  const [request, response] = await new Promise<[ClientRequest, IncomingMessage]>((resolve, reject) => {
    const asked = get(`${url}/v1/live`, { headers, agent: false }, answer => resolve([asked, answer]));
    asked.once('error', reject);
  });
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  response.setEncoding('utf8').on('data', chunk => {
    text += chunk;
  });
  const lines = (name: string) =>
    [...text.matchAll(new RegExp(`^${name}: (.*)$`, 'gm'))].map(([, value]) => value ?? '');
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    events: () => lines('data').map(data => JSON.parse(data)),
    ids: () => lines('id'),
    text: () => text,
    [Symbol.dispose]: () => request.destroy(),
  };
}

const insertMinute = async (fields: Record<string, unknown>) => {
  const row = { country: 'KR', partition: 0, duplicates: 0, late: 0, ...fields };
  await engine.clickhouse.insert('ad_minute', JSON.stringify(row));
};
const progress = (fields: Record<string, unknown>) =>
  engine.clickhouse.insert(
    'partition_progress',
    JSON.stringify({
      ...{ partition: 0, partitions: 1, received: 9, duplicates: 1, quarantined: 0 },
      ...{ appended_at: Date.now(), watermark: Date.now() - 15_000, final_until: Date.now() - 3 * minuteMs },
      ...fields,
    }),
  );

describe('GET /v1/live', () => {
  it('sends totals, top lists, minutes and their states every second, as OpenAPI describes them', async () => {
    const current = Math.floor(Date.now() / minuteMs) * minuteMs;
    for (const [minute, ad_id, clicks] of [
      [current - minuteMs, 'a', 5],
      [current, 'a', 2],
      [current, 'b', 3],
    ] as const)
      await insertMinute({ minute: minute / 1_000, ad_id, clicks, version: 10 });
    await progress({ position: 10, counted: 8 });
    using client = await listenTo();
    expect(client.headers['content-type']).toBe('text/event-stream; charset=utf-8');
    const [event] = await eventually('two events', () => client.events().length >= 2 && client.events());
    expect([...Value.Errors(LiveEvent, event)]).toEqual([]);
    expect(event).toMatchObject({
      kafka: 'up',
      lag_records: 2,
      totals: { received: 9, counted: 8, duplicates: 1, quarantined: 0, ...{ gross: 9, invalid: 0, net: 8 } },
      changes: [],
    });
    const countOf = (start: number) =>
      client
        .events()
        .at(-1)
        ?.minutes.find(point => Date.parse(point.start) === start);
    expect(countOf(current)).toMatchObject({ count: 5, state: 'provisional' });
    expect(countOf(current - minuteMs)).toMatchObject({ count: 5 });
    expect([event?.current.ads, event?.last.ads].flat()).toContainEqual(allValid({ rank: 1, ad_id: 'b', count: 3 }));
  });

  it('sends a change once and as soon as it is visible: of a count, and of a final count by a restatement', async () => {
    using client = await listenTo();
    await eventually('an event', () => client.events().length > 0);
    const minute = Math.floor(Date.now() / minuteMs) * minuteMs - 4 * minuteMs;
    await engine.clickhouse.insert(
      'restatement',
      JSON.stringify({
        ...{ minute: minute / 1_000, ad_id: 'a', country: 'KR', revision: 1, job: 'j', reason: 'late' },
        ...{ before: 1, after: 2, before_duplicates: 0, after_duplicates: 0, at: Date.now() },
      }),
    );
    await progress({ position: 20, counted: 100 });
    const changed = await eventually('the change', () => client.events().find(event => event.changes.length > 0));
    expect(changed.changes).toMatchObject([{ ad_id: 'a', before: 1, after: 2, reason: 'late' }]);
    const faster = await eventually('a rate', () => client.events().find(event => event.clicks_per_second > 0));
    expect(faster.totals?.counted).toBe(100);
    await eventually('more events', () => client.events().at(-1)?.changes.length === 0);
    expect(client.events().flatMap(event => event.changes)).toHaveLength(1);
  });

  it('continues after the last event that a client received', async () => {
    using client = await listenTo();
    await eventually('events', () => client.ids().length >= 3);
    const [first = '', ...rest] = client.ids();
    using back = await listenTo({ 'last-event-id': first });
    await eventually('what was missed', () => back.ids().length >= rest.length);
    expect(back.ids().slice(0, rest.length)).toEqual(rest);
    expect(back.text()).not.toContain('event: reset');
  });

  it('continues while Kafka is away, and says so', async () => {
    using client = await listenTo();
    logIsAway = true;
    const event = await eventually('away', () => client.events().find(({ kafka }) => kafka === 'away'));
    expect(event).toMatchObject({ lag_records: null, totals: { counted: 100 } });
    logIsAway = false;
    await eventually('back', () => client.events().at(-1)?.kafka === 'up');
  });

  it('sends the same events to a thousand clients, and refuses one more with 503', async () => {
    using stack = new DisposableStack();
    const all: Listener[] = [];
    while (all.length < clients) {
      const batch = await Promise.all(Array.from({ length: 100 }, () => listenTo()));
      for (const client of batch) all.push(stack.use(client));
    }
    using refused = await listenTo();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '10']);
    const id = await eventually('an event for all', () => {
      const latest = all[0]?.ids().at(-1) ?? '';
      return all.every(client => client.ids().includes(latest)) && latest;
    });
    expect(id).toMatch(/-\d+$/);
  });
});
