/**
 * How fast the store takes in a backlog of raw clicks and their counts, merges included, and what they take up on disk.
 * A run ends when both sinks have committed all and the server has come to rest, which is when it has merged
 * what it wants to merge. Then raw clicks and counts are checked. `npm run bench:store -- --help`.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openClickHouse } from '../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../infra/config.ts';
import { type ClickHouseEnv, startClickHouse } from '../../infra/embedded/clickhouse.ts';
import { createTables } from '../support/clickhouse.ts';
import { quietPort } from '../support/quiet-port.ts';
import { startService } from '../support/service.ts';
import { type Backlog, caughtUp, forgetGroup, openBacklog } from './backlog.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '20000000' },
    lines: { type: 'string', default: '500' },
    ads: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '20' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:store -- [options]
  --clicks N   how many (20,000,000)   --lines N     clicks per record (500)
  --ads N      ads (100,000)           --minutes N   of event time (20)
  --runs N     (3)                     --json FILE   results for programs`);
  process.exit(0);
}
const clicks = Number(options.clicks);
const workload = {
  clicks,
  lines: Number(options.lines),
  ads: Number(options.ads),
  minutes: Number(options.minutes),
  partitions: 4,
  begin: Math.floor(Date.now() / 3_600_000 - 2) * 3_600_000,
};
const limitMs = 600_000;

await using backlog = await openBacklog(workload);
const { names, env } = backlog;
await aggregateAll();
const runs: Run[] = [];
for (let run = 0; run < Number(options.runs); run++) runs.push(await measure());
const middle = (of: (run: Run) => number) => median(runs.map(of));
const rows: BenchRow[] = [
  rowOf(
    `store, ${clicks} raw clicks and their counts, merged`,
    middle(r => r.merged),
    'clicks/s',
  ),
  rowOf(
    'store, the same until committed',
    middle(r => r.committed),
    'clicks/s',
  ),
  rowOf(
    'store, CPU',
    middle(r => r.cpuSecondsPerMillion),
    'CPU s per million',
  ),
  rowOf(
    'store, peak memory',
    middle(r => r.peakMb),
    'MB',
  ),
  rowOf(
    'store, a raw click on disk',
    middle(r => r.rawBytes),
    'bytes',
  ),
  rowOf(
    'store, a count row on disk, both orders',
    middle(r => r.countBytes),
    'bytes',
  ),
];
tell(rows, options.json);

interface Run {
  /** Clicks per second. */
  readonly committed: number;
  readonly merged: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakMb: number;
  readonly rawBytes: number;
  readonly countBytes: number;
}

/** Once: the counts are the same for all runs. */
async function aggregateAll(): Promise<void> {
  await using service = await startService('aggregator/main.ts', 'AGGREGATOR_PORT', env);
  await caughtUp(backlog, names.aggregatorGroup, [names.topic('clicks')], { service, limitMs });
  await service.stop();
}

async function measure(): Promise<Run> {
  for (const group of [names.rawSinkGroup, names.aggregateSinkGroup]) await forgetGroup(backlog, group);
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-store-'));
  using _ = { [Symbol.dispose]: () => rmSync(dataDir, { recursive: true, force: true }) };
  await using server = await startClickHouse({
    ...{ dataDir, memoryMb: 8_192 },
    httpPort: await quietPort(),
    tcpPort: await quietPort(),
  });
  await createTables({ ...server.env });
  await using service = await startService('aggregator/sink/main.ts', 'SINK_PORT', {
    ...env,
    ...server.env,
  });
  await service.ready(60_000);
  const startedAt = new Date(
    JSON.parse(
      service
        .logs()
        .split('\n')
        .find(line => line.includes('sink runs')) ?? '',
    ).time,
  ).getTime();
  const wait = { service, limitMs };
  await Promise.all([
    caughtUp(backlog, names.rawSinkGroup, [names.topic('clicks')], wait),
    caughtUp(backlog, names.aggregateSinkGroup, [names.topic('aggregates'), names.topic('quarantine')], wait),
  ]);
  const committedAt = Date.now();
  const restAt = await atRest(server.pid);
  const [sink, database] = [costOf(service.pid), costOf(server.pid)];
  const [cpuSeconds, peakMb] = [sink.cpuSeconds + database.cpuSeconds, sink.peakMb + database.peakMb];
  await service.stop();
  const { raw, rawBytes, counts, countBytes } = await sizes(server.env, backlog);
  const result = {
    committed: (clicks / (committedAt - startedAt)) * 1_000,
    merged: (clicks / (restAt - startedAt)) * 1_000,
    cpuSecondsPerMillion: (cpuSeconds / clicks) * 1e6,
    peakMb,
    rawBytes: rawBytes / raw,
    countBytes: countBytes / counts,
  };
  console.log(
    `store: ${Math.round(result.merged / 1e3)} k clicks/s merged, ${Math.round(result.committed / 1e3)} k committed, ` +
      `${result.cpuSecondsPerMillion.toFixed(2)} CPU s/M, peak ${peakMb.toFixed(0)} MB, ` +
      `${result.rawBytes.toFixed(1)} bytes a raw click, ${result.countBytes.toFixed(1)} a count row; all counts exact`,
  );
  return result;
}

/** When it last used more than a tenth of a core: seen two seconds later. */
async function atRest(pid: number): Promise<number> {
  const windowMs = 2_000;
  for (;;) {
    const [at, before] = [Date.now(), costOf(pid).cpuSeconds];
    await sleep(windowMs);
    if (costOf(pid).cpuSeconds - before < (0.1 * windowMs) / 1_000) return at;
  }
}

/** @throws where raw clicks or counts are not what was posted */
async function sizes(env: ClickHouseEnv, { truth }: Backlog) {
  const config = loadConfig(ClickHouseConfig, { ...env });
  await using clickhouse = openClickHouse(config, { readers: 1 });
  const one = async <T>(sql: string): Promise<T> => (await clickhouse.query<T>(sql))[0]!;
  const { raw } = await one<{ raw: number }>('SELECT count() AS raw FROM click_raw FINAL');
  const { cells, sum } = await one<{ cells: number; sum: number }>(
    `SELECT uniqExact(minute, ad_id) AS cells, sum(clicks) AS sum FROM ad_minute FINAL
     SETTINGS do_not_merge_across_partitions_select_final=1`,
  );
  const expected = [...truth.values()].reduce((all, count) => all + count, 0);
  if (raw !== clicks || cells !== truth.size || sum !== expected)
    throw new Error(`stored ${raw} of ${clicks} clicks, ${cells} of ${truth.size} cells, ${sum} of ${expected} counts`);
  const bytesOf = async (tables: readonly string[]) => {
    const list = tables.map(table => `'${table}'`).join(', ');
    const { bytes } = await one<{ bytes: number }>(
      `SELECT sum(bytes_on_disk) AS bytes FROM system.parts WHERE active AND database = currentDatabase() AND table IN (${list})`,
    );
    return bytes;
  };
  const { counts } = await one<{ counts: number }>('SELECT count() AS counts FROM ad_minute FINAL');
  return {
    raw,
    counts,
    rawBytes: await bytesOf(['click_raw']),
    countBytes: await bytesOf(['ad_minute', 'ad_minute_by_ad']),
  };
}
