/**
 * Posts clicks in live time to a running pipeline and compares every count with the truth:
 *
 *     node test/acceptance/live-load.ts load --clicks 200000 --ads 10000 --seconds 100 --truth truth.json [--kill PID]
 *     node test/acceptance/live-load.ts verify --truth truth.json [--final]
 *
 * 4 % of the clicks are copies and 5 % out of order within 10 s; with --kill the process is SIGKILLed half-way.
 * `verify` asks for every (ad, minute) and for each minute's top 1,000, and exits with 1 if any number differs.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { clickStream } from '../support/click-stream.ts';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    ingest: { type: 'string', default: 'http://127.0.0.1:8080' },
    query: { type: 'string', default: 'http://127.0.0.1:8081' },
    clicks: { type: 'string', default: '200000' },
    ads: { type: 'string', default: '10000' },
    seconds: { type: 'string', default: '100' },
    seed: { type: 'string', default: String(Date.now() % 1e9) },
    truth: { type: 'string', default: 'truth.json' },
    kill: { type: 'string' },
    final: { type: 'boolean', default: false },
  },
});

if (positionals[0] === 'load') await load();
else if (positionals[0] === 'verify') await verify();
else throw new Error('load or verify?');

async function load(): Promise<void> {
  const [clicks, seconds] = [Number(options.clicks), Number(options.seconds)];
  const stream = clickStream({ ads: Number(options.ads), seed: Number(options.seed) });
  const perTick = Math.ceil(clicks / seconds / 20);
  const startedAt = performance.now();
  const posts: Promise<void>[] = [];
  let killed = options.kill === undefined;
  for (let sent = 0, tick = 0; sent < clicks; tick++) {
    const taken = stream.take(Math.min(perTick, clicks - sent));
    sent += taken.length;
    posts.push(
      post(taken.map(c => ({ ad_id: c.adId, event_id: c.eventId, clicked_at: c.clickedAt, country: c.country }))),
    );
    if (!killed && sent > clicks / 2) {
      killed = true;
      process.kill(Number(options.kill), 'SIGKILL');
      console.log(`killed ${options.kill} after ${sent} clicks`);
    }
    await sleep(Math.max(0, startedAt + (tick + 1) * 50 - performance.now()));
  }
  await Promise.all(posts);
  writeFileSync(options.truth, JSON.stringify({ truth: [...stream.truth], distinct: stream.distinct }));
  console.log(
    `${clicks} clicks posted in ${((performance.now() - startedAt) / 1000).toFixed(1)} s, ${stream.distinct} distinct`,
  );
}

/** Until it is accepted, with the same ids. */
async function post(body: readonly object[]): Promise<void> {
  for (let attempt = 0; ; attempt++) {
    const request = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) };
    const response = await fetch(`${options.ingest}/v1/clicks`, request).catch(() => undefined);
    const answer = response && (await response.json().catch(() => undefined));
    if (response?.status === 202 && (answer as { accepted: number }).accepted === body.length) return;
    if (response && response.status < 500) throw new Error(`refused: ${JSON.stringify(answer)}`);
    if (attempt === 100) throw new Error('not accepted in 100 attempts');
    await sleep(250);
  }
}

async function verify(): Promise<void> {
  const { truth, distinct } = JSON.parse(readFileSync(options.truth, 'utf8')) as {
    truth: [string, number][];
    distinct: number;
  };
  const last = Math.max(...truth.map(([key]) => Number(key.split('|')[1]))) + 60;
  if (options.final) await untilFinal(last);
  let differing = 0;
  const states = new Map<string, number>();
  const cells = [...truth];
  const check = async () => {
    for (let cell = cells.pop(); cell !== undefined; cell = cells.pop()) {
      const [[ad, minute], expected] = [cell[0].split('|'), cell[1]];
      const from = Number(minute) * 1000;
      const answer = await get(`/v1/ads/${ad}/aggregated_count?from=${from}&to=${from + 60_000}`);
      states.set(String(answer['state']), (states.get(String(answer['state'])) ?? 0) + 1);
      if (answer['count'] === expected) continue;
      differing++;
      if (differing < 10) console.log(`differs: ${cell[0]} expected ${expected}`, answer);
    }
  };
  await Promise.all(Array.from({ length: 16 }, check));
  for (const minute of new Set(truth.map(([key]) => Number(key.split('|')[1]))))
    differing += await compareTop(truth, minute);
  console.log(
    `${truth.length} cells, ${distinct} distinct clicks, ${differing} differ; states ${JSON.stringify([...states])}`,
  );
  process.exitCode = differing === 0 ? 0 : 1;
}

async function compareTop(truth: readonly [string, number][], minute: number): Promise<number> {
  const own = truth
    .filter(([key]) => key.endsWith(`|${minute}`))
    .map(([key, count]) => ({ ad_id: key.split('|')[0] ?? '', count }));
  const expected = own.sort((a, b) => b.count - a.count || (a.ad_id < b.ad_id ? -1 : 1)).slice(0, 1_000);
  const { ads } = await get(`/v1/ads/popular_ads?count=1000&from=${minute * 1000}&to=${minute * 1000 + 60_000}`);
  const given = (ads as { ad_id: string; count: number }[]).map(({ ad_id, count }) => ({ ad_id, count }));
  const same = JSON.stringify(given) === JSON.stringify(expected.map(({ ad_id, count }) => ({ ad_id, count })));
  if (!same) console.log(`top list of ${new Date(minute * 1000).toISOString()} differs`);
  return same ? 0 : 1;
}

async function untilFinal(minuteEnd: number): Promise<void> {
  for (;;) {
    const { final_until: until } = await get('/v1/status');
    if (typeof until === 'string' && Date.parse(until) >= minuteEnd * 1000) return;
    await sleep(1_000);
  }
}

async function get(path: string): Promise<Record<string, unknown>> {
  for (let attempt = 0; ; attempt++) {
    const response = await fetch(`${options.query}${path}`).catch(() => undefined);
    if (response?.ok) return (await response.json()) as Record<string, unknown>;
    if (attempt === 50) throw new Error(`${path}: ${response?.status} ${await response?.text()}`);
    await sleep(200);
  }
}
