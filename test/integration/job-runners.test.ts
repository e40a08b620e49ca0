/** Two job runners on a real broker: one works, and whoever is killed or stopped is succeeded by the other. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import { readCommitted } from '../support/read-committed.ts';
import { scrape } from '../support/scrape.ts';
import { type Service, startService } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const minuteMs = 60_000;
const env = {
  OUT_OF_ORDERNESS_MS: '1000',
  ALLOWED_LATENESS_MS: '1000',
  CONSERVATION_INTERVAL_MS: '1000',
};

interface Runner {
  readonly host: string;
  readonly since: string;
  readonly runs: boolean;
}

interface Status {
  readonly job_runner: Runner | null;
  readonly conservation: { readonly rows: { readonly difference: number } | null };
}

interface Restatement {
  readonly before: number;
  readonly after: number;
}

let pipeline: TestPipeline;
let second: Service;
beforeAll(async () => {
  pipeline = await startTestPipeline(env);
  second = await startService('query-api/jobs/main.ts', 'JOBS_PORT', {
    ...pipeline.env,
    JOBS_PORT: String(Number(new URL(pipeline.jobs.url).port) + 1),
  });
  await second.ready();
});
afterAll(async () => {
  await second?.[Symbol.asyncDispose]();
  await pipeline?.[Symbol.asyncDispose]();
});

const runnerNow = async () => (await pipeline.get<{ job_runner: Runner | null }>('/v1/status')).job_runner;
const both = () => [pipeline.jobs, second];
const isAt = ({ url }: Service, { host }: Runner) => host.endsWith(`:${new URL(url).port}`);
const metricOf = async ({ url }: Service, name: string) =>
  (await scrape(url)).find(series => series.name === name)?.value ?? 0;

async function activeOne(): Promise<{ readonly service: Service; readonly other: Service; readonly since: string }> {
  const runner = await eventually('somebody runs jobs', async () => (await runnerNow()) ?? undefined);
  const service = both().find(one => isAt(one, runner));
  const other = both().find(one => one !== service);
  if (service === undefined || other === undefined) throw new Error(`${runner.host} is none of ours`);
  return { service, other, since: runner.since };
}

/** How long it took, ms. */
async function succeeded(other: Service, before: string): Promise<number> {
  const startedAt = performance.now();
  await eventually('a successor', async () => {
    const runner = await runnerNow();
    return runner !== null && runner.since > before && isAt(other, runner);
  });
  return Math.round(performance.now() - startedAt);
}

/** A runner that was stopped may get the lease back while its term is over. The time until it notices, in ms. */
async function oneWorks(): Promise<number> {
  const startedAt = performance.now();
  await eventually('the one that was stopped is a member again', async () => {
    const readyz = both().map(async ({ url }) => (await fetch(`${url}/readyz`)).ok);
    return (await Promise.all(readyz)).every(ok => ok);
  });
  await eventually('one works, in the latest term', async () => {
    const runner = await runnerNow();
    const believed = await Promise.all(both().map(one => metricOf(one, 'adclicks_job_runner_since_timestamp_seconds')));
    const terms = believed.filter(since => since !== 0);
    return runner !== null && terms.length === 1 && terms[0] === Date.parse(runner.since) / 1_000;
  });
  return Math.round(performance.now() - startedAt);
}

let serial = 0;
/** A click of three hours ago is counted, once, by a restatement. */
async function restatesOne(): Promise<void> {
  const ad = `late-${++serial}`;
  const minute = Date.now() - (Date.now() % minuteMs) - 180 * minuteMs;
  await pipeline.post({ ad_id: 'now', event_id: `now-${serial}`, clicked_at: Date.now() });
  await pipeline.post({ ad_id: ad, event_id: ad, clicked_at: minute + 1_000, country: 'KR' });
  const range = `from=${minute}&to=${minute + minuteMs}`;
  await eventually(
    'a late click is restated',
    async () => (await pipeline.get<{ count: number }>(`/v1/ads/${ad}/aggregated_count?${range}`)).count === 1,
  );
  const { restatements } = await pipeline.get<{ restatements: Restatement[] }>(`/v1/ads/${ad}/restatements?${range}`);
  expect(restatements.map(({ before, after }) => [before, after])).toEqual([[0, 1]]);
}

describe('job runners', () => {
  it('are all ready, and one of them is active', async () => {
    const { service, other } = await activeOne();
    expect([
      await metricOf(service, 'adclicks_job_runner_active'),
      await metricOf(other, 'adclicks_job_runner_active'),
    ]).toEqual([1, 0]);
    expect((await runnerNow())?.runs).toBe(true);
  });

  it('are told by each of several query APIs, and what they compared as well', async () => {
    await using another = await startService('query-api/main.ts', 'QUERY_API_PORT', pipeline.env);
    await another.ready();
    const told = async (url: string) => {
      const { job_runner, conservation } = (await (await fetch(`${url}/v1/status`)).json()) as Status;
      return { since: job_runner?.since, isCompared: conservation.rows?.difference === 0 };
    };
    await eventually('rows compared', async () => (await told(another.url)).isCompared);
    expect(await told(another.url)).toEqual(await told(pipeline.queryApi.url));
  });

  it('restate late clicks once', () => restatesOne());

  it('are succeeded when they are killed', async () => {
    const { service, other, since } = await activeOne();
    await service.kill();
    console.log(`killed: succeeded after ${await succeeded(other, since)} ms`);
    await restatesOne();
    if (service === second) second = await startService('query-api/jobs/main.ts', 'JOBS_PORT', envOf(service));
    else await pipeline.restart('jobs');
    await Promise.all(both().map(one => one.ready()));
  });

  it('are succeeded when they are stopped, and write nothing when they go on', async () => {
    const { service, other, since } = await activeOne();
    const fencedBefore = await metricOf(service, 'adclicks_job_runner_terms_fenced_total');
    service.signal('SIGSTOP');
    console.log(`stopped: succeeded after ${await succeeded(other, since)} ms`);
    service.signal('SIGCONT');
    console.log(`awake: one of them works, in the latest term, after ${await oneWorks()} ms`);
    await restatesOne();
    const fenced = (await metricOf(service, 'adclicks_job_runner_terms_fenced_total')) - fencedBefore;
    console.log(`terms fenced: ${fenced}`);
    await service.ready();
  });

  it('have terms that follow each other in the log', async () => {
    const lines = await readCommitted(pipeline.broker.brokers, 'job-results');
    const terms = lines
      .filter(({ kind }) => kind === 'job-runner')
      .map(({ line }) => JSON.parse(line) as { since: number; instance: string });
    const begun = [...new Set(terms.map(({ instance }) => instance))];
    expect(begun.length).toBeGreaterThan(2);
    expect(terms.map(({ since }) => since)).toEqual(terms.map(({ since }) => since).sort((a, b) => a - b));
    // None of them says anything once another has begun.
    const changes = terms.filter(({ instance }, i) => instance !== terms[i - 1]?.instance);
    expect(changes.map(({ instance }) => instance)).toEqual(begun);
  });

  it('hand over at once when they are told to stop', async () => {
    const { service, other, since } = await activeOne();
    expect(await service.stop()).toBe(0);
    console.log(`told to stop: succeeded ${await succeeded(other, since)} ms after its end`);
  });
});

function envOf({ url }: Service): Record<string, string> {
  return { ...pipeline.env, JOBS_PORT: new URL(url).port };
}
