/** Late clicks through all processes: posted days late, refused by the stream, and restated exactly by themselves. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const minuteOf = (time: number) => time - (time % minuteMs);
const threeDaysMs = 3 * 86_400_000;

interface Answer {
  readonly count: number;
  readonly duplicates: number;
  readonly late: number;
  readonly state: string;
}

interface Job {
  readonly id: string;
  readonly kind: string;
  readonly state: string;
  readonly minutes_done: number;
  readonly diff: { readonly cells: number };
}

let pipeline: TestPipeline;

beforeAll(async () => {
  pipeline = await startTestPipeline({ OUT_OF_ORDERNESS_MS: '2000', ALLOWED_LATENESS_MS: '3000' });
});
afterAll(() => pipeline?.[Symbol.asyncDispose]());

const countOf = (ad: string, from: number, to: number, more = '') =>
  pipeline.get<Answer>(`/v1/ads/${ad}/aggregated_count?from=${from}&to=${to}${more}`);

async function startReplay(body: object): Promise<Job> {
  const response = await fetch(`${pipeline.queryApi.url}/v1/replays`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const answer = (await response.json()) as Job;
  if (response.status !== 202) throw new Error(`${response.status} ${JSON.stringify(answer)}`);
  return answer;
}

const jobEnded = (id: string) =>
  eventually(`job ${id}`, async () => {
    const job = await pipeline.get<Job>(`/v1/replays/${id}`).catch(() => undefined);
    return job !== undefined && !['queued', 'running'].includes(job.state) && job;
  });

interface Posted {
  readonly ad_id: string;
  readonly event_id: string;
  readonly clicked_at: number;
  readonly country: string;
}

/** Distinct ids by ad and minute, counted here. */
function truthOf(clicks: readonly Posted[]): Map<string, number> {
  const ids = new Map<string, Set<string>>();
  for (const { ad_id, clicked_at, event_id } of clicks) {
    const key = `${ad_id}|${minuteOf(clicked_at)}`;
    ids.set(key, (ids.get(key) ?? new Set()).add(event_id));
  }
  return new Map([...ids].map(([key, set]) => [key, set.size]));
}

async function post(clicks: readonly Posted[]): Promise<void> {
  for (let i = 0; i < clicks.length; i += 5_000) {
    const { status, body } = await pipeline.post(clicks.slice(i, i + 5_000));
    expect([status, body['rejected']]).toEqual([202, []]);
  }
}

/** Every (ad, minute) of the truth as it is answered. */
async function answered(truth: ReadonlyMap<string, number>, from: number, to: number): Promise<Map<string, number>> {
  const ads = new Set([...truth.keys()].map(key => key.split('|')[0] ?? ''));
  const found = new Map<string, number>();
  for (const ad of ads) {
    const { points } = await pipeline.get<{ points: { start: string; count: number; state: string }[] }>(
      `/v1/ads/${ad}/series?from=${from}&to=${to}`,
    );
    for (const { start, count } of points) if (count > 0) found.set(`${ad}|${Date.parse(start)}`, count);
  }
  return found;
}

/** Of all ads in one answer: to ask for each of them again and again would keep busy what restates. */
async function totalOf(from: number, to: number): Promise<number> {
  const { series } = await pipeline.get<{ series: { count: number }[] }>(`/v1/ads/series?from=${from}&to=${to}`);
  return series.reduce((sum, { count }) => sum + count, 0);
}

describe('clicks posted three days late', () => {
  const from = minuteOf(Date.now() - threeDaysMs);
  const to = from + 10 * minuteMs;
  const clicks = Array.from({ length: 20_000 }, (_, i) => ({
    ad_id: `late_${i % 50}`,
    event_id: `l-${i % 19_000}`,
    clicked_at: from + ((i % 19_000) % 600) * 1_000,
    country: i % 2 ? 'KR' : 'DE',
  })).map((click, i, all) => (i < 19_000 ? click : (all[i - 19_000] ?? click)));
  const truth = truthOf(clicks);

  it('come out exact within two minutes, and say that they were restated', async () => {
    // The log has a present: what is days old is too late.
    await pipeline.post({ ad_id: 'now', event_id: 'n-1', clicked_at: Date.now() });
    await eventually('a watermark', async () => {
      const { watermark } = await pipeline.get<{ watermark: string | null }>('/v1/status');
      return watermark !== null && Date.parse(watermark) > to;
    });
    await post(clicks);
    const postedAt = Date.now();
    await eventually('restated', async () => {
      const { replays } = await pipeline.get<{ replays: Job[] }>('/v1/replays');
      return (await totalOf(from, to)) === 19_000 && replays.every(job => job.state === 'done');
    });
    console.log(`restated ${((Date.now() - postedAt) / 1_000).toFixed(0)} s after the last late click`);
    expect(Date.now() - postedAt).toBeLessThan(120_000);
    expect(await answered(truth, from, to)).toEqual(truth);
    const one = await countOf('late_7', from, to);
    expect(one).toMatchObject({ state: 'restated', late: one.count });
    expect(await countOf('late_7', from, to, `&as_of=${postedAt - 60_000}`)).toMatchObject({
      count: 0,
      state: 'final',
    });
  });

  it('can be told where they went', async () => {
    const { copies } = await pipeline.get<{ copies: object[] }>('/v1/clicks/l-0');
    expect(copies).toMatchObject([
      { ad_id: 'late_0', outcome: 'restated', reason: 'too_late', state: 'restated' },
      { outcome: 'duplicate', reason: 'too_late' },
    ]);
  });

  it('leave nothing for a replay to change, nor for a reconciliation to find', async () => {
    const replay = await jobEnded((await startReplay({ from, to, apply: true })).id);
    expect(replay).toMatchObject({ state: 'done', diff: { cells: 0 } });
    const response = await fetch(`${pipeline.queryApi.url}/v1/reconciliations`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ from, to }),
    });
    const { id } = (await response.json()) as Job;
    const found = await eventually('reconciled', async () => {
      const job = await pipeline.get<{ state: string; result: object }>(`/v1/reconciliations/${id}`);
      return job.state === 'done' && job;
    });
    expect(found.result).toMatchObject({ cells_compared: truth.size, cells_differing: 0, conflicts: 0 });
  });
});

describe('a store that is killed while it restates', () => {
  it('goes on when it is started again, and all is exact', async () => {
    const from = minuteOf(Date.now() - threeDaysMs) + 60 * minuteMs;
    const to = from + 120 * minuteMs;
    const clicks = Array.from({ length: 30_000 }, (_, i) => ({
      ad_id: `kill_${i % 100}`,
      event_id: `k-${i}`,
      clicked_at: from + (i % 7_200) * 1_000,
      country: 'KR',
    }));
    const truth = truthOf(clicks);
    await post(clicks);
    const restating = async () => {
      const { replays } = await pipeline.get<{ replays: Job[] }>('/v1/replays');
      return replays.find(job => job.kind === 'restate' && ['queued', 'running'].includes(job.state));
    };
    const total = () => totalOf(from, to);
    // It may be over within a second, so it is asked for more often than `eventually` would.
    let job = await restating();
    for (; job === undefined; job = await restating()) await sleep(50);
    await eventually(`job ${job.id} has begun to write`, async () => (await total()) > 0);
    await pipeline.queryApi.kill();
    await pipeline.restart('queryApi');
    await pipeline.queryApi.ready();
    expect((await jobEnded(job.id)).state).toBe('done');
    await eventually('no restatement is left', async () => (await restating()) === undefined);
    await eventually('all counted', async () => (await total()) === clicks.length);
    expect(await answered(truth, from, to)).toEqual(truth);
  });
});
