/**
 * What a key that posts at ten times its quota does to others: the time of evenly paced single posts with another key
 * (paced-posts.ts), while the first one posts nothing, while it posts what its quota allows, and while it floods. In turns,
 * in one run. Every post of the other key must be accepted. `npm run bench:fairness -- --help`
 *
 * Whoever floods has a process of its own, so that it does not delay what is measured; it still takes CPU time of the same
 * machine.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka, type KafkaClient } from '../../infra/kafka/client.ts';
import { openKeyLog } from '../../infra/keys/key-log.ts';
import { operatorAtBroker } from '../../infra/keys/key-record.ts';
import { createdKey } from '../../infra/keys/new-key.ts';
import { createLog } from '../../infra/log.ts';
import type { OwnQuotas } from '../../infra/quotas/quotas.ts';
import { names } from '../../infra/topics.ts';
import { startTestBroker } from '../support/broker.ts';
import { type Service, startService } from '../support/service.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { requestPaced } from './paced-posts.ts';

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '8' },
    runs: { type: 'string', default: '5' },
    rate: { type: 'string', default: '500' },
    quota: { type: 'string', default: '1000' },
    batch: { type: 'string', default: '10' },
    json: { type: 'string' },
    flood: { type: 'boolean', default: false },
    help: { type: 'boolean' },
  },
});

interface Post {
  readonly url: string;
  readonly key: string;
  readonly clicks: number;
}

interface Flood extends Post {
  readonly requestsPerSecond: number;
}

if (options.help)
  console.log(
    'npm run bench:fairness -- [--seconds 8] [--runs 5] [--rate 500: posts per second of the other key] [--quota 1000: clicks per second of the key that floods] [--batch 10: clicks in each of its posts] [--json FILE]',
  );
else if (options.flood) await flood();
else tell(await measureAll(), options.json);

/** Posts until it is killed, whatever the answers are. */
async function flood(): Promise<void> {
  const [given] = (await once(process, 'message')) as [Flood];
  const { url, requestsPerSecond } = given;
  const request = requestOf(given);
  await requestPaced({
    ...{ url: new URL(url), requestsPerSecond, seconds: 3_600, connections: 64 },
    requestAt: () => request,
  });
}

async function measureAll(): Promise<BenchRow[]> {
  await using broker = await startTestBroker();
  const env = { KAFKA_BROKERS: broker.brokers, LOG_LEVEL: 'warn', API_KEYS: 'required' };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'bench', createLog('bench', 'error'));
  await ensureTopics(kafka, names(''), 4);
  const quota = Number(options.quota);
  const [floods, other] = [
    await madeKey(kafka, { clicks_per_second: quota, burst_seconds: 1 }),
    await madeKey(kafka, { clicks_per_second: 0 }),
  ];
  await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', {
    ...env,
    INGEST_RATE_LIMIT_PER_MINUTE: '0',
  });
  await ingest.ready();
  const url = `${ingest.url}/v1/clicks`;
  const batch = Number(options.batch);
  const phases = { nothing: 0, quota: quota / batch, 'ten times its quota': (10 * quota) / batch } as const;
  const measured = new Map<string, number[]>(Object.keys(phases).map(name => [name, []]));
  await measure(url, other, 3);
  let [refused, asked] = [0, 0];
  for (let run = 0; run < Number(options.runs); run++) {
    const order = Object.entries(phases);
    // By turns also which comes first.
    if (run % 2 === 1) order.reverse();
    for (const [name, requestsPerSecond] of order) {
      const before = await refusedBy(ingest);
      const flooding =
        requestsPerSecond > 0 ? start({ url, key: floods, clicks: batch, requestsPerSecond }) : undefined;
      const p99 = await measure(url, other, Number(options.seconds));
      flooding?.kill('SIGKILL');
      const refusals = (await refusedBy(ingest)) - before;
      if (requestsPerSecond === phases['ten times its quota']) {
        refused += refusals;
        asked += requestsPerSecond * Number(options.seconds);
      }
      measured.get(name)!.push(p99);
      console.log(`it posts ${name}: p99 of others ${p99.toFixed(2)} ms, ${refusals} refused`);
    }
  }
  const middle = (name: keyof typeof phases) => median(measured.get(name)!);
  const ratios = measured.get('ten times its quota')!.map((p99, i) => p99 / measured.get('quota')![i]!);
  if (refused < 0.5 * asked) throw new Error(`only ${refused} of about ${asked} posts were refused: that was no flood`);
  return [
    rowOf('others beside a key at ten times its quota, p99', middle('ten times its quota'), 'ms', {
      name: 'beside it at its quota',
      value: middle('quota'),
    }),
    rowOf('others beside a key at ten times its quota, p99', middle('ten times its quota'), 'ms', {
      name: 'beside nothing',
      value: middle('nothing'),
    }),
    rowOf('the same, median of the ratios of pairs', median(ratios), 'times', { name: 'bound', value: 1.2 }),
  ];
}

function start(given: Flood): ChildProcess {
  const child = fork(import.meta.filename, ['--flood'], { stdio: 'inherit' });
  child.send(given);
  return child;
}

async function measure(url: string, key: string, seconds: number): Promise<number> {
  const request = requestOf({ url, key, clicks: 1 });
  const paced = { url: new URL(url), requestsPerSecond: Number(options.rate), seconds, connections: 32 };
  const { p99 } = await requestPaced({ ...paced, requestAt: () => request, status: 202 });
  return p99;
}

function requestOf({ url, key, clicks }: Post): Buffer {
  const { pathname, host } = new URL(url);
  const body = '{"ad_id":"ad-1","country":"KR","user_id":"user-12345678"}\n'.repeat(clicks);
  const head = [
    `POST ${pathname} HTTP/1.1`,
    `host: ${host}`,
    'content-type: application/x-ndjson',
    `authorization: Bearer ${key}`,
    `content-length: ${Buffer.byteLength(body)}`,
  ];
  return Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`);
}

async function refusedBy(ingest: Service): Promise<number> {
  const metrics = await (await fetch(`${ingest.url}/metrics`)).text();
  return Number(/^adclicks_refused_requests_total\{reason="key_rate_limited"\} (\d+)$/m.exec(metrics)?.[1]);
}

async function madeKey(kafka: KafkaClient, quotas: OwnQuotas): Promise<string> {
  const { text, change } = createdKey(
    { label: 'bench', scopes: ['ingest'], quotas },
    { by: operatorAtBroker },
    Date.now(),
  );
  await using keyLog = openKeyLog(kafka, names(''));
  await keyLog.append(change);
  return text;
}
