/**
 * How fast the aggregator catches up with a backlog, exactly once and with duplicates dropped; every (ad, minute) cell is
 * checked in every run: `npm run bench:aggregate -- [--clicks 10000000] [--lines 500] [--ads 100000] [--minutes 10]
 * [--aggregators 2] [--runs 3] [--json FILE] [--peers DIR --brokers HOST:PORT]
 * [--only "limit streams flink"]`.
 *
 * Two times are told: from the first record read to the last commit, as the peers kit measures, and from the processes'
 * start. With `--peers` (or PEERS_DIR) the kit's systems run beside each of our runs, and the ratios are those of medians;
 * that needs a broker whose `transaction.max.timeout.ms` is 10 min at least, which Flink asks for and ours refuses.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import { type Service, startService } from '../support/service.ts';
import { copyKit, type PeerRun, runPeers } from './peers.ts';
import { costOf } from './process-cost.ts';
import { type Cells, compare, countedCells, fill } from './workload.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '10000000' },
    lines: { type: 'string', default: '500' },
    ads: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '10' },
    aggregators: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    brokers: { type: 'string', default: '' },
    peers: { type: 'string', default: process.env['PEERS_DIR'] ?? '' },
    only: { type: 'string', default: 'limit streams flink' },
  },
});
const [clicks, lines, ads, minutes] = [options.clicks, options.lines, options.ads, options.minutes].map(Number) as [
  number,
  number,
  number,
  number,
];
const [aggregators, runs] = [Number(options.aggregators), Number(options.runs)];
const partitions = 4;
const workload = { clicks, lines, ads, minutes, partitions };
if (aggregators > partitions) throw new Error(`--aggregators ${aggregators}: at most one per partition, ${partitions}`);
const runLimitMs = 300_000;

const workDir = mkdtempSync(join(tmpdir(), 'bench-'));
using _ = { [Symbol.dispose]: () => rmSync(workDir, { recursive: true, force: true }) };
const kit = options.peers === '' ? undefined : copyKit(options.peers, workDir);
if (kit && options.brokers === '') throw new Error('--peers needs --brokers: Flink asks for longer transactions');
await using broker = options.brokers === '' ? await startTestBroker() : lent(options.brokers);
const config = loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers });
const kafka = createKafka(config, 'bench', createLog('bench', 'error'));
await using admin = await openAdmin(kafka);
const prefix = `bench-${Date.now()}-`;
const names = namesOf(prefix);
await ensureTopics(kafka, names, partitions);
const truth = await fill(kafka, names.topic('clicks'), workload);
console.log(`${clicks} clicks in ${truth.size} cells (ad, minute), ${lines} a record, ${aggregators} process(es)`);

const results: Run[] = [];
const peerRuns: PeerRun[][] = [];
for (let run = 1; run <= runs; run++) {
  results.push(await measure(truth));
  if (kit === undefined) continue;
  const peers = await runPeers(kit, broker.brokers, workload, options.only);
  for (const { name, clicksPerSecond, cpuSecondsPerMillion } of peers)
    console.log(`${name}: ${rate(clicksPerSecond)} from the first read, ${cpuSecondsPerMillion.toFixed(2)} CPU s/M`);
  peerRuns.push(peers);
}
report();

function lent(brokers: string): { brokers: string } & AsyncDisposable {
  return { brokers, [Symbol.asyncDispose]: async () => undefined };
}

interface Run {
  readonly fromRead: number;
  readonly fromSpawn: number;
  readonly cpuSecondsPerMillion: number;
  readonly peakMb: number;
}

async function measure(truth: Cells): Promise<Run> {
  const from = await admin.endOffsets(names.topic('aggregates'));
  await forgetGroup();
  const load = loadavg()[0] ?? 0;
  const spawnedAt = Date.now();
  await using stack = new AsyncDisposableStack();
  const env = { KAFKA_BROKERS: broker.brokers, TOPIC_PREFIX: prefix };
  const services = await Promise.all(
    Array.from({ length: aggregators }, () => startService('aggregator/main.ts', 'AGGREGATOR_PORT', env)),
  );
  for (const service of services) stack.use(service);
  await caughtUp(services, spawnedAt + runLimitMs);
  const doneAt = Date.now();
  const costs = services.map(service => costOf(service.pid));
  const readAt = Math.min(...services.flatMap(startTimes));
  await Promise.all(services.map(service => service.stop()));
  const ends = await admin.endOffsets(names.topic('aggregates'));
  const range = new Map([...ends].map(([partition, end]) => [partition, { from: from.get(partition) ?? 0, end }]));
  compare(await countedCells(kafka, names.topic('aggregates'), range), truth);
  const result = {
    fromRead: (clicks / (doneAt - readAt)) * 1_000,
    fromSpawn: (clicks / (doneAt - spawnedAt)) * 1_000,
    cpuSecondsPerMillion: (costs.reduce((sum, cost) => sum + cost.cpuSeconds, 0) / clicks) * 1e6,
    peakMb: costs.reduce((sum, cost) => sum + cost.peakMb, 0),
  };
  console.log(
    `aggregator: ${rate(result.fromRead)} from the first read, ${rate(result.fromSpawn)} from spawn, ` +
      `${result.cpuSecondsPerMillion.toFixed(2)} CPU s/M, peak ${result.peakMb.toFixed(0)} MB in all; ` +
      `all ${truth.size} cells exact; load before ${load.toFixed(1)}`,
  );
  return result;
}

/** So that the next run begins at the beginning. A member that has just left may hold the group for a moment. */
async function forgetGroup(): Promise<void> {
  const groups = kafka.admin();
  await groups.connect();
  for (let tried = 0; ; tried++) {
    const { groups: known } = await groups.listGroups();
    if (!known.some(({ groupId }) => groupId === names.aggregatorGroup)) break;
    if (tried === 100) throw new Error(`group ${names.aggregatorGroup} does not go away`);
    await groups.deleteGroups([names.aggregatorGroup]).catch(() => sleep(200));
  }
  await groups.disconnect();
}

async function caughtUp(services: readonly Service[], deadline: number): Promise<void> {
  const ends = await admin.endOffsets(names.topic('clicks'));
  const offsets = kafka.admin();
  await offsets.connect();
  for (;;) {
    const [found] = await offsets
      .fetchOffsets({ groupId: names.aggregatorGroup, topics: [names.topic('clicks')] })
      .catch(() => []);
    const committed = new Map(found?.partitions.map(({ partition, offset }) => [partition, Number(offset)]));
    if ([...ends].every(([partition, end]) => (committed.get(partition) ?? -1) >= end)) break;
    if (Date.now() > deadline) throw new Error(`not done within ${runLimitMs} ms:\n${services[0]?.logs()}`);
    await sleep(20);
  }
  await offsets.disconnect();
}

/** When its tasks were about to read their first records, by its log. */
function startTimes(service: Service): number[] {
  return service
    .logs()
    .split('\n')
    .filter(line => line.includes('task started'))
    .map(line => new Date(JSON.parse(line).time).getTime());
}

interface Row {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly ratio_to: string | null;
  readonly ratio: number | null;
}

function report(): void {
  const title = (what: string) => `aggregate ${what}, ${clicks} clicks, ${lines} a record, ${ads} ads`;
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
  const peers = Map.groupBy(peerRuns.flat(), ({ name }) => name);
  const rows = ours.flatMap((row): Row[] => {
    const ofPeer = peerValues[row.unit];
    if (ofPeer === undefined || peers.size === 0) return [{ ...row, ratio_to: null, ratio: null }];
    return [...peers].map(([name, runs]) => ({ ...row, ratio_to: name, ratio: row.value / median(runs.map(ofPeer)) }));
  });
  for (const { name, value, unit, ratio_to, ratio } of rows)
    console.log(`${name}: ${value.toFixed(2)} ${unit}${ratio === null ? '' : `, ${ratio.toFixed(2)} × ${ratio_to}`}`);
  if (options.json !== undefined) writeFileSync(options.json, `${JSON.stringify(rows, null, 2)}\n`);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

function rate(perSecond: number): string {
  return `${Math.round(perSecond / 1_000)} k clicks/s`;
}
