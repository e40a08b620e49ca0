/**
 * How long the redirect of a click link takes at 5,000 loads a second, each of another link: while Kafka is there, while
 * the broker stands still, so that every click goes to the disk, and while it is back and takes these clicks as well.
 * `npm run bench:links -- --help`. Afterwards the topic must hold the click of each link.
 *
 * The compiler of the broker's Java works for the first forty seconds of such a load, and takes a tenth of the machine:
 * what is measured begins after that, and the times before it are shown as well.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { linkOf, secretOf } from '../../ingest/links/link-text.ts';
import { startTestBroker } from '../support/broker.ts';
import { readCommitted } from '../support/read-committed.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { type PacedTimes, requestPaced } from './paced-posts.ts';
import { costOf } from './process-cost.ts';

const { values: options } = parseArgs({
  options: {
    'warm-up': { type: 'string', default: '40' },
    seconds: { type: 'string', default: '30' },
    runs: { type: 'string', default: '3' },
    rate: { type: 'string', default: '5000' },
    connections: { type: 'string', default: '64' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
});
if (options.help) {
  console.log(
    'npm run bench:links -- [--warm-up 40] [--seconds 30] [--runs 3] [--rate 5000] [--connections 64] [--json FILE]',
  );
  process.exit(0);
}
const secret = secretOf('a'.repeat(43));
const warmUpSeconds = Number(options['warm-up']);
const [seconds, runs] = [Number(options.seconds), Number(options.runs)];
const [rate, connections] = [Number(options.rate), Number(options.connections)];
const scratch = mkdtempSync(join(tmpdir(), 'bench-links-'));
try {
  tell(await measureAll(), options.json);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

async function measureAll(): Promise<BenchRow[]> {
  await using broker = await startTestBroker();
  if (broker.pid === 0)
    throw new Error('the broker is no process of this machine, so it cannot be made to stand still');
  const keys = join(scratch, 'keys.json');
  writeFileSync(keys, JSON.stringify({ keys: [{ id: 'k', secret: 'a'.repeat(43) }] }));
  const spool = join(scratch, 'spool');
  const env = {
    ...{ KAFKA_BROKERS: broker.brokers, LOG_LEVEL: 'warn', INGEST_RATE_LIMIT_PER_MINUTE: '1000000000' },
    ...{ INGEST_LINK_KEYS_FILE: keys, INGEST_SPOOL_DIR: spool },
  };
  const kafka = createKafka(loadConfig(KafkaConfig, env), 'bench', createLog('bench', 'error'));
  await ensureTopics(kafka, names(''), 4);
  await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
  await ingest.ready();
  const warmUp = await load('warm-up', ingest, warmUpSeconds);
  const there = await loadInTurn('there', ingest);
  process.kill(broker.pid, 'SIGSTOP');
  let away: Loaded[];
  try {
    away = await loadInTurn('away', ingest);
  } finally {
    process.kill(broker.pid, 'SIGCONT');
  }
  const back = await load('back', ingest, seconds);
  await eventually('the spool is empty', () => !readdirSync(spool).some(name => name.endsWith('.spool')));
  await assertAllIn(broker.brokers, [warmUp, ...there, ...away, back]);
  const at = `click links at ${rate}/s`;
  return [
    rowOf(`${at}, while the broker's Java still compiles, p99`, warmUp.p99, 'ms'),
    ...rowsOf(at, there),
    ...rowsOf(`${at}, Kafka stands still`, away),
    ...rowsOf(`${at}, Kafka is back and takes the spool too`, [back]),
  ];
}

async function loadInTurn(adId: string, ingest: Service): Promise<Loaded[]> {
  const loaded: Loaded[] = [];
  for (let run = 1; run <= runs; run++) loaded.push(await load(`${adId}-${run}`, ingest, seconds));
  return loaded;
}

function rowsOf(what: string, loaded: readonly Loaded[]): BenchRow[] {
  return [
    rowOf(`${what}, p50`, median(loaded.map(({ p50 }) => p50)), 'ms'),
    rowOf(`${what}, p99`, median(loaded.map(({ p99 }) => p99)), 'ms'),
    rowOf(`${what}, CPU of ingest`, median(loaded.map(run => run.cpuSecondsPerMillion)), 'CPU s per million'),
  ];
}

interface Loaded extends PacedTimes {
  readonly adId: string;
  readonly cpuSecondsPerMillion: number;
}

/** Its links are signed before, so that the load takes little. */
async function load(adId: string, ingest: Service, forSeconds: number): Promise<Loaded> {
  const url = new URL(ingest.url);
  const madeAt = Math.floor(Date.now() / 1_000);
  const requests = Array.from({ length: Math.round(rate * forSeconds) }, (_, i) => {
    const path = linkOf(secret, {
      ...{ adId, eventId: `e${i}`, keyId: 'k', destination: `https://shop.example/shoes?visit=${i}` },
      ...{ madeAt: `${madeAt}`, expiresAt: `${madeAt + 3_600}` },
    });
    return Buffer.from(`GET ${path} HTTP/1.1\r\nhost: ${url.host}\r\n\r\n`);
  });
  const before = costOf(ingest.pid);
  const times = await requestPaced({
    ...{ url, connections, seconds: forSeconds, requestsPerSecond: rate, status: 302 },
    requestAt: n => requests[n]!,
  });
  const cpuSeconds = costOf(ingest.pid).cpuSeconds - before.cpuSeconds;
  const loaded = { adId, ...times, cpuSecondsPerMillion: (cpuSeconds * 1e6) / times.answered };
  console.log(loaded);
  return loaded;
}

async function assertAllIn(brokers: string, loaded: readonly Loaded[]): Promise<void> {
  const events = new Map<string, Set<string>>();
  for (const { line } of await readCommitted(brokers, 'clicks')) {
    if (line === '') continue;
    const { ad_id: adId, event_id: eventId } = JSON.parse(line);
    events.set(adId, (events.get(adId) ?? new Set()).add(eventId));
  }
  for (const { adId, answered } of loaded) {
    const found = events.get(adId)?.size ?? 0;
    if (found !== answered)
      throw new Error(`${answered} links of ${adId} were redirected, and ${found} clicks are in the log`);
  }
}
