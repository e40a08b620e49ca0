/** The whole pipeline as a benchmark sees it: its processes' cost, how far counting is behind, and whether it is exact. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startTestPipeline, type TestPipeline } from '../support/pipeline.ts';
import type { ClickLoad } from './click-load.ts';
import { costOf } from './process-cost.ts';

/** As `npm start` configures it, but for its log and what is `given`: settings as `NAME=value`. */
export function startBenchPipeline(given: readonly string[] = []): Promise<TestPipeline> {
  const defaults = {
    // One client posts it all.
    INGEST_RATE_LIMIT_PER_MINUTE: '0',
    AGGREGATOR_SESSION_TIMEOUT_MS: '6000',
    SINK_SESSION_TIMEOUT_MS: '30000',
    TICK_INTERVAL_MS: '5000',
    COMMIT_INTERVAL_MS: '500',
    SINK_RAW_INTERVAL_MS: '2000',
  };
  const settings = given.map(setting => [setting.split('=', 1)[0] ?? '', setting.slice(setting.indexOf('=') + 1)]);
  return startTestPipeline({ ...defaults, LOG_LEVEL: 'warn', ...Object.fromEntries(settings) });
}

export interface PipelineCost {
  readonly ingest: number;
  readonly aggregator: number;
  readonly sink: number;
  readonly queryApi: number;
  readonly jobs: number;
  readonly clickHouse: number;
  readonly broker: number;
}

/** CPU seconds so far. */
export function cpuOf({ ingest, aggregator, sink, queryApi, jobs, clickHouse, broker }: TestPipeline): PipelineCost {
  const seconds = (pid: number) => costOf(pid).cpuSeconds;
  return {
    ingest: seconds(ingest.pid),
    aggregator: seconds(aggregator.pid),
    sink: seconds(sink.pid),
    queryApi: seconds(queryApi.pid),
    jobs: seconds(jobs.pid),
    clickHouse: seconds(clickHouse.pid),
    broker: seconds(broker.pid),
  };
}

interface Status {
  readonly conservation: { readonly counted: number; readonly duplicates: number; readonly received: number };
}

/** Distinct clicks that a query would find. */
export async function visible(pipeline: TestPipeline): Promise<Status['conservation']> {
  return (await pipeline.get<Status>('/v1/status')).conservation;
}

/**
 * Waits until all that was posted is visible, and compares.
 * @throws where a total or one of the thousand ads with most clicks is off
 */
export async function settle(pipeline: TestPipeline, load: ClickLoad, since: number): Promise<void> {
  const deadline = Date.now() + 600_000;
  for (;;) {
    const { received, counted } = await visible(pipeline);
    if (received === load.posted && counted === load.distinct) break;
    if (received > load.posted || counted > load.distinct || Date.now() > deadline)
      throw new Error(`received ${received} of ${load.posted}, counted ${counted} of ${load.distinct}`);
    await sleep(100);
  }
  const minute = (at: number) => Math.floor(at / 60_000) * 60_000;
  const { ads } = await pipeline.get<{ ads: { ad_id: string; count: number }[] }>(
    `/v1/ads/popular_ads?count=1000&from=${minute(since) - 60_000}&to=${minute(Date.now()) + 60_000}`,
  );
  const wrong = ads.filter(
    ({ ad_id, count }) => ad_id.startsWith('ad_') && load.truth[Number(ad_id.slice(3))] !== count,
  );
  if (wrong.length > 0 || ads.length === 0) throw new Error(`${wrong.length} of ${ads.length} ads differ`);
}
