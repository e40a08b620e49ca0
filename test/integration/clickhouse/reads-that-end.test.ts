/** Reads of a real server: how they end when nobody waits for them, whose turn it is, and what never waits for them. */
import { get, type IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Asker, askedBy } from '../../../infra/asking.ts';
import { type ClickHouse, openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { readsCancelled, readsWaiting } from '../../../infra/clickhouse/metrics.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import { Unserved } from '../../../infra/errors.ts';
import { type Http, listen } from '../../../infra/http.ts';
import { closeHttp } from '../../../infra/http-drain.ts';
import { migrate } from '../../../infra/migrate.ts';
import { buildQueryApi } from '../../../query-api/app.ts';
import { QueryApiConfig, readLimitsOf } from '../../../query-api/config.ts';
import { exportsCut } from '../../../query-api/routes/exports/metrics.ts';
import { startTestClickHouse, type TestClickHouse } from '../../support/clickhouse.ts';
import { type RawConnection, rawConnection } from '../../support/raw-http.ts';
import { storeClicks } from '../../support/stored-clicks.ts';
import { eventually } from '../../support/wait.ts';

const log = pino({ level: 'silent' });
const minuteMs = 60_000;
const to = Math.floor(Date.now() / minuteMs) * minuteMs;
const from = to - 31 * 1_440 * minuteMs;
const clicks = 2_000_000;
const range = `from=${from}&to=${to}`;
/** Seconds of work. */
const rawRead = `/v1/ads/popular_ads?${range}&uniques=true&user_id=u_7`;
const countRead = `/v1/ads/ad-7/aggregated_count?${range}`;

let server: TestClickHouse;
/** For looking: what it asks has places of its own. */
let watcher: ClickHouse;
let clickhouse: ClickHouse;
let http: Http;
let url: string;
const connections: RawConnection[] = [];

beforeAll(async () => {
  server = await startTestClickHouse();
  watcher = openClickHouse(loadConfig(ClickHouseConfig, server.env), { readers: 4 });
  await migrate(watcher, log);
  await storeClicks(watcher, { clicks, ads: 500, users: 100_000, from, to });
});
afterAll(async () => {
  await watcher[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

async function start(env: Record<string, string>): Promise<void> {
  const config = loadConfig(QueryApiConfig, { ...server.env, ...env });
  clickhouse = openClickHouse(config, readLimitsOf(config));
  http = await buildQueryApi({
    ...{ config, clickhouse, log, now: () => to + 1_000 },
    countedLog: { endOffsets: async () => new Map([[0, clicks]]), sinkPositions: async () => [] },
  });
  url = await listen(http, '127.0.0.1', 0);
}

afterEach(async () => {
  for (const connection of connections.splice(0)) connection[Symbol.dispose]();
  await eventually('no read goes on', async () => (await running()) === 0);
  await closeHttp(http);
  await clickhouse[Symbol.asyncDispose]();
});

/** From an address of its own: `client` is a number from 2 on. */
function ask(path: string, client = 2): RawConnection {
  const connection = rawConnection(url, `127.0.0.${client}`);
  connections.push(connection);
  connection.send(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
  return connection;
}

/** A raw read of this client that does not end before it is told to: a place that is taken. */
async function holdPlace(client: number): Promise<AsyncDisposable> {
  const end = new AbortController();
  // One of an earlier test may still be ending in the server.
  const name = `${held}_${++places}`;
  const sql = `SELECT sum(cityHash64(number, number)) ${name} FROM numbers(1000000000000)`;
  const asker: Asker = { signal: end.signal, client: `127.0.0.${client}`, isOperation: false };
  const answer = askedBy(asker, () => clickhouse.query(sql, {}, { kind: 'raw' })).catch(() => undefined);
  await eventually('the place is taken', async () => (await running(name)) === 1);
  return {
    async [Symbol.asyncDispose]() {
      end.abort(new Unserved('gone', 'it is free'));
      await answer;
    },
  };
}

const held = 'AS held';
let places = 0;

/** Reads of raw clicks in the server, or those with another text. */
async function running(what = 'FROM click_raw'): Promise<number> {
  const [row] = await watcher.query<{ n: number }>(
    `SELECT count()::UInt32 AS n FROM system.processes
     WHERE query LIKE concat('%', {what:String}, '%') AND query NOT LIKE '%system.processes%'`,
    { what },
  );
  return row?.n ?? 0;
}

async function told(metric: typeof readsWaiting | typeof readsCancelled | typeof exportsCut, labels: object) {
  const { values } = await metric.get();
  const isAsked = (found: object) =>
    Object.entries(labels).every(([name, value]) => Reflect.get(found, name) === value);
  return values.find(value => isAsked(value.labels))?.value ?? 0;
}
const waiting = () => told(readsWaiting, { kind: 'raw' });
/** Statements that were cancelled because their clients had gone. */
const gone = () => told(readsCancelled, { kind: 'raw', why: 'gone' });

describe('a raw read whose client goes', () => {
  it('ends in the server', async () => {
    await start({});
    const before = await gone();
    const connection = ask(rawRead);
    await eventually('it runs', async () => (await running()) === 1);
    connection[Symbol.dispose]();
    await eventually('the server is rid of it', async () => (await running()) === 0);
    // What a request reads beside its clicks ends with it.
    expect((await gone()) - before).toBeGreaterThanOrEqual(1);
  });

  it('never begins if it has waited', async () => {
    await start({ QUERY_RAW_READERS: '1' });
    const before = await gone();
    const place = await holdPlace(9);
    const all = [ask(rawRead, 2), ask(rawRead, 3)];
    await eventually('both wait', async () => (await waiting()) === 2);
    for (const connection of all) connection[Symbol.dispose]();
    await eventually('neither waits', async () => (await waiting()) === 0);
    await place[Symbol.asyncDispose]();
    await eventually('the place is free', async () => (await running(held)) === 0);
    for (let look = 0; look < 10; look++) expect(await running()).toBe(0);
    // The one that held the place.
    expect((await gone()) - before).toBe(1);
  });

  it('gives back its place only when it has ended in the server, however many clients come and go', async () => {
    await start({ QUERY_RAW_READERS: '2', QUERY_RAW_READERS_PER_CLIENT: '2' });
    let most = 0;
    for (let round = 0; round < 40; round++) {
      const all = Array.from({ length: 4 }, (_, i) => ask(rawRead, 2 + i));
      await sleep(30);
      for (const connection of all) connection[Symbol.dispose]();
      most = Math.max(most, await running());
    }
    expect(most).toBeGreaterThan(0);
    expect(most).toBeLessThanOrEqual(2);
  });

  it.each([
    ['query', (sql: string) => clickhouse.query(sql, {}, { kind: 'raw' })],
    ['queryLines', (sql: string) => clickhouse.queryLines(sql, {}, { kind: 'raw' })],
    [
      'stream',
      async (sql: string) => {
        for await (const _ of clickhouse.stream(sql, 'CSV')) break;
      },
    ],
  ] as const)('ends by %s before the first row is there', async (_how, read) => {
    await start({});
    const end = new AbortController();
    const asker: Asker = { signal: end.signal, client: 'a', isOperation: false };
    const sql = 'SELECT sum(cityHash64(number, number)) AS ended FROM numbers(1000000000000)';
    const answer = askedBy(asker, () => read(sql)).catch((error: unknown) => error);
    await eventually('it runs', async () => (await running('AS ended')) === 1);
    end.abort(new Unserved('gone', 'nobody waits'));
    expect(await answer).toBe(end.signal.reason);
    await eventually('the server is rid of it', async () => (await running('AS ended')) === 0);
  });

  it('ends when its time for an answer is over', async () => {
    await start({ QUERY_ANSWER_TIMEOUT_MS: '400' });
    expect(await ask(rawRead).problem()).toMatchObject({ status: 503, code: 'answer_late' });
    await eventually('the server is rid of it', async () => (await running()) === 0);
  });
});

describe('while raw reads have all their places', () => {
  it('counts and health are answered, and a request that waits for a place gets the time to wait', async () => {
    await start({ QUERY_MAX_WAITING: '3', QUERY_MAX_WAITING_PER_CLIENT: '2', QUERY_QUEUE_TIMEOUT_MS: '60000' });
    // Two at a time, of a client one.
    const slow = `/v1/ads/series?${range}&granularity=minute&user_id=u_7&ad_id=ad-1&ad_id=ad-2`;
    await using _first = await holdPlace(2);
    await using _second = await holdPlace(3);
    const line = [ask(slow, 2), ask(slow, 2)];
    await eventually('two wait', async () => (await waiting()) === 2);
    expect(await ask(slow, 2).problem()).toMatchObject({ status: 429, code: 'client_reads' });
    line.push(ask(slow, 4));
    await eventually('three wait', async () => (await waiting()) === 3);
    const refused = ask(slow, 5);
    expect(await refused.problem()).toMatchObject({ status: 503, code: 'reads_busy' });
    expect(refused.received).toMatch(/\r\nretry-after: 5\r\n/);

    expect(await ask('/readyz', 6).status()).toBe(200);
    expect(await ask(countRead, 6).status()).toBe(200);
    expect(await ask('/metrics', 6).status()).toBe(200);
    expect(await ask('/v1/status', 6).status()).toBe(200);
    expect(await running(held)).toBe(2);
    for (const connection of line) connection[Symbol.dispose]();
    await eventually('none waits', async () => (await waiting()) === 0);
  });

  it('a raw request whose client goes leaves nothing in the queue of counts', async () => {
    await start({ QUERY_READERS: '1', QUERY_RAW_READERS: '1' });
    const ended = () => told(readsCancelled, { kind: 'counts', why: 'gone' });
    const before = await ended();
    await using _ = await holdPlace(2);
    for (let round = 0; round < 10; round++) {
      const all = Array.from({ length: 10 }, (_, i) => ask(rawRead, 3 + i));
      await eventually('all of them wait for it', async () => (await waiting()) === 10);
      expect(await ask(countRead, 20).status()).toBe(200);
      for (const connection of all) connection[Symbol.dispose]();
      await eventually('none of them waits', async () => (await waiting()) === 0);
    }
    expect((await ended()) - before).toBe(0);
  });

  it('the time in the queue is limited', async () => {
    await start({ QUERY_QUEUE_TIMEOUT_MS: '200' });
    await using _ = await holdPlace(2);
    const late = ask(rawRead);
    expect(await late.problem()).toMatchObject({ status: 503, code: 'read_waited' });
    expect(late.received).toMatch(/\r\nretry-after: 5\r\n/);
    // Another client has a place left.
    expect(await ask('/v1/clicks/none', 3).status()).toBe(404);
  });
});

describe('exports that are hardly read', () => {
  it('lose their places to an export that waits for one, and that export is complete', async () => {
    await start({});
    const path = `/v1/exports/clicks?${range}`;
    const slow = [2, 3].map(client => {
      const connection = ask(path, client);
      connection.socket.pause();
      return connection;
    });
    await eventually('both have a place', async () => (await running()) === 2);
    const answer = await eventually('a place is free', async () => {
      const asked = await exportOf(path, '127.0.0.4');
      if (asked.statusCode === 200) return asked;
      asked.resume();
      return undefined;
    });
    let lines = 0;
    for await (const piece of answer as AsyncIterable<Buffer>) for (const byte of piece) if (byte === 10) lines++;
    expect(lines).toBe(clicks + 1);
    expect(await told(exportsCut, { why: 'room' })).toBe(1);
    // It notices: the end of the answer never comes.
    const cut = slow.filter(({ socket }) => socket.resume());
    await eventually('one was cut off', () => cut.some(({ socket }) => socket.destroyed));
    expect(cut.some(({ received }) => received.endsWith('\r\n0\r\n\r\n'))).toBe(false);
  });
});

function exportOf(path: string, localAddress: string): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(`${url}${path}`, { localAddress, agent: false }, resolve).once('error', reject);
  });
}
