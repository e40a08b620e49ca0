/**
 * What listeners of /v1/live cost, and how old an event is when it arrives:
 * `npm run bench:live -- [--clients 1000] [--rate 1000] [--seconds 30] [--json FILE]`.
 * The store's CPU with none and with one is measured in the same run: the first is the pipeline's, the second the
 * reading's, which is the same for one listener or a thousand. What is left is shared out among the events delivered.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { clickStream } from '../support/click-stream.ts';
import { type LiveClient, listenLive } from '../support/live-client.ts';
import { startTestPipeline } from '../support/pipeline.ts';
import { scriptOptions } from '../support/script-options.ts';
import { percentile, rowOf, tell } from './bench-row.ts';
import { costOf } from './process-cost.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    clients: { type: 'string', default: '1000' },
    rate: { type: 'string', default: '1000' },
    seconds: { type: 'string', default: '30' },
    json: { type: 'string' },
  },
});
const [clients, rate, seconds] = [Number(options.clients), Number(options.rate), Number(options.seconds)];

await using pipeline = await startTestPipeline({
  ...{ QUERY_API_LIVE_MAX_CLIENTS: String(clients), QUERY_API_LIVE_MAX_PER_CLIENT: String(clients) },
  LOG_LEVEL: 'warn',
});
const load = startLoad();
/** ms from when the store began to be read for an event to when a client has it whole. */
const delaysMs: number[] = [];
let deliveredBytes = 0;
const listeners: LiveClient[] = [];

const none = await cpuPerSecond();
await join(1);
const one = await cpuPerSecond();
await join(clients);
const all = await cpuPerSecond();
const delivered = delaysMs.length;
for (const listener of listeners) listener.close();
await load.stop();

const expected = clients * seconds;
const sorted = delaysMs.toSorted((a, b) => a - b);
const shared = ((all - one) * seconds) / delivered;
tell(
  [
    rowOf(`live, events delivered to ${clients} clients in ${seconds} s`, delivered, 'events', {
      name: 'one a second for each',
      value: expected,
    }),
    rowOf('live, bytes per event', deliveredBytes / delivered, 'bytes'),
    rowOf('live, CPU per client and event', shared * 1e6, 'µs'),
    rowOf('live, store CPU, nobody listens', none, 'cores'),
    rowOf('live, store CPU, one listens', one, 'cores'),
    rowOf(`live, store CPU, ${clients} listen`, all, 'cores', { name: 'one listens', value: one }),
    rowOf('live, event delay, p50', percentile(sorted, 0.5), 'ms'),
    rowOf('live, event delay, p99', percentile(sorted, 0.99), 'ms'),
    rowOf('live, event delay, longest', sorted.at(-1) ?? Number.NaN, 'ms'),
  ],
  options.json,
);

/** Of the store, over so many seconds, after a moment to settle. */
async function cpuPerSecond(): Promise<number> {
  await sleep(3_000);
  delaysMs.length = 0;
  deliveredBytes = 0;
  const [before, startedAt] = [costOf(pipeline.queryApi.pid).cpuSeconds, performance.now()];
  await sleep(seconds * 1_000);
  return ((costOf(pipeline.queryApi.pid).cpuSeconds - before) * 1_000) / (performance.now() - startedAt);
}

/** Until so many listen; a few at a time, as connections come in life. */
async function join(count: number): Promise<void> {
  while (listeners.length < count) {
    const some = Array.from({ length: Math.min(50, count - listeners.length) }, () =>
      listenLive(pipeline.queryApi.url, { onEvent: hear }),
    );
    for (const { status } of some) if ((await status) !== 200) throw new Error(`not let in: ${await status}`);
    listeners.push(...some);
  }
}

/** `at` stands first in the data: to parse a thousand copies would measure this process. */
function hear(data: string): void {
  delaysMs.push(Date.now() - Date.parse(data.slice(7, 31)));
  deliveredBytes += data.length;
}

function startLoad() {
  const stream = clickStream({ ads: 10_000 });
  const stop = new AbortController();
  const running = (async () => {
    while (!stop.signal.aborted) {
      const posted = stream
        .take(Math.round(rate / 10))
        .map(c => ({ ad_id: c.adId, event_id: c.eventId, clicked_at: c.clickedAt, country: c.country }));
      await pipeline.post(posted);
      await sleep(100);
    }
  })();
  return {
    stop: () => {
      stop.abort();
      return running;
    },
  };
}
