/**
 * How soon the aggregator counts again after `kill -9` under load: from the moment the new process is spawned until every
 * partition's committed offset has moved. Its predecessor's membership is still in the group then, as in life: the broker
 * lets go of it after AGGREGATOR_SESSION_TIMEOUT_MS at the latest. `npm run bench:restore -- --help`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { openAdmin } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names as namesOf } from '../../infra/topics.ts';
import { settle, startBenchPipeline } from './bench-pipeline.ts';
import { median, rowOf, tell } from './bench-row.ts';
import { createClickLoad } from './click-load.ts';

const { values: options } = parseArgs({
  options: {
    rate: { type: 'string', default: '50000' },
    before: { type: 'string', default: '100' },
    kills: { type: 'string', default: '3' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(`npm run bench:restore -- [options]
  --rate N     clicks per second (50,000)
  --before N   seconds of them before each kill (100): what is not final yet must be read again
  --kills N    (3)
  --json FILE  results for programs`);
  process.exit(0);
}
const [rate, before, kills] = [Number(options.rate), Number(options.before), Number(options.kills)];

await using pipeline = await startBenchPipeline();
const kafkaConfig = loadConfig(KafkaConfig, { KAFKA_BROKERS: pipeline.broker.brokers });
await using admin = await openAdmin(createKafka(kafkaConfig, 'bench', createLog('bench', 'error')));
const names = namesOf('');
const beganAt = Date.now();
const load = createClickLoad({ url: pipeline.ingest.url, ads: 100_000, batch: 500, mostOpen: 32 });
const running = load.run(rate, kills * (before + 20));
const took: number[] = [];
const posted: number[] = [];
for (let kill = 0; kill < kills; kill++) {
  const postedBefore = load.posted;
  await sleep(before * 1_000);
  posted.push((load.posted - postedBefore) / before);
  took.push(await killed());
  await sleep(10_000);
}
await running;
await settle(pipeline, load, beganAt);
tell(
  [
    rowOf(`restore, counting again after kill -9 at ${rate} clicks/s, median of ${kills}`, median(took), 'ms'),
    rowOf('restore, the longest', Math.max(...took), 'ms'),
    rowOf('restore, clicks/s really posted', median(posted), 'clicks/s', { name: 'asked', value: rate }),
  ],
  options.json,
);

async function killed(): Promise<number> {
  await pipeline.aggregator.kill();
  // Nobody commits now: whatever moves beyond this is the successor's work.
  const committed = async () => await admin.commits(names.aggregatorGroup, names.topic('clicks'));
  const last = await committed();
  const begin = performance.now();
  await pipeline.restart('aggregator');
  for (;;) {
    const now = await committed();
    if ([...last].every(([partition, { offset }]) => (now.get(partition)?.offset ?? 0) > offset)) break;
    if (performance.now() - begin > 120_000) throw new Error(`not within 120 s:\n${pipeline.aggregator.logs()}`);
    await sleep(20);
  }
  const ms = performance.now() - begin;
  console.log(`killed and restored: ${ms.toFixed(0)} ms`);
  return ms;
}
