/**
 * How much one ad with half of all clicks slows counting, and how much of that its split over the partitions gives back:
 * the same number of clicks as a backlog three times, with the usual ads, with a hot one in its home partition, and with
 * a hot one that is split. Every (ad, minute) cell is checked in every run; the three take turns, and the ratios are
 * those of medians. The goal: split, at least 0.9 of the usual.
 *
 *     node test/bench/hot-ad.ts [--clicks 4000000] [--share 0.5] [--partitions 4] [--aggregators 2] [--runs 3] [--json FILE]
 */

import { scriptOptions } from '../support/script-options.ts';
import { startService } from '../support/service.ts';
import { type Backlog, caughtUp, forgetGroup, openBacklog } from './backlog.ts';
import { median, rowOf, tell } from './bench-row.ts';
import { compare, countedCells, type Workload } from './workload.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    clicks: { type: 'string', default: '4000000' },
    share: { type: 'string', default: '0.5' },
    partitions: { type: 'string', default: '4' },
    aggregators: { type: 'string', default: '2' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
});
const [clicks, aggregators] = [Number(options.clicks), Number(options.aggregators)];
const limitMs = 300_000;

const usual = { clicks, lines: 500, ads: 100_000, minutes: 10, partitions: Number(options.partitions) };
const workloads: Readonly<Record<string, Workload>> = {
  usual,
  hot: { ...usual, hotShare: Number(options.share) },
  'hot, split': { ...usual, hotShare: Number(options.share), isSplit: true },
};

await using stack = new AsyncDisposableStack();
const backlogs = new Map<string, Backlog>();
for (const [name, workload] of Object.entries(workloads)) {
  const [first] = backlogs.values();
  backlogs.set(name, stack.use(await openBacklog(workload, first ? { brokers: first.brokers } : {})));
}
const rates = new Map([...backlogs.keys()].map(name => [name, [] as number[]]));
for (let run = 1; run <= Number(options.runs); run++) {
  for (const [name, backlog] of backlogs) {
    const perSecond = await measure(backlog);
    rates.get(name)?.push(perSecond);
    console.log(
      `${name}: ${Math.round(perSecond / 1_000)} k clicks/s from spawn, all ${backlog.truth.size} cells exact`,
    );
  }
}
const usualRate = median(rates.get('usual') ?? []);
const rows = [...rates].map(([name, all]) => {
  const title = `aggregate, ${name}: ${clicks} clicks, ${options.partitions} partitions, ${aggregators} processes`;
  return rowOf(title, median(all), 'clicks/s', name === 'usual' ? undefined : { name: 'usual', value: usualRate });
});
tell(rows, options.json);

async function measure(backlog: Backlog): Promise<number> {
  const { admin, names } = backlog;
  const topic = names.topic('aggregates');
  const from = await admin.endOffsets(topic);
  await forgetGroup(backlog, names.aggregatorGroup);
  const spawnedAt = Date.now();
  await using running = new AsyncDisposableStack();
  const services = await Promise.all(
    Array.from({ length: aggregators }, () => startService('aggregator/main.ts', 'AGGREGATOR_PORT', backlog.env)),
  );
  for (const service of services) running.use(service);
  await caughtUp(backlog, names.aggregatorGroup, [names.topic('clicks')], { service: services[0]!, limitMs });
  const ms = Date.now() - spawnedAt;
  await Promise.all(services.map(service => service.stop()));
  const ends = await admin.endOffsets(topic);
  const range = new Map([...ends].map(([partition, end]) => [partition, { from: from.get(partition) ?? 0, end }]));
  compare(await countedCells(backlog.kafka, topic, range), backlog.truth);
  return (clicks / ms) * 1_000;
}
