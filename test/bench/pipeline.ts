/**
 * HTTP to visible count with everything on this machine: a high rate for long, then a probe's time from POST to visible
 * count at a fifth of the peak. `npm run bench:pipeline -- --help`. All counts are checked in the end.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { cpuOf, settle, startBenchPipeline, visible } from './bench-pipeline.ts';
import { type BenchRow, percentile, rowOf, tell } from './bench-row.ts';
import { createClickLoad } from './click-load.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    rate: { type: 'string', default: '100000' },
    seconds: { type: 'string', default: '300' },
    'probe-rate': { type: 'string', default: '10000' },
    'probe-seconds': { type: 'string', default: '60' },
    ads: { type: 'string', default: '100000' },
    set: { type: 'string', multiple: true },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:pipeline -- [options]
  --rate N         clicks per second (100,000)    --seconds N        for how long (300)
  --probe-rate N   beside the probes (10,000)     --probe-seconds N  (60)
  --ads N          (100,000)                      --json FILE        results for programs
  --set NAME=VALUE of a setting, as often as wanted: --set COMMIT_INTERVAL_MS=2000`);
  process.exit(0);
}
const [rate, seconds] = [Number(options.rate), Number(options.seconds)];
const [probeRate, probeSeconds] = [Number(options['probe-rate']), Number(options['probe-seconds'])];

await using pipeline = await startBenchPipeline(options.set);
const beganAt = Date.now();
const load = createClickLoad({ url: pipeline.ingest.url, ads: Number(options.ads), batch: 500, mostOpen: 32 });
await load.run(rate / 10, 5);
await settle(pipeline, load, beganAt);

const rows = [...(await sustained()), ...(await probed())];
await settle(pipeline, load, beganAt);
tell(rows, options.json);

async function sustained(): Promise<BenchRow[]> {
  const [before, postedBefore, startedAt] = [cpuOf(pipeline), load.posted, performance.now()];
  const running = load.run(rate, seconds);
  const behind: number[] = [];
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      await sleep(1_000);
      const { received } = await visible(pipeline).catch(() => ({ received: Number.NaN }));
      if (!Number.isNaN(received)) behind.push(load.posted - received);
    }
  })();
  await running;
  const postedRate = ((load.posted - postedBefore) / (performance.now() - startedAt)) * 1_000;
  isOver = true;
  await watching;
  await settle(pipeline, load, beganAt);
  const settledRate = ((load.posted - postedBefore) / (performance.now() - startedAt)) * 1_000;
  const after = cpuOf(pipeline);
  const clicks = load.posted - postedBefore;
  const cpu = (name: keyof typeof after) => ((after[name] - before[name]) / clicks) * 1e6;
  const names = ['ingest', 'aggregator', 'sink', 'queryApi', 'jobs', 'clickHouse', 'broker'] as const;
  const half = Math.floor(behind.length / 2);
  const title = `pipeline, ${rate} clicks/s asked for ${seconds} s`;
  return [
    rowOf(`${title}: accepted`, postedRate, 'clicks/s', { name: 'asked', value: rate }),
    rowOf(`${title}: until all were visible`, settledRate, 'clicks/s', { name: 'asked', value: rate }),
    rowOf('pipeline, clicks not visible yet, first half, most', Math.max(...behind.slice(0, half)), 'clicks'),
    rowOf('pipeline, clicks not visible yet, second half, most', Math.max(...behind.slice(half)), 'clicks', {
      name: 'first half',
      value: Math.max(...behind.slice(0, half)),
    }),
    rowOf(
      'pipeline, CPU, all processes',
      names.reduce((sum, name) => sum + cpu(name), 0),
      'CPU s per million',
    ),
    ...names.map(name => rowOf(`pipeline, CPU, ${name}`, cpu(name), 'CPU s per million')),
    ...(['ingest', 'aggregator', 'sink', 'queryApi', 'jobs', 'clickHouse'] as const).map(name =>
      rowOf(`pipeline, peak memory, ${name}`, costOf(pipeline[name].pid).peakMb, 'MB'),
    ),
  ];
}

async function probed(): Promise<BenchRow[]> {
  const running = load.run(probeRate, probeSeconds);
  const latencies: number[] = [];
  const probes: Promise<void>[] = [];
  for (let at = 0; at < probeSeconds * 5; at++) {
    probes.push(probe(`probe-${at}`).then(ms => void latencies.push(ms)));
    await sleep(200);
  }
  await running;
  await Promise.all(probes);
  load.alsoPosted(probes.length);
  latencies.sort((a, b) => a - b);
  const title = `pipeline, POST to visible count at ${probeRate} clicks/s`;
  return [
    rowOf(`${title}, p50`, percentile(latencies, 0.5), 'ms'),
    rowOf(`${title}, p99`, percentile(latencies, 0.99), 'ms'),
  ];
}

async function probe(adId: string): Promise<number> {
  const at = Date.now();
  const from = at - (at % 60_000);
  const begin = performance.now();
  await pipeline.post({ ad_id: adId, event_id: adId, clicked_at: at });
  const path = `/v1/ads/${adId}/aggregated_count?from=${from}&to=${from + 60_000}`;
  while ((await pipeline.get<{ count: number }>(path)).count !== 1) await sleep(25);
  return performance.now() - begin;
}
