/**
 * How fast the aggregator catches up with a backlog, exactly once and with duplicates dropped; every (ad, minute) cell is
 * checked in every run. `npm run bench:aggregate -- --help`.
 *
 * Two times are told: from the first record read to the last commit, as the peers kit measures, and from the processes'
 * start. With `--peers` (or PEERS_DIR) the kit's systems run beside each of our runs on the same broker, and the ratios
 * are those of medians.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Service, startService } from '../support/service.ts';
import { caughtUp, forgetGroup, openBacklog } from './backlog.ts';
import { median, rowOf, tell } from './bench-row.ts';
import { copyKit, type PeerRun, runPeers } from './peers.ts';
import { costOf } from './process-cost.ts';
import { setRules } from './rules-before.ts';
import { compare, countedCells } from './workload.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '10000000' },
    lines: { type: 'string', default: '500' },
    ads: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '10' },
    partitions: { type: 'string', default: '4' },
    aggregators: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    brokers: { type: 'string', default: '' },
    peers: { type: 'string', default: process.env['PEERS_DIR'] ?? '' },
    only: { type: 'string', default: 'limit streams flink' },
    rules: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:aggregate -- [options]
  --clicks N       how many (10,000,000)          --lines N        clicks per record (500)
  --ads N          ads (100,000)                  --minutes N      of event time (10)
  --partitions N   (4)                            --aggregators N  processes (2)
  --runs N         (3)                            --json FILE      results for programs
  --peers DIR      the peers kit, run beside each of our runs (PEERS_DIR); --only "limit streams flink"
  --rules          each run a second time, with the recommended rules of invalid clicks in force
  --brokers H:P    a broker that is there already; transaction.max.timeout.ms of 10 min for Flink`);
  process.exit(0);
}
const clicks = Number(options.clicks);
const [aggregators, runs, partitions] = [Number(options.aggregators), Number(options.runs), Number(options.partitions)];
const workload = {
  clicks,
  lines: Number(options.lines),
  ads: Number(options.ads),
  minutes: Number(options.minutes),
  partitions,
};
if (aggregators > partitions) throw new Error(`--aggregators ${aggregators}: at most one per partition, ${partitions}`);
const limitMs = 300_000;

const workDir = mkdtempSync(join(tmpdir(), 'bench-'));
using _ = { [Symbol.dispose]: () => rmSync(workDir, { recursive: true, force: true }) };
const kit = options.peers === '' ? undefined : copyKit(options.peers, workDir);
await using backlog = await openBacklog(workload, { brokers: options.brokers, kit });
const { admin, names } = backlog;

const results: Run[] = [];
/** The same runs, with rules of invalid clicks in force. */
const judged: Run[] = [];
const peerRuns: PeerRun[][] = [];
for (let run = 1; run <= runs; run++) {
  // Each goes first in every second run.
  const turns = !options.rules ? [false] : run % 2 === 0 ? [true, false] : [false, true];
  for (const areInForce of turns) {
    await setRules(backlog, areInForce, partitions);
    (areInForce ? judged : results).push(await measure());
  }
  if (kit === undefined) continue;
  const peers = await runPeers(kit, backlog.brokers, workload, options.only);
  for (const { name, clicksPerSecond, cpuSecondsPerMillion } of peers)
    console.log(`${name}: ${rate(clicksPerSecond)} from the first read, ${cpuSecondsPerMillion.toFixed(2)} CPU s/M`);
  peerRuns.push(peers);
}
report();

interface Run {
  readonly fromRead: number;
  readonly fromSpawn: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakMb: number;
}

async function measure(): Promise<Run> {
  const from = await admin.endOffsets(names.topic('aggregates'));
  await forgetGroup(backlog, names.aggregatorGroup);
  const load = loadavg()[0] ?? 0;
  const spawnedAt = Date.now();
  await using stack = new AsyncDisposableStack();
  const services = await Promise.all(
    Array.from({ length: aggregators }, () => startService('aggregator/main.ts', 'AGGREGATOR_PORT', backlog.env)),
  );
  for (const service of services) stack.use(service);
  await caughtUp(backlog, names.aggregatorGroup, [names.topic('clicks')], { service: services[0]!, limitMs });
  const doneAt = Date.now();
  const readAt = Math.min(...services.flatMap(startTimes));
  const costs = services.map(service => costOf(service.pid));
  await Promise.all(services.map(service => service.stop()));
  const ends = await admin.endOffsets(names.topic('aggregates'));
  const range = new Map([...ends].map(([partition, end]) => [partition, { from: from.get(partition) ?? 0, end }]));
  compare(await countedCells(backlog.kafka, names.topic('aggregates'), range), backlog.truth);
  const result = {
    fromRead: (clicks / (doneAt - readAt)) * 1_000,
    fromSpawn: (clicks / (doneAt - spawnedAt)) * 1_000,
    cpuSecondsPerMillion: (costs.reduce((sum, cost) => sum + cost.cpuSeconds, 0) / clicks) * 1e6,
    peakMb: costs.reduce((sum, cost) => sum + cost.peakMb, 0),
  };
  console.log(
    `aggregator: ${rate(result.fromRead)} from the first read, ${rate(result.fromSpawn)} from spawn, ` +
      `${result.cpuSecondsPerMillion.toFixed(2)} CPU s/M, peak ${result.peakMb.toFixed(0)} MB in all; ` +
      `all ${backlog.truth.size} cells exact; load before ${load.toFixed(1)}`,
  );
  return result;
}

/** When its tasks were about to read their first records, by its log. */
function startTimes(service: Service): number[] {
  return service
    .logs()
    .split('\n')
    .filter(line => line.includes('task started'))
    .map(line => new Date(JSON.parse(line).time).getTime());
}

function report(): void {
  const title = (what: string) => `aggregate ${what}, ${clicks} clicks, ${options.lines} a record, ${options.ads} ads`;
  const ours = [
    { name: title('from first read'), value: median(results.map(r => r.fromRead)), unit: 'clicks/s' },
    { name: title('from spawn'), value: median(results.map(r => r.fromSpawn)), unit: 'clicks/s' },
    { name: title('CPU'), value: median(results.map(r => r.cpuSecondsPerMillion)), unit: 'CPU s per million' },
    { name: title('peak memory'), value: median(results.map(r => r.peakMb)), unit: 'MB' },
  ];
  const peerValues: Readonly<Record<string, (run: PeerRun) => number>> = {
    'clicks/s': run => run.clicksPerSecond,
    'CPU s per million': run => run.cpuSecondsPerMillion,
  };
  const peers = [...Map.groupBy(peerRuns.flat(), ({ name }) => name)];
  const ofPeers = peers.flatMap(([name, runs]) =>
    Object.entries(peerValues).map(([unit, ofRun]) => rowOf(`${name}, the same clicks`, median(runs.map(ofRun)), unit)),
  );
  const rows = ours.flatMap(({ name, value, unit }) => {
    const ofRun = peerValues[unit];
    if (ofRun === undefined || peers.length === 0) return [rowOf(name, value, unit)];
    return peers.map(([peer, runs]) => rowOf(name, value, unit, { name: peer, value: median(runs.map(ofRun)) }));
  });
  const cpu = (runs: readonly Run[]) => median(runs.map(run => run.cpuSecondsPerMillion));
  const withoutRules = { name: 'without rules', value: cpu(results) };
  const ofRules =
    judged.length === 0 ? [] : [rowOf(title('CPU, with rules'), cpu(judged), 'CPU s per million', withoutRules)];
  tell([...rows, ...ofRules, ...ofPeers], options.json);
  if (judged.length > 0)
    console.log(
      `pairs: ${judged.map((run, i) => (run.cpuSecondsPerMillion / results[i]!.cpuSecondsPerMillion).toFixed(2))}`,
    );
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond / 1_000)} k clicks/s`;
}
