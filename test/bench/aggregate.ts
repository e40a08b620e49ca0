/**
 * How fast the aggregator empties a filled topic: `node test/bench/aggregate.ts [--clicks 3000000] [--lines 500] [--aggregators 1]`.
 * Event time spans ten minutes, 1 % copies, Zipf-like ads; the counts are checked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics, openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createProducer } from '../../infra/kafka/producer.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { formatLine, partitionOf } from '../../ingest/click.ts';
import { createClickIdMint } from '../../ingest/click-id.ts';
import { startTestBroker } from '../support/broker.ts';
import { startService } from '../support/service.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    clicks: { type: 'string', default: '3000000' },
    lines: { type: 'string', default: '500' },
    ads: { type: 'string', default: '100000' },
    aggregators: { type: 'string', default: '1' },
    runs: { type: 'string', default: '3' },
  },
});
const clicks = Number(options.clicks);
const lines = Number(options.lines);
const ads = Number(options.ads);
const aggregators = Number(options.aggregators);
const runs = Number(options.runs);
const partitions = 4;
if (aggregators > partitions) throw new Error(`--aggregators ${aggregators}: at most one per partition, ${partitions}`);

await using broker = await startTestBroker();
const kafka = createKafka(
  loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }),
  'bench',
  createLog('bench', 'error'),
);
await using admin = await openAdmin(kafka);
for (let run = 1; run <= runs; run++) await measure(`b${run}-`);

async function measure(prefix: string): Promise<void> {
  const names = namesOf(prefix);
  await ensureTopics(kafka, names, partitions);
  const distinct = await fill(names.topic('clicks'));
  const ends = await admin.endOffsets(names.topic('clicks'));
  const env = { KAFKA_BROKERS: broker.brokers, TOPIC_PREFIX: prefix, LOG_LEVEL: 'warn' };
  const startedAt = performance.now();
  await using stack = new AsyncDisposableStack();
  const services = await Promise.all(
    Array.from({ length: aggregators }, () => startService('aggregator/main.ts', 'AGGREGATOR_PORT', env)),
  );
  for (const service of services) stack.use(service);
  let firstCommitAt = 0;
  const deadline = performance.now() + 300_000;
  for (;;) {
    if (performance.now() > deadline) throw new Error(`not done within 300 s:\n${services[0]?.logs()}`);
    const commits = await Promise.all(
      [...ends.keys()].map(p =>
        admin.committed(names.aggregatorGroup, names.topic('clicks'), p).catch(() => undefined),
      ),
    );
    if (firstCommitAt === 0 && commits.some(Boolean)) firstCommitAt = performance.now();
    if ([...ends.values()].every((end, i) => (commits[i]?.offset ?? 0) >= end)) {
      const counted = commits.reduce(
        (sum, commit) => sum + Number(JSON.parse(commit?.metadata ?? '{}').counted ?? 0),
        0,
      );
      if (counted !== distinct) throw new Error(`counted ${counted} of ${distinct}`);
      break;
    }
    await sleep(20);
  }
  const seconds = (performance.now() - startedAt) / 1000;
  const costs = services.map(service => costOf(service.pid));
  const cpu = costs.reduce((sum, cost) => sum + cost.cpuSeconds, 0);
  const peak = Math.max(...costs.map(cost => cost.peakMb));
  console.log(
    `${clicks} clicks, ${lines} a record, ${aggregators} process(es): ${seconds.toFixed(2)} s from spawn ` +
      `(${((firstCommitAt - startedAt) / 1000).toFixed(2)} s to the first commit), ${Math.round(clicks / seconds)} clicks/s, ` +
      `${((cpu / clicks) * 1e6).toFixed(2)} CPU s per million, peak ${peak.toFixed(0)} MB each`,
  );
}

/** Returns how many distinct clicks are in the topic. */
async function fill(topic: string): Promise<number> {
  await using producer = createProducer(kafka, { acks: -1, timeoutMs: 30_000 });
  const mint = createClickIdMint();
  const begin = Date.now() - 600_000;
  const open: string[][] = Array.from({ length: partitions }, () => []);
  let records: { partition: number; value: string }[] = [];
  let bytes = 0;
  const send = async () => {
    if (records.length > 0) await producer.send(topic, records);
    records = [];
    bytes = 0;
  };
  let last = '';
  let distinct = 0;
  for (let i = 0; i < clicks; i++) {
    const at = begin + Math.floor((i / clicks) * 600_000);
    const adId = `ad_${String(Math.floor(ads * Math.random() ** 4)).padStart(7, '0')}`;
    const copy = i % 100 === 99 && last !== '';
    if (!copy) {
      distinct++;
      last = formatLine({
        clickId: mint(at),
        eventId: `${mint(at)}${i}`,
        adId,
        clickedAt: at,
        receivedAt: at + 20,
        country: 'KR',
        userId: `u_${i % 5_000_000}`,
        ip: '203.0.113.7',
      });
    }
    const partition = copy
      ? partitionOf(/"ad_id":"([^"]+)"/.exec(last)?.[1] ?? '', partitions)
      : partitionOf(adId, partitions);
    const batch = open[partition]!;
    batch.push(last);
    if (batch.length < lines) continue;
    const value = batch.join('\n');
    open[partition] = [];
    records.push({ partition, value });
    bytes += value.length;
    if (bytes > 3 << 20) await send();
  }
  for (const [partition, batch] of open.entries())
    if (batch.length > 0) records.push({ partition, value: batch.join('\n') });
  await send();
  return distinct;
}
