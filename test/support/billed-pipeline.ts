/** A query API, a job runner and a comparison with counters over the first of two nodes, for random histories. */
import type { Logger } from 'pino';
import { loadConfig } from '../../infra/config.ts';
import type { ErasureBook } from '../../ingest/privacy/erasure-book.ts';
import type { ValidityRules } from '../../ingest/validity/rules.ts';
import { buildQueryApi } from '../../query-api/app.ts';
import { QueryApiConfig } from '../../query-api/config.ts';
import { JobsConfig } from '../../query-api/jobs/config.ts';
import { createConservationCheck } from '../../query-api/jobs/conservation/conservation-check.ts';
import { openJobs } from '../../query-api/jobs/open-jobs.ts';
import { createQueries } from '../../query-api/store/ad-counts.ts';
import { createConservationQueries } from '../../query-api/store/jobs/conservation-rows.ts';
import { createSealStore } from '../../query-api/store/jobs/seal-store.ts';
import { ads, end, hourMs, splitAd, start } from './billed-clicks.ts';
import { type Node, partitions } from './billed-nodes.ts';
import { logInto } from './log-into.ts';
import { oneNode } from './one-node.ts';
import { eventually } from './wait.ts';

export interface PipelineDeps {
  /** All of them get what jobs and people say. The first one is read. */
  readonly nodes: readonly [Node, ...Node[]];
  /** Of the second hour, of the third one, and a draft: versions 1 to 3. */
  readonly rules: readonly ValidityRules[];
  readonly erasures: { readonly book: ErasureBook; readonly readToEnd: () => Promise<void> };
  /** By partition, before which offset the nodes have all raw clicks. */
  readonly rawPositions: () => ReadonlyMap<number, number>;
  readonly log: Logger;
}

export interface Shown {
  readonly count: number;
  readonly gross: number;
  readonly net: number;
  readonly invalid: number;
  readonly duplicates: number;
}

export const range = `from=${start}&to=${end}`;

export type Pipeline = Awaited<ReturnType<typeof openPipeline>>;

export async function openPipeline({ nodes, rules, erasures, rawPositions, log }: PipelineDeps) {
  const [{ clickhouse }] = nodes;
  const toLog = logInto({
    insert: async (...row) => {
      for (const node of nodes) await node.clickhouse.insert(...row);
    },
  });
  const clock = { aheadMs: 0 };
  const now = () => Date.now() + clock.aheadMs;
  const versions = rules.map((of, i) => ({
    ...{ version: i + 1, from: i < 2 ? start + (i + 1) * hourMs : Number.MAX_SAFE_INTEGER, rules: of, holds: i < 2 },
    ...{ ruleId: `${i}`.padStart(26, '0'), note: '', by: 'somebody', announcedAt: 0 },
  }));
  const splitRules = [{ ruleId: '0'.repeat(26), adId: splitAd, from: start - hourMs, until: end + hourMs }];
  const positions = [...Array(partitions).keys()].map(partition => {
    return { group: 'g', topic: 'quarantine', topicName: 'quarantine' as const, partition, position: 9, end: 9 };
  });
  const routing = async () => ({ rules: splitRules, partitionRules: [], versions });
  const countedLog = {
    endOffsets: async () => new Map(rawPositions()),
    sinkPositions: async () => positions as never,
    rawPositions: async () => new Map(rawPositions()),
    routing,
  };
  const http = await buildQueryApi({
    config: loadConfig(QueryApiConfig, { JOBS_MAX_OPEN_PER_CLIENT: '200' }),
    ...{ clickhouse, log, now, countedLog, requests: toLog.requests, routing },
    validityRules: {
      read: async () => ({ versions, readUntil: 0 }) as never,
      announce: () => Promise.reject(new Error('nobody announces rules here')),
    },
  });
  const openRunner = () =>
    openJobs({
      ...{ config: loadConfig(JobsConfig, { RECONCILE_REPAIR: 'false' }), store: oneNode(clickhouse), ...toLog },
      ...{ countedLog, erasures, now, log, pace: { scanMs: 100, quietMs: 200, settleMs: 300, pageRows: 7 } },
      splitRules: { rules: splitRules, versions, rulesKnownUntil: Number.POSITIVE_INFINITY },
    });
  let runner = openRunner();
  const call = async (method: 'GET' | 'POST', url: string, payload?: object) => {
    const { statusCode, body } = await http.inject({ method, url, ...(payload ? { payload } : {}) });
    if (statusCode >= 300) throw new Error(`${method} ${url}: ${statusCode} ${body}`);
    return JSON.parse(body);
  };
  const get = (url: string) => call('GET', url);
  return {
    ...{ toLog, clock, now, call, get },
    check: createConservationCheck({
      ...{ queries: createConservationQueries(clickhouse), now, log, countedLog, pauseMs: 1 },
      store: createSealStore({ clickhouse, jobLog: toLog.jobLog, now }),
      progress: createQueries(clickhouse, { timeoutMs: 9_000 }).progress,
      closing: new AbortController().signal,
    }),
    lines: async (url: string) => (await http.inject({ url })).body.trim().split('\n').filter(Boolean),
    /** What an advertiser is told, by ad. */
    async shown(more = ''): Promise<Record<string, Shown>> {
      const of = async (ad: string): Promise<[string, Shown]> => {
        const { count, gross, net, invalid, duplicates } = await get(`/v1/ads/${ad}/aggregated_count?${range}${more}`);
        return [ad, { count, gross, net, invalid, duplicates }];
      };
      return Object.fromEntries(await Promise.all(ads.map(of)));
    },
    /** Asks for a job, and returns it when it has ended. */
    async job(path: 'replays' | 'reconciliations', body: object, meanwhile?: () => Promise<void>) {
      const { id } = await call('POST', `/v1/${path}`, body);
      await meanwhile?.();
      return await eventually(`${path} ${id}`, async () => {
        const job = await get(`/v1/${path}/${id}`);
        return !['queued', 'running'].includes(job.state) && job;
      });
    },
    /** Until nothing waits for a restatement, and no job is open. */
    async quiet(): Promise<void> {
      let calm = 0;
      await eventually('all is restated', async () => {
        const { pending_late, pending_split } = await get('/v1/status');
        const jobs = [...(await get('/v1/replays')).replays, ...(await get('/v1/reconciliations')).reconciliations];
        const isOpen = jobs.some(({ state }) => ['queued', 'running'].includes(state));
        calm = isOpen || pending_late.clicks + pending_split.clicks > 0 ? 0 : calm + 1;
        return calm > 4;
      });
    },
    async restartRunner(): Promise<void> {
      await runner[Symbol.asyncDispose]();
      runner = openRunner();
    },
    async [Symbol.asyncDispose]() {
      await runner[Symbol.asyncDispose]();
      await http.close();
    },
  };
}
