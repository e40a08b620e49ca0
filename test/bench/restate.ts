/**
 * What a restatement costs live counting: `node test/bench/restate.ts [--rate 5000] [--late 100000] [--calm 30]`.
 * Live clicks come at a steady rate; after a calm time clicks of three days ago are posted beside them. Compared are the
 * clicks counted per second and the time from POST to visible count, before, and from the first late click until the
 * last is restated. The late counts are checked.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { clickStream } from '../support/click-stream.ts';
import { startTestPipeline } from '../support/pipeline.ts';
import { scriptOptions } from '../support/script-options.ts';
import { percentile } from './bench-row.ts';

const { values: options } = scriptOptions(import.meta.filename, {
  options: {
    rate: { type: 'string', default: '5000' },
    late: { type: 'string', default: '100000' },
    calm: { type: 'string', default: '30' },
  },
});
const [rate, late, calm] = [Number(options.rate), Number(options.late), Number(options.calm)];
const minuteMs = 60_000;
const tickMs = 50;
const longestMs = 300_000;

await using pipeline = await startTestPipeline({ COMMIT_INTERVAL_MS: '500', LOG_LEVEL: 'warn' });
let isOver = false;
let latencies: number[] = [];
const live = goLive();
await sleep(5_000);

const before = await measured(() => sleep(calm * 1_000));
const during = await measured(restateLate);
isOver = true;
await live;
console.log(
  `before: ${shown(before)}\nduring: ${shown(during)}, ${late} late clicks restated in ${during.seconds.toFixed(1)} s`,
);
console.log(`ratio of live clicks counted per second: ${(during.perSecond / before.perSecond).toFixed(3)}`);

interface Phase {
  readonly seconds: number;
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
}

async function measured(work: () => Promise<void>): Promise<Phase> {
  latencies = [];
  const [countedAtStart, startedAt] = [await counted(), performance.now()];
  await work();
  const seconds = (performance.now() - startedAt) / 1_000;
  const perSecond = ((await counted()) - countedAtStart) / seconds;
  latencies.sort((a, b) => a - b);
  return { seconds, perSecond, p50: percentile(latencies, 0.5), p99: percentile(latencies, 0.99) };
}

/** Late clicks are quarantined first, so these are live ones. */
async function counted(): Promise<number> {
  return (await pipeline.get<{ conservation: { counted: number } }>('/v1/status')).conservation.counted;
}

async function goLive(): Promise<void> {
  const stream = clickStream({ ads: 10_000 });
  const startedAt = performance.now();
  const posts: Promise<unknown>[] = [];
  for (let tick = 0; !isOver; tick++) {
    const clicks = stream.take(Math.round((rate * tickMs) / 1_000)).map(c => {
      return { ad_id: c.adId, event_id: c.eventId, clicked_at: c.clickedAt, country: c.country };
    });
    posts.push(pipeline.post(clicks));
    if (tick % 5 === 0) posts.push(probe(`probe-${tick}`));
    await sleep(Math.max(0, startedAt + (tick + 1) * tickMs - performance.now()));
  }
  await Promise.all(posts);
}

async function probe(adId: string): Promise<void> {
  const at = Date.now();
  const from = at - (at % minuteMs);
  const begin = performance.now();
  await pipeline.post({ ad_id: adId, event_id: adId, clicked_at: at });
  const isShown = async () =>
    (await pipeline.get<{ count: number }>(`/v1/ads/${adId}/aggregated_count?from=${from}&to=${from + minuteMs}`))
      .count === 1;
  while (!(await isShown())) await sleep(25);
  latencies.push(performance.now() - begin);
}

async function restateLate(): Promise<void> {
  const from = Date.now() - (Date.now() % minuteMs) - 3 * 86_400_000;
  for (let i = 0; i < late; i += 1_000) {
    const clicks = Array.from({ length: Math.min(1_000, late - i) }, (_, k) => {
      return {
        ad_id: `late-${(i + k) % 500}`,
        event_id: `late-${i + k}`,
        clicked_at: from + ((i + k) % 3_600) * 1_000,
      };
    });
    const { status } = await pipeline.post(clicks);
    if (status !== 202) throw new Error(`late clicks: ${status}`);
  }
  const deadline = performance.now() + longestMs;
  const [first, to] = [`/v1/ads/late-0/aggregated_count`, from + 60 * minuteMs];
  const expected = Math.ceil(late / 500);
  for (;;) {
    const { count } = await pipeline.get<{ count: number }>(`${first}?from=${from}&to=${to}`);
    const { replays } = await pipeline.get<{ replays: { state: string }[] }>('/v1/replays');
    if (count === expected && replays.every(({ state }) => state === 'done')) return;
    if (performance.now() > deadline) throw new Error(`restated ${count} of ${expected} within ${longestMs / 1_000} s`);
    await sleep(250);
  }
}

function shown({ perSecond, p50, p99 }: Phase): string {
  return `${Math.round(perSecond)} live clicks counted per second, POST to visible p50 ${p50.toFixed(0)} ms, p99 ${p99.toFixed(0)} ms`;
}
