/** Jobs through all processes while clicks keep coming: each gets its turn, though the log never stands still. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;

let pipeline: TestPipeline;
let isOver = false;
let posted = 0;
let traffic: Promise<void>;

beforeAll(async () => {
  // Raw is always some seconds behind the end of the log, as it is under load.
  const lag = { SINK_RAW_INTERVAL_MS: '3000' };
  pipeline = await startTestPipeline({ OUT_OF_ORDERNESS_MS: '2000', ALLOWED_LATENESS_MS: '3000', ...lag });
  traffic = post();
  await eventually('something is final', async () => (await pipeline.get('/v1/status'))['final_until'] !== null);
});
afterAll(async () => {
  isOver = true;
  await traffic;
  await pipeline?.[Symbol.asyncDispose]();
});

async function post(): Promise<void> {
  while (!isOver) {
    const clicks = Array.from({ length: 50 }, (_, i) => ({
      ...{ ad_id: `ad_${i}`, event_id: `t-${posted + i}`, clicked_at: Date.now() },
    }));
    expect((await pipeline.post(clicks)).status).toBe(202);
    posted += clicks.length;
    await sleep(25);
  }
}

async function startReplay(): Promise<string> {
  const to = Math.floor(Date.now() / minuteMs) * minuteMs - 10 * minuteMs;
  const response = await fetch(`${pipeline.queryApi.url}/v1/replays`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ from: to - 5 * minuteMs, to }),
  });
  expect(response.status).toBe(202);
  return String(((await response.json()) as { id: string }).id);
}

it.each([2, 10])('%i replays at a time are all done while the log keeps growing', async n => {
  const ids = await Promise.all(Array.from({ length: n }, startReplay));
  const before = posted;
  await eventually('all are done', async () => {
    const states = await Promise.all(ids.map(async id => (await pipeline.get(`/v1/replays/${id}`))['state']));
    return states.every(state => state === 'done');
  });
  // There was traffic all the while, and there is still.
  expect(posted).toBeGreaterThan(before);
  const after = posted;
  await eventually('clicks keep coming', () => posted > after);
});
