/**
 * What a click costs the counting core, and what an open click holds in memory, as the number of clicks and of ads grows:
 * both should stay the same. One thread, no Kafka, records of the same bytes as in the log; totals are checked.
 * `node test/bench/growth.ts -- --help`.
 */
import { parseArgs } from 'node:util';
import { freshCheckpoint } from '../../aggregator/core/checkpoint.ts';
import { PartitionAggregator } from '../../aggregator/core/partition-aggregator.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { recordsOf, type Workload } from './workload.ts';

const { values: options } = parseArgs({
  options: {
    runs: { type: 'string', default: '1' },
    quick: { type: 'boolean', default: false },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`node test/bench/growth.ts [--quick] [--runs 1] [--json FILE]`);
  process.exit(0);
}
const runs = Number(options.runs);
const shortClicks = 1_000_000;
/** As at 50,000 clicks a second. */
const clicksPerMinute = 3_000_000;
const commitLines = 1_000_000;

const shapes = options.quick
  ? [{ clicks: shortClicks, ads: 100_000 }]
  : [
      ...[shortClicks, 4_000_000, 20_000_000].map(clicks => ({ clicks, ads: 100_000 })),
      ...[1_000, 2_000_000].map(ads => ({ clicks: 4_000_000, ads })),
    ];
// Compiled before it is measured: a process that has been up for a minute is what is asked about.
measure({ clicks: shortClicks, ads: 100_000 });
const results = shapes.map(shape => {
  const all = Array.from({ length: runs }, () => measure(shape));
  return { ...shape, micros: median(all.map(r => r.micros)), bytes: median(all.map(r => r.bytes)) };
});
const yardstick = results.find(
  ({ clicks, ads }) => clicks === (options.quick ? shortClicks : 4_000_000) && ads === 100_000,
)!;
const loop = readEveryByte();
const rows: BenchRow[] = results.flatMap(({ clicks, ads, micros, bytes }) => {
  const shape = `${clicks} clicks, ${ads} ads`;
  return [
    rowOf(`core, ${shape}`, micros, 'µs per click', {
      name: `${yardstick.clicks} clicks, ${yardstick.ads} ads`,
      value: yardstick.micros,
    }),
    rowOf(`core, memory, ${shape}`, bytes, 'bytes per open click'),
  ];
});
tell(
  [
    rowOf('core, beside a loop over the same bytes', yardstick.micros, 'µs per click', { name: 'loop', value: loop }),
    ...rows,
  ],
  options.json,
);

/** The least that can be done in JavaScript with a click's bytes: µs per click. */
function readEveryByte(): number {
  let [hash, busyMs] = [0, 0];
  for (const { value } of recordsOf({ clicks: shortClicks, lines: 500, ads: 100_000, minutes: 1, partitions: 1 })) {
    const record = Buffer.from(value);
    const begin = performance.now();
    for (let at = 0; at < record.length; at++) hash = Math.imul(hash ^ record[at]!, 16_777_619);
    busyMs += performance.now() - begin;
  }
  if (hash === 0) throw new Error('nothing was read');
  return (busyMs / shortClicks) * 1_000;
}

function measure({ clicks, ads }: { clicks: number; ads: number }): { micros: number; bytes: number } {
  const minutes = Math.max(1, Math.ceil(clicks / clicksPerMinute));
  const workload: Workload = { clicks, lines: 500, ads, minutes, partitions: 1 };
  const settings = { partition: 0, outOfOrdernessMs: 15_000, allowedLatenessMs: 60_000, hashSeed: 1 };
  const aggregator = new PartitionAggregator(settings, freshCheckpoint(0));
  let [offset, busyMs] = [0, 0];
  for (const { value, receivedAt } of recordsOf(workload)) {
    const record = Buffer.from(value);
    const begin = performance.now();
    aggregator.process(offset++, receivedAt, record);
    if (aggregator.pending.lines >= commitLines) aggregator.drain();
    busyMs += performance.now() - begin;
  }
  const { ids, bytes: held } = aggregator.state;
  aggregator.drain();
  const { received, counted, duplicates } = aggregator.totals;
  if (received !== clicks || counted + duplicates !== clicks) throw new Error(`${counted} counted of ${clicks}`);
  return { micros: (busyMs / clicks) * 1_000, bytes: held / ids };
}
