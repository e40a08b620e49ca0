/**
 * How much ingest takes in, all of it acknowledged by the broker: `node test/bench/ingest.ts [--seconds 10] [--connections 64]`.
 * Single posts, then batches of 100; beside them an empty route with the same body, as a yardstick of the same run.
 */
import { fork } from 'node:child_process';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { fastify } from 'fastify';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import { startService } from '../support/service.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '10' },
    connections: { type: 'string', default: '64' },
    empty: { type: 'boolean' },
  },
});

if (options.empty) await serveEmpty();
else await measureAll();

/** The yardstick: parses the body, and answers. */
async function serveEmpty(): Promise<void> {
  const http = fastify();
  http.post('/v1/clicks', (_request, reply) => reply.code(202).send({ accepted: 1, rejected: [] }));
  process.send?.(await http.listen({ host: '127.0.0.1', port: 0 }));
}

async function measureAll(): Promise<void> {
  await using broker = await startTestBroker();
  const kafka = createKafka(
    loadConfig(KafkaConfig, { KAFKA_BROKERS: broker.brokers }),
    'bench',
    createLog('bench', 'error'),
  );
  await ensureTopics(kafka, names(''), 4);
  await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', {
    KAFKA_BROKERS: broker.brokers,
    LOG_LEVEL: 'warn',
  });
  await ingest.ready();
  const child = fork(import.meta.filename, ['--empty'], { stdio: 'inherit' });
  const emptyUrl = await new Promise<string>(resolve => child.once('message', message => resolve(String(message))));
  await measure('warm-up, single', ingest.url, 1, ingest.pid);
  await measure('empty route, single', emptyUrl, 1, child.pid ?? 0);
  await measure('ingest, single', ingest.url, 1, ingest.pid);
  await measure('empty route, single', emptyUrl, 1, child.pid ?? 0);
  await measure('ingest, single', ingest.url, 1, ingest.pid);
  await measure('ingest, batches of 100', ingest.url, 100, ingest.pid);
  child.kill();
}

async function measure(title: string, url: string, clicks: number, pid: number): Promise<void> {
  const before = costOf(pid).cpuSeconds;
  // One body for all requests: what is measured is ingest, not the making of clicks.
  const click = () => ({
    ad_id: `ad_${Math.floor(Math.random() * 1e5)}`,
    event_id: crypto.randomUUID(),
    clicked_at: Date.now(),
    country: 'KR',
  });
  const result = await autocannon({
    url: `${url}/v1/clicks`,
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(clicks === 1 ? click() : Array.from({ length: clicks }, click)),
    connections: Number(options.connections),
    duration: Number(options.seconds),
  });
  const accepted = result['2xx'] * clicks;
  const cpu = costOf(pid).cpuSeconds - before;
  console.log(
    `${title}: ${Math.round(accepted / result.duration)} clicks/s, p50 ${result.latency.p50} ms, p99 ${result.latency.p99} ms, ` +
      `${((cpu / accepted) * 1e6).toFixed(1)} CPU s per million, ${result.non2xx + result.errors} not accepted`,
  );
}
