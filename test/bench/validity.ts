/**
 * What rules of invalid clicks cost the counting core: CPU per click with the recommended rules, beside the same clicks
 * without rules in the same run, in turns. One thread, no Kafka; the counts are checked.
 * `node test/bench/validity.ts -- --help`.
 */
import { loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { freshCheckpoint } from '../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../aggregator/core/partition-aggregator.ts';
import { formatLine } from '../../ingest/click.ts';
import { noRules, type RuleSet, recommendedRules } from '../../ingest/validity/rules.ts';
import { SeededRandom } from '../simulation/seeded-random.ts';
import { median, rowOf, tell } from './bench-row.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '1000000' },
    ads: { type: 'string', default: '100000' },
    minutes: { type: 'string', default: '24' },
    runs: { type: 'string', default: '7' },
    json: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});
if (options.help) {
  console.log('node test/bench/validity.ts [--clicks 1000000] [--ads 100000] [--minutes 24] [--runs 7] [--json FILE]');
  process.exit(0);
}
const [clicks, ads, runs] = [Number(options.clicks), Number(options.ads), Number(options.runs)];
const minute = 1_763_800_020_000 - (1_763_800_020_000 % 60_000);
/** Long enough for windows to become final, and for their tables to be used again. */
const minutes = Number(options.minutes);
const commitLines = 500_000;
const linesPerRecord = 500;

const records = recordsOf();
const sets: Readonly<Record<string, RuleSet>> = {
  'without rules': noRules,
  'recommended rules': { version: 1, rules: recommendedRules },
  'rules about facts alone': {
    version: 1,
    rules: { ...recommendedRules, double_click_seconds: 0, user_clicks_per_minute: 0, address_clicks_per_minute: 0 },
  },
};
const names = Object.keys(sets);
const micros = new Map(names.map(name => [name, [] as number[]]));
const bytes = new Map<string, number>();
// The first round compiles, and does not count. In each round the order is another one.
for (let round = 0; round <= runs; round++) {
  for (const [i] of names.entries()) {
    const name = names[(i + round) % names.length]!;
    const found = measure(sets[name]!);
    if (round > 0) micros.get(name)!.push(found.micros);
    bytes.set(name, found.bytes);
  }
}
const without = { name: 'without rules', value: median(micros.get('without rules')!) };
tell(
  names.flatMap(name => [
    rowOf(`core, ${clicks} clicks of ${ads} ads, ${name}`, median(micros.get(name)!), 'CPU µs per click', without),
    rowOf(`core, memory, ${name}`, bytes.get(name)! / 2 ** 20, 'MiB'),
  ]),
  options.json,
);
const ratios = micros.get('recommended rules')!.map((value, i) => value / micros.get('without rules')![i]!);
console.log(
  `pairs: ${ratios.map(ratio => ratio.toFixed(2)).join(' ')}; load of the machine ${loadavg()[0]?.toFixed(1)}`,
);

function measure(set: RuleSet): { micros: number; bytes: number } {
  const settings = { partition: 0, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 1 };
  const aggregator = new PartitionAggregator({ ...settings, rulesAt: () => set }, freshCheckpoint(0));
  const before = process.cpuUsage();
  for (const [offset, record] of records.entries()) {
    aggregator.process(offset, minute + minutes * 60_000, record);
    if (aggregator.pending.lines >= commitLines) aggregator.drain();
  }
  aggregator.drain();
  const { user, system } = process.cpuUsage(before);
  if (aggregator.totals.counted !== clicks) throw new Error(`${aggregator.totals.counted} counted of ${clicks}`);
  return { micros: (user + system) / clicks, bytes: aggregator.state.bytes };
}

/** Clicks as ingest writes them: all have an address and a user agent, and every second one a user id. */
function recordsOf(): Buffer[] {
  const random = new SeededRandom(1);
  const agent =
    'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36';
  const lines = Array.from({ length: clicks }, (_, i) =>
    formatLine({
      clickId: `01K${String(i).padStart(23, '0')}`,
      eventId: `e-${i}-${random.between(0, 2 ** 31)}`,
      adId: `ad_${Math.floor(ads * random.next() ** 2)}`,
      clickedAt: minute + Math.floor((minutes * 60_000 * i) / clicks),
      receivedAt: minute + Math.floor((minutes * 60_000 * i) / clicks) + 30,
      country: 'KR',
      ...(i % 2 === 0 && { userId: `user-${random.between(0, 1_000_000)}` }),
      ip: `81.${random.between(0, 255)}.${random.between(0, 255)}.${random.between(1, 254)}`,
      userAgent: agent,
      ...(i % 50 === 0 && { facts: 2 }),
    }),
  );
  return Array.from({ length: Math.ceil(clicks / linesPerRecord) }, (_, i) =>
    Buffer.from(lines.slice(i * linesPerRecord, (i + 1) * linesPerRecord).join('\n')),
  );
}
