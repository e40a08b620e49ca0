/**
 * What a count of one ad costs beside raw reads whose clients hang up, again and again, and beside such as do not:
 * `npm run bench:abandoned -- [--clicks 560000] [--abandoned 24] [--patient 12] [--requests 400] [--json FILE]`.
 * Each of the others asks from an address of its own, so that no share of a client holds them back. Counts without them
 * are measured before and after, in the same run; each count is checked.
 */
import { fork } from 'node:child_process';
import { Agent, get } from 'node:http';
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { listen } from '../../infra/http.ts';
import { createLog } from '../../infra/log.ts';
import { registry } from '../../infra/metrics.ts';
import { migrate } from '../../infra/migrate.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig, readLimitsOf } from '../../query-api/config.ts';
import { startTestClickHouse } from '../support/clickhouse.ts';
import { scriptOptions } from '../support/script-options.ts';
import { storeClicks } from '../support/stored-clicks.ts';
import { type BenchRow, percentile, rowOf, tell } from './bench-row.ts';
import { costOf } from './process-cost.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    clicks: { type: 'string', default: '560000' },
    abandoned: { type: 'string', default: '24' },
    patient: { type: 'string', default: '12' },
    requests: { type: 'string', default: '400' },
    json: { type: 'string' },
    client: { type: 'boolean' },
  },
});
const minuteMs = 60_000;

type Order =
  | { readonly ask: string; readonly requests: number }
  | { readonly others: number; readonly url: string; readonly hangUp: boolean }
  | { readonly stop: true };
interface Told {
  readonly ms?: readonly number[];
  readonly body?: string;
  readonly others?: Others;
}
interface Others {
  readonly asked: number;
  readonly hungUp: number;
  /** By status. */
  readonly answers: Record<string, number>;
}

if (options.client) beClients();
else await measure();

async function measure(): Promise<void> {
  await using server = await startTestClickHouse();
  const config = loadConfig(QueryApiConfig, server.env);
  await using clickhouse = openClickHouse(loadConfig(ClickHouseConfig, server.env), readLimitsOf(config));
  const log = createLog('bench', 'error');
  await migrate(clickhouse, log);
  const to = Math.floor(Date.now() / minuteMs) * minuteMs;
  const from = to - 31 * 1_440 * minuteMs;
  await storeClicks(clickhouse, { clicks: Number(options.clicks), ads: 500, users: 100_000, from, to });
  const http = await buildQueryApi({
    ...{ config, clickhouse, log, now: () => to + 1_000 },
    countedLog: { endOffsets: async () => new Map([[0, Number(options.clicks)]]), sinkPositions: async () => [] },
  });
  const url = await listen(http, '127.0.0.1', 0);
  const range = `from=${from}&to=${to}`;
  const count = `${url}/v1/ads/ad-7/aggregated_count?${range}`;
  const raw = `${url}/v1/ads/popular_ads?${range}&uniques=true&user_id=u_7`;
  const { count: expected } = (await (await fetch(count)).json()) as { count: number };
  const begin = performance.now();
  const alone = await fetch(raw);
  console.log(`a raw read alone: ${alone.status} after ${(performance.now() - begin).toFixed(0)} ms`);

  // Who asks, and who hangs up, are processes of their own: none of them waits for another's event loop.
  const [asker, others] = [fork(import.meta.filename, ['--client']), fork(import.meta.filename, ['--client'])];
  const tellTo = (child: typeof asker, order: Order): Promise<Told> =>
    new Promise(resolve => {
      child.once('message', told => resolve(told as Told));
      child.send(order);
    });
  const rows: BenchRow[] = [];
  let quiet = { p50: Number.NaN, p99: Number.NaN };
  /** CPU seconds of each process so far. */
  const costs = () =>
    Object.entries({ api: process.pid, clickhouse: server.pid, asker: asker.pid, others: others.pid }).map(
      ([name, pid = 0]) => ({ name, seconds: costOf(pid).cpuSeconds }),
    );
  const counts = async (name: string) => {
    const [before, begun] = [costs(), performance.now()];
    const { ms = [], body = '' } = await tellTo(asker, { ask: count, requests: Number(options.requests) });
    const seconds = (performance.now() - begun) / 1_000;
    const shares = costs().map(
      (cost, i) => `${cost.name} ${((cost.seconds - (before[i]?.seconds ?? 0)) / seconds).toFixed(2)}`,
    );
    console.log(`${name}: cores ${shares.join(', ')}; load of the machine ${loadavg()[0]?.toFixed(1)}`);
    if ((JSON.parse(body) as { count: number }).count !== expected) throw new Error(`not the true count: ${body}`);
    const [p50, p99] = [percentile(ms, 0.5), percentile(ms, 0.99)];
    const isQuiet = Number.isNaN(quiet.p99);
    rows.push(
      rowOf(`count of one ad, ${name}, p50`, p50, 'ms', isQuiet ? undefined : { name: 'without', value: quiet.p50 }),
    );
    rows.push(
      rowOf(`count of one ad, ${name}, p99`, p99, 'ms', isQuiet ? undefined : { name: 'without', value: quiet.p99 }),
    );
    console.log(`${name}: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, longest ${ms.at(-1)?.toFixed(1)} ms`);
    if (isQuiet) quiet = { p50, p99 };
  };
  const beside = async (name: string, count: number, hangUp: boolean) => {
    others.send({ others: count, url: raw, hangUp } satisfies Order);
    await sleep(3_000);
    const ready = performance.now();
    const { status } = await fetch(`${url}/readyz`);
    console.log(`beside ${count} ${name}: /readyz ${status} after ${(performance.now() - ready).toFixed(0)} ms`);
    if (status !== 200) throw new Error('/readyz is not 200');
    await counts(`beside ${count} raw reads ${name}`);
    const told = await tellTo(others, { stop: true });
    console.log(JSON.stringify(told.others));
    const cleared = performance.now();
    while ((await running(clickhouse)) > 0) await sleep(20);
    rows.push(rowOf(`reads in the server after the last of ${count} ${name}`, performance.now() - cleared, 'ms'));
  };
  await counts('warming up');
  [rows.length, quiet] = [0, { p50: Number.NaN, p99: Number.NaN }];
  await counts('without');
  await beside('whose clients hang up', Number(options.abandoned), true);
  await counts('without, again');
  await beside('whose clients wait', Number(options.patient), false);
  await counts('without, at the end');
  for (const { name, values } of await registry.getMetricsAsJSON())
    if (/clickhouse_reads/.test(name)) console.log(name, JSON.stringify(values));
  asker.kill();
  others.kill();
  await http.close();
  tell(rows, options.json);
}

/** Reads of raw clicks that the server is at. */
async function running(clickhouse: ReturnType<typeof openClickHouse>): Promise<number> {
  const [row] = await clickhouse.query<{ n: number }>(
    "SELECT count()::UInt32 AS n FROM system.processes WHERE query LIKE '%FROM click_raw%' AND query NOT LIKE '%system.processes%'",
  );
  return row?.n ?? 0;
}

function beClients(): void {
  let stop = new AbortController();
  let told: Others = { asked: 0, hungUp: 0, answers: {} };
  let all: Promise<unknown> = Promise.resolve();
  process.on('message', async (order: Order) => {
    if ('ask' in order) {
      const ms: number[] = [];
      let body = '';
      for (let i = 0; i < order.requests; i++) {
        const begin = performance.now();
        const answer = await fetch(order.ask);
        body = await answer.text();
        if (!answer.ok) throw new Error(`${answer.status} ${body}`);
        ms.push(performance.now() - begin);
        // Not one after another as fast as it goes: a person's pace, so that others have their turns in between.
        await sleep(10);
      }
      process.send?.({ ms: ms.sort((a, b) => a - b), body } satisfies Told);
    } else if ('others' in order) {
      stop = new AbortController();
      told = { asked: 0, hungUp: 0, answers: {} };
      const runs = Array.from({ length: order.others }, (_, i) =>
        beOther(order, `127.0.1.${i + 1}`, stop.signal, told),
      );
      all = Promise.all(runs);
    } else {
      stop.abort();
      await all;
      process.send?.({ others: told } satisfies Told);
    }
  });
}

async function beOther(
  { url, hangUp }: { readonly url: string; readonly hangUp: boolean },
  localAddress: string,
  stop: AbortSignal,
  told: { asked: number; hungUp: number; answers: Record<string, number> },
): Promise<void> {
  const agent = new Agent({ keepAlive: false, localAddress });
  while (!stop.aborted) {
    told.asked++;
    await new Promise<void>(resolve => {
      const request = get(url, { agent, localAddress }, answer => {
        told.answers[String(answer.statusCode)] = (told.answers[String(answer.statusCode)] ?? 0) + 1;
        answer.resume().once('close', resolve);
      });
      request.once('error', () => resolve()).once('close', resolve);
      const leave = () => {
        told.hungUp++;
        request.destroy();
      };
      if (hangUp) setTimeout(leave, 50 + Math.random() * 450);
      else stop.addEventListener('abort', leave, { once: true });
    });
  }
}
