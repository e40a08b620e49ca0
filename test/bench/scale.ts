/**
 * What 1, 10 and 100 times the textbook load would need, worked out from the costs per click that were measured on one
 * machine (RESULTS.md): `node test/bench/scale.ts [--help]`. A model, not a measurement: it adds up CPU, memory, disk and
 * network, and knows nothing of skew, of failures beyond the spare it is given, or of what a bigger cluster does badly.
 */
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    'ingest-cpu': { type: 'string', default: '3' },
    'aggregator-cpu': { type: 'string', default: '3.9' },
    'store-cpu': { type: 'string', default: '6.4' },
    'broker-cpu': { type: 'string', default: '1.5' },
    'raw-bytes': { type: 'string', default: '34.6' },
    'count-bytes': { type: 'string', default: '5.3' },
    'rows-per-click': { type: 'string', default: '0.5' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`node test/bench/scale.ts [options]
  --ingest-cpu, --aggregator-cpu, --store-cpu, --broker-cpu   CPU seconds per million clicks: of the aggregator live,
                       which costs four times a backlog; of the others in large pieces, as large loads bring them
  --raw-bytes N        of a raw click on disk        --count-bytes N   of a count row, both orders
  --rows-per-click N   count rows stored per click, after merges`);
  process.exit(0);
}
const cost = Object.fromEntries(Object.entries(options).map(([name, value]) => [name, Number(value)])) as Record<
  string,
  number
>;

/** 1 billion clicks a day, 50,000 a second at peak. */
const dailyClicks = 1e9;
const peakPerSecond = 50_000;
/** A line of the log; with two replicas more it goes over the network three times, and is read twice. */
const lineBytes = 221;
const replicas = 3;
/** Windows that are not final hold 135 s of clicks at most; a click takes 64 bytes at most. */
const openSeconds = 135;
const openBytes = 64;
/** Of each core so much is planned with: the rest is for catching up, merges and the loss of a machine. */
const usedShare = 0.5;
const coresOfMachine = 8;
/** TB of a machine's disk that are filled. */
const diskOfMachine = 20;
/** One aggregator is one thread. */
const clicksPerAggregator = 1e6 / (cost['aggregator-cpu'] ?? 1);

const rows = [1, 10, 100].map(times => {
  const peak = peakPerSecond * times;
  const day = dailyClicks * times;
  const cores = (name: string) => Math.ceil((peak * (cost[name] ?? 0)) / 1e6 / usedShare);
  const aggregators = Math.max(2, Math.ceil(peak / usedShare / clicksPerAggregator));
  const partitions = Math.max(12, Math.ceil((4 * aggregators) / 12) * 12);
  const logBytes = (lineBytes * day * 7 * replicas) / 1e12;
  const brokerCores = cores('broker-cpu') * replicas;
  const brokers = Math.max(3, Math.ceil(brokerCores / coresOfMachine), Math.ceil(logBytes / diskOfMachine));
  const rawBytes = (day * 35 * (cost['raw-bytes'] ?? 0)) / 1e12;
  const countBytes = (day * 400 * (cost['rows-per-click'] ?? 0) * (cost['count-bytes'] ?? 0)) / 1e12;
  const shards = Math.max(
    Math.ceil(cores('store-cpu') / coresOfMachine),
    Math.ceil((rawBytes + countBytes) / diskOfMachine),
  );
  return {
    load: `${times} ×`,
    'clicks/s at peak': peak.toLocaleString('en'),
    partitions,
    'ingest cores': cores('ingest-cpu'),
    aggregators,
    'their memory, GB': ((peak * openSeconds * openBytes) / 1e9).toFixed(1),
    brokers,
    'log, TB (7 d, 3 replicas)': logBytes.toFixed(1),
    'network of the log, Gbit/s at peak': ((peak * lineBytes * 8 * (replicas + 2)) / 1e9).toFixed(1),
    'shards (× 2 replicas)': shards,
    'raw, TB (35 d)': rawBytes.toFixed(1),
    'counts, TB (400 d)': countBytes.toFixed(1),
  };
});
const names = Object.keys(rows[0] ?? {});
for (const name of names) console.log(`| ${[name, ...rows.map(row => row[name as keyof typeof row])].join(' | ')} |`);
