/**
 * How much ingest takes in, all of it acknowledged by the broker: single posts, batches of 100, and the time of a post at
 * half of the most, evenly paced (paced-posts.ts). Beside single posts an empty fastify route with the same body, in turns, as the yardstick of the same
 * run. `npm run bench:ingest -- --help`. Every post must be accepted.
 */
import { fork } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { fastify } from 'fastify';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { openKeyLog } from '../../infra/keys/key-log.ts';
import { operatorAtBroker } from '../../infra/keys/key-record.ts';
import { createdKey } from '../../infra/keys/new-key.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import { startService } from '../support/service.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { postPaced } from './paced-posts.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '256' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
    empty: { type: 'boolean' },
    key: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(
    `npm run bench:ingest -- [--seconds 10] [--connections 256] [--runs 3] [--json FILE] [--key: single posts with an API key, too, in turns]`,
  );
  process.exit(0);
}
if (options.empty) await serveEmpty();
else tell(await measureAll(), options.json);

/** The yardstick: parses the body, and answers. */
async function serveEmpty(): Promise<void> {
  const http = fastify();
  http.post('/v1/clicks', (_request, reply) => reply.code(202).send({ accepted: 1, rejected: [] }));
  process.send?.(await http.listen({ host: '127.0.0.1', port: 0 }));
}

interface Target {
  readonly url: string;
  readonly pid: number;
  readonly key?: string;
}

interface Measured {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly cpuSecondsPerMillion: number;
}

async function measureAll(): Promise<BenchRow[]> {
  await using broker = await startTestBroker();
  // As large as it may be, not off: what it costs to count belongs to what is measured.
  const env = { KAFKA_BROKERS: broker.brokers, LOG_LEVEL: 'warn', INGEST_RATE_LIMIT_PER_MINUTE: '1000000000' };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'bench', createLog('bench', 'error'));
  await ensureTopics(kafka, names(''), 4);
  await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
  await ingest.ready();
  const child = fork(import.meta.filename, ['--empty'], { stdio: 'inherit' });
  using _ = { [Symbol.dispose]: () => void child.kill() };
  const url = await new Promise<string>(resolve => child.once('message', message => resolve(String(message))));
  const empty = { url, pid: child.pid ?? 0 };

  for (const target of [empty, ingest]) await measure('warm-up', target, 1);
  const keyed = options.key ? { url: ingest.url, pid: ingest.pid, key: await madeKey(kafka) } : undefined;
  if (keyed) await measure('warm-up with a key', keyed, 1);
  const [route, single, batches]: Measured[][] = [[], [], []];
  const withKey: Measured[] = [];
  for (let run = 0; run < Number(options.runs); run++) {
    route!.push(await measure('empty route, single', empty, 1));
    // By turns also which of the two comes first.
    if (keyed && run % 2 === 1) withKey.push(await measure('ingest, single, with a key', keyed, 1));
    single!.push(await measure('ingest, single', ingest, 1));
    if (keyed && run % 2 === 0) withKey.push(await measure('ingest, single, with a key', keyed, 1));
    batches!.push(await measure('ingest, batches of 100', ingest, 100));
  }
  const middle = (runs: readonly Measured[], of: (run: Measured) => number) => median(runs.map(of));
  const most = middle(single!, r => r.perSecond);
  const half = await measureHalf('ingest, single, at half', ingest, 1, most / 2);
  const halfOfBatches = middle(batches!, r => r.perSecond) / 2;
  const halfBatches = await measureHalf('ingest, batches of 100, at half', ingest, 100, halfOfBatches);
  const rowsOfKey =
    withKey.length === 0
      ? []
      : [
          rowOf(
            'ingest, single posts with an API key, CPU',
            middle(withKey, r => r.cpuSecondsPerMillion),
            'CPU s per million',
            {
              name: 'without a key',
              value: middle(single!, r => r.cpuSecondsPerMillion),
            },
          ),
        ];
  return [
    ...rowsOfKey,
    rowOf('ingest, single posts', most, 'clicks/s', {
      name: 'empty fastify route',
      value: middle(route!, r => r.perSecond),
    }),
    rowOf(
      'ingest, single posts, CPU',
      middle(single!, r => r.cpuSecondsPerMillion),
      'CPU s per million',
      {
        name: 'empty fastify route',
        value: middle(route!, r => r.cpuSecondsPerMillion),
      },
    ),
    rowOf(
      'ingest, single posts, p99',
      middle(single!, r => r.p99),
      'ms',
    ),
    rowOf('ingest, single posts at half of that, p99', half.p99, 'ms'),
    rowOf(
      'ingest, batches of 100',
      middle(batches!, r => r.perSecond),
      'clicks/s',
    ),
    rowOf(
      'ingest, batches of 100, CPU',
      middle(batches!, r => r.cpuSecondsPerMillion),
      'CPU s per million',
    ),
    rowOf('ingest, batches of 100 at half of that, p99', halfBatches.p99, 'ms'),
    rowOf('ingest, peak memory', costOf(ingest.pid).peakMb, 'MB'),
  ];
}

/** Is known to ingest a moment later. */
async function madeKey(kafka: KafkaClient): Promise<string> {
  const { text, change } = createdKey({ label: 'bench', scopes: ['ingest'] }, { by: operatorAtBroker }, Date.now());
  await using keys = openKeyLog(kafka, names(''));
  await keys.append(change);
  await sleep(5_000);
  return text;
}

/** As many as go. */
async function measure(title: string, { url, pid, key }: Target, clicks: number): Promise<Measured> {
  const before = costOf(pid).cpuSeconds;
  const result = await autocannon({
    url: `${url}/v1/clicks`,
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) },
    body: bodyOf(clicks),
    connections: Number(options.connections),
    duration: Number(options.seconds),
  });
  const refused = result.non2xx + result.errors;
  if (refused > 0) throw new Error(`${title}: ${refused} requests not accepted`);
  const accepted = result['2xx'] * clicks;
  return toldAs(title, {
    perSecond: accepted / result.duration,
    p50: result.latency.p50,
    p99: result.latency.p99,
    cpuSecondsPerMillion: ((costOf(pid).cpuSeconds - before) / accepted) * 1e6,
  });
}

async function measureHalf(title: string, target: Target, clicks: number, clicksPerSecond: number): Promise<Measured> {
  const before = costOf(target.pid).cpuSeconds;
  const seconds = Number(options.seconds);
  const { answered, p50, p99 } = await postPaced({
    url: new URL('/v1/clicks', target.url),
    body: bodyOf(clicks),
    requestsPerSecond: clicksPerSecond / clicks,
    seconds,
    connections: Number(options.connections),
  });
  const accepted = answered * clicks;
  const cpu = costOf(target.pid).cpuSeconds - before;
  return toldAs(title, { perSecond: accepted / seconds, p50, p99, cpuSecondsPerMillion: (cpu / accepted) * 1e6 });
}

/** One body for all requests: what is measured is ingest, not the making of clicks. */
function bodyOf(clicks: number): string {
  const click = () => ({
    ad_id: `ad_${Math.floor(Math.random() * 1e5)}`,
    event_id: crypto.randomUUID(),
    clicked_at: Date.now(),
    country: 'KR',
  });
  return JSON.stringify(clicks === 1 ? click() : Array.from({ length: clicks }, click));
}

function toldAs(title: string, measured: Measured): Measured {
  const { perSecond, p50, p99, cpuSecondsPerMillion } = measured;
  console.log(
    `${title}: ${Math.round(perSecond)} clicks/s, p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, ` +
      `${cpuSecondsPerMillion.toFixed(1)} CPU s per million`,
  );
  return measured;
}
