/**
 * What others notice of bodies that are made to keep ingest busy: the p99 of evenly paced single posts, without and
 * with clients who post nothing but such bodies, each as soon as the one before is answered. In turns, in one run:
 * `npm run bench:bombs -- [--seconds 15] [--rate 200] [--runs 3] [--json FILE]`.
 */
import { KafkaConfig, loadConfig } from '../../infra/config.ts';
import { ensureTopics } from '../../infra/kafka/admin.ts';
import { createKafka } from '../../infra/kafka/client.ts';
import { createLog } from '../../infra/log.ts';
import { names } from '../../infra/topics.ts';
import { bombs, postBomb } from '../support/bombs.ts';
import { startTestBroker } from '../support/broker.ts';
import { scriptOptions } from '../support/script-options.ts';
import { startService } from '../support/service.ts';
import { type BenchRow, median, rowOf, tell } from './bench-row.ts';
import { postPaced } from './paced-posts.ts';
import { costOf } from './process-cost.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    seconds: { type: 'string', default: '15' },
    rate: { type: 'string', default: '200' },
    runs: { type: 'string', default: '3' },
    json: { type: 'string' },
  },
});
tell(await measureAll(), options.json);

async function measureAll(): Promise<BenchRow[]> {
  await using broker = await startTestBroker();
  // What is measured is what bodies cost, not that their clients are stopped at some time.
  const env = { KAFKA_BROKERS: broker.brokers, LOG_LEVEL: 'warn', INGEST_RATE_LIMIT_PER_MINUTE: '0' };
  await ensureTopics(createKafka(loadConfig(KafkaConfig, env), 'bench', createLog('bench', 'error')), names(''), 4);
  await using ingest = await startService('ingest/main.ts', 'INGEST_PORT', env);
  await ingest.ready();
  const paced = () =>
    postPaced({
      url: new URL('/v1/clicks', ingest.url),
      body: JSON.stringify({ ad_id: 'ad-good' }),
      requestsPerSecond: Number(options.rate),
      seconds: Number(options.seconds),
      connections: 32,
    });
  await paced();
  const [alone, beside]: number[][] = [[], []];
  let exploded = 0;
  for (let run = 0; run < Number(options.runs); run++) {
    const without = await paced();
    await using bombers = startBombers(ingest.url);
    const withBombs = await paced();
    alone!.push(without.p99);
    beside!.push(withBombs.p99);
    exploded += bombers.count();
    console.log(
      `p50 ${without.p50.toFixed(1)} ms, p99 ${without.p99.toFixed(1)} ms; ` +
        `beside ${bombers.count()} bombs p50 ${withBombs.p50.toFixed(1)} ms, p99 ${withBombs.p99.toFixed(1)} ms`,
    );
  }
  return [
    rowOf('ingest, single posts, p99 beside bombs', median(beside!), 'ms', { name: 'without', value: median(alone!) }),
    rowOf('ingest, bombs refused', exploded / (Number(options.runs) * Number(options.seconds)), 'per second'),
    rowOf('ingest, peak memory with bombs', costOf(ingest.pid).peakMb, 'MB'),
  ];
}

interface Bombers extends AsyncDisposable {
  readonly count: () => number;
}

/** Three clients, each with one body at a time, of every kind in turn. Done when each has its last answer. */
function startBombers(url: string): Bombers {
  let isOver = false;
  let refused = 0;
  const bomber = async (from: string, first: number) => {
    for (let i = first; !isOver; i++) {
      const bomb = bombs[i % bombs.length]!;
      const status = await postBomb(url, bomb, from);
      if (status === undefined || status < 400 || status >= 500) throw new Error(`${bomb.kind}: ${status}`);
      refused++;
    }
  };
  const bombers = Array.from({ length: 3 }, (_, i) => bomber(`127.0.0.${i + 2}`, i * 17));
  return {
    count: () => refused,
    async [Symbol.asyncDispose]() {
      isOver = true;
      await Promise.all(bombers);
    },
  };
}
