/**
 * Seconds from a POST to its count being answered: `node test/bench/visible.ts [--rate 1000] [--seconds 30]`.
 * Twenty times a second a click for an ad of its own goes in among the others, and is asked for until it shows.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { clickStream } from '../support/click-stream.ts';
import { startTestPipeline } from '../support/pipeline.ts';
import { scriptOptions } from '../support/script-options.ts';
import { percentile } from './bench-row.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: { rate: { type: 'string', default: '1000' }, seconds: { type: 'string', default: '30' } },
});
const [rate, seconds] = [Number(options.rate), Number(options.seconds)];

await using pipeline = await startTestPipeline({ COMMIT_INTERVAL_MS: '500', LOG_LEVEL: 'warn' });
const stream = clickStream({ ads: 10_000 });
const tickMs = 50;
const latencies: number[] = [];
const probes: Promise<void>[] = [];
const startedAt = performance.now();
for (let tick = 0; tick < (seconds * 1_000) / tickMs; tick++) {
  const clicks = stream.take(Math.round((rate * tickMs) / 1_000));
  const background = clicks.map(c => ({
    ad_id: c.adId,
    event_id: c.eventId,
    clicked_at: c.clickedAt,
    country: c.country,
  }));
  probes.push(
    pipeline.post(background).then(() => undefined),
    probe(`probe-${tick}`),
  );
  await sleep(Math.max(0, startedAt + (tick + 1) * tickMs - performance.now()));
}
await Promise.all(probes);
latencies.sort((a, b) => a - b);
console.log(
  `${rate} clicks/s for ${seconds} s, POST to visible count: p50 ${percentile(latencies, 0.5).toFixed(0)} ms, ` +
    `p99 ${percentile(latencies, 0.99).toFixed(0)} ms, max ${latencies.at(-1)?.toFixed(0)} ms over ${latencies.length} probes`,
);

async function probe(adId: string): Promise<void> {
  const at = Date.now();
  const from = at - (at % 60_000);
  const begin = performance.now();
  await pipeline.post({ ad_id: adId, event_id: adId, clicked_at: at });
  for (;;) {
    const { count } = await pipeline.get<{ count: number }>(
      `/v1/ads/${adId}/aggregated_count?from=${from}&to=${from + 60_000}`,
    );
    if (count === 1) break;
    await sleep(25);
  }
  latencies.push(performance.now() - begin);
}
