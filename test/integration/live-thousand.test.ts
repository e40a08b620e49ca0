/** A thousand listeners of one process, over real sockets, on what a real ClickHouse says. */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { ClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { clientSlots } from '../../infra/client-slots.ts';
import { loadConfig, ProcessConfig } from '../../infra/config.ts';
import { createHttp, type Http, listen } from '../../infra/http.ts';
import { createClients } from '../../infra/http-clients.ts';
import { createKeyGate, unreadKeys } from '../../infra/keys/key-gate.ts';
import { migrate } from '../../infra/migrate.ts';
import type { StoreFor } from '../../query-api/http/store-for.ts';
import { routeLive } from '../../query-api/routes/live/live.ts';
import { createLiveFeed, type LiveFeed } from '../../query-api/routes/live/live-feed.ts';
import { readLive } from '../../query-api/routes/live/live-reading.ts';
import { liveClients, liveLeft } from '../../query-api/routes/live/metrics.ts';
import { createQueries } from '../../query-api/store/ad-counts.ts';
import type { AdStore } from '../../query-api/store/ad-store.ts';
import { createGroupQueries } from '../../query-api/store/group-counts.ts';
import { createLateClicks } from '../../query-api/store/late-clicks.ts';
import { createRestatementQueries, type TimedRestatement } from '../../query-api/store/restatements.ts';
import { createSplitClicks } from '../../query-api/store/split-clicks.ts';
import { noneSplit } from '../../query-api/store/split-minutes.ts';
import { createStatedReading } from '../../query-api/store/sql/stated-rows.ts';
import { fillDashboard } from '../support/dashboard-data.ts';
import { type LiveClient, listenLive } from '../support/live-client.ts';
import { openTemporaryClickHouse } from '../support/temporary-clickhouse.ts';
import { eventually } from '../support/wait.ts';

const thousand = 1_000;
const stalled = 10;
const log = pino({ level: 'silent' });
const stack = new AsyncDisposableStack();
let url: string;
/** Bytes that each event is longer by. */
let ballast = 0;

beforeAll(async () => {
  const { clickhouse } = stack.use(await openTemporaryClickHouse());
  await migrate(clickhouse, log);
  await fillDashboard(clickhouse, Date.now());
  const live = stack.use(openFeed(clickhouse));
  const http: Http = await createHttp({
    keys: createKeyGate({ mode: 'optional', keys: unreadKeys }),
    ...{ title: 'test', description: '', log, bodyLimitBytes: 1_024 },
    ...{ config: loadConfig(ProcessConfig, {}), servesPages: false, readiness: {} },
  });
  // All of them are one client.
  const listenersOf = clientSlots({
    ...{ maxPerClient: thousand + 1, code: 'too_many_listeners', what: 'listeners' },
    ...{ setting: 'QUERY_API_LIVE_MAX_PER_CLIENT', retryAfterS: 10 },
  });
  const feeds = { open: (_store: AdStore, client: string, id: string | undefined) => live.open(client, id) };
  // One feed for all, whoever asks.
  const storeFor = (() => undefined) as unknown as StoreFor;
  routeLive(http, { live: feeds, storeFor, clients: createClients(), listenersOf });
  http.addHook('preClose', () => live[Symbol.asyncDispose]());
  stack.defer(() => http.close());
  url = await listen(http, '127.0.0.1', 0);
});
afterAll(() => stack[Symbol.asyncDispose]());

/** As the query API opens it, but ten events a second. */
function openFeed(clickhouse: ClickHouse): LiveFeed {
  const timeouts = { timeoutMs: 10_000 };
  const deps = {
    queries: createQueries(clickhouse, timeouts),
    groups: createGroupQueries(clickhouse, timeouts),
    restatements: createRestatementQueries(clickhouse, timeouts),
    stated: createStatedReading(clickhouse, timeouts),
    lateClicks: createLateClicks({ clickhouse, now: Date.now }),
    splitClicks: createSplitClicks({ clickhouse, splitRules: noneSplit, now: Date.now }),
  };
  let told = 0;
  return createLiveFeed({
    async read(now, since) {
      const reading = await readLive(deps, now, since);
      if (ballast === 0) return reading;
      const [row] = await deps.restatements.since(0, 1);
      const heavy = { ...row, job: `${told++}${'x'.repeat(ballast)}` } as TimedRestatement;
      return { ...reading, restatements: [heavy] };
    },
    logEnds: async () => undefined,
    ...{ now: Date.now, log, maxClients: thousand, maxBufferBytes: 524_288, intervalMs: 100 },
    ...{ run: 'thousand', tenant: undefined },
  });
}

const countOf = async (metric: typeof liveClients | typeof liveLeft, why?: string) => {
  const { values } = await metric.get();
  return values.find(({ labels }) => why === undefined || labels.why === why)?.value ?? 0;
};
const listeners = (count: number) => eventually(`${count} listen`, async () => (await countOf(liveClients)) === count);
const haveHad = (clients: readonly LiveClient[], events: number) =>
  eventually(`${events} more events for each`, soon(clients, events));
function soon(clients: readonly LiveClient[], events: number) {
  const goals = clients.map(({ numbers }) => numbers.length + events);
  return () => clients.every(({ numbers }, i) => numbers.length >= (goals[i] ?? 0));
}
const gapsOf = (numbers: readonly number[]) =>
  numbers.filter((number, i) => i > 0 && number !== (numbers[i - 1] ?? 0) + 1);

it('serves a thousand: each gets each event, who was away what it missed, and who does not read is cut off', async () => {
  const idle: Socket[] = Array.from({ length: stalled }, () => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1').pause();
    socket.on('error', () => undefined).write('GET /v1/live HTTP/1.1\r\nhost: localhost\r\n\r\n');
    return socket;
  });
  const clients = Array.from({ length: thousand - stalled }, () => listenLive(url));
  await listeners(thousand);
  expect(new Set(await Promise.all(clients.map(({ status }) => status)))).toEqual(new Set([200]));
  expect(await listenLive(url).status).toBe(503);

  await haveHad(clients, 10);
  expect(clients.flatMap(({ numbers }) => gapsOf(numbers))).toEqual([]);

  const [away, stayed] = [clients.slice(0, 200), clients.slice(200)];
  for (const client of away) client.close();
  await listeners(thousand - 200);
  await haveHad(stayed, 5);
  const back = away.map(({ lastId }) => listenLive(url, { lastEventId: lastId }));
  await haveHad(back, 10);
  for (const [i, { numbers }] of back.entries()) expect(gapsOf([...(away[i]?.numbers ?? []), ...numbers])).toEqual([]);
  expect(stayed.flatMap(({ numbers }) => gapsOf(numbers))).toEqual([]);

  // Ten do not read, and the system takes some megabytes for each before anything waits here.
  for (const client of stayed.slice(100)) client.close();
  const reading = [...back, ...stayed.slice(0, 100)];
  await listeners(reading.length + stalled);
  ballast = 128 * 1_024;
  await eventually('those who do not read are cut off', async () => (await countOf(liveLeft, 'slow')) === stalled);
  ballast = 0;
  await haveHad(reading, 3);
  expect(reading.flatMap(({ numbers }) => gapsOf(numbers))).toEqual([]);
  expect(await countOf(liveClients)).toBe(reading.length);
  await Promise.all(idle.map(socket => once(socket.resume(), 'close')));
  for (const client of reading) client.close();
  await listeners(0);
  expect(await countOf(liveLeft, 'slow')).toBe(stalled);
});
