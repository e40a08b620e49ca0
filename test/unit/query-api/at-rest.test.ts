import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { createUncountedCheck } from '../../../query-api/jobs/conservation/uncounted-clicks.ts';
import { openJobs } from '../../../query-api/jobs/open-jobs.ts';
import type { JobLog } from '../../../query-api/log/job-log.ts';
import { newJob } from '../../../query-api/store/jobs/job.ts';
import { jobRowOf } from '../../../query-api/store/jobs/job-store.ts';
import { clickHouseThatAnswers } from '../../support/clickhouse-that-answers.ts';
import { noErasures } from '../../support/no-erasures.ts';
import { oneNode } from '../../support/one-node.ts';

const minuteMs = 60_000;
const startedAt = Date.parse('2026-11-29T08:00:30Z');
const lastMinute = startedAt - (startedAt % minuteMs);
const log = pino({ level: 'silent' });

/** The queries, by the table that each reads first. */
type Statements = { readonly table: string; readonly at: number }[];

/** Jobs and roll-ups over the rows in `shown`. The test moves the clock. */
function world() {
  const statements: Statements = [];
  const shown = { finalUntil: lastMinute, quarantined: 0, jobs: [] as object[] };
  const clickhouse = clickHouseThatAnswers(sql => {
    const table = /FROM ([a-z_]+)/.exec(sql.replace(/FROM \(\s*SELECT[^F]*/g, ''))?.[1] ?? '';
    statements.push({ table, at: Date.now() });
    if (sql.includes('FROM partition_progress')) return [progressOf(shown)];
    if (sql.includes("state IN ('queued', 'running')") && sql.includes('from_s')) return shown.jobs;
    if (sql.includes('AS at FROM ad_minute')) return [{ at: lastMinute - 3 * minuteMs }];
    if (sql.includes('FROM most_clicked_ads')) return blocksUntil(shown.finalUntil);
    return [];
  });
  const jobLog: JobLog = { write: async () => undefined };
  let call: () => void = () => undefined;
  const jobs = openJobs({
    config: { QUERY_TIMEOUT_MS: 5_000, RECONCILE_REPAIR: true },
    erasures: noErasures,
    store: oneNode(clickhouse),
    jobLog,
    requests: { append: async () => undefined, [Symbol.asyncDispose]: async () => undefined },
    countedLog: {
      endOffsets: async () => new Map([[0, 1]]),
      sinkPositions: async () => [],
      rawPositions: async () => new Map([[0, 0]]),
    },
    whenAsked(listener) {
      call = listener;
      return { [Symbol.asyncDispose]: async () => undefined };
    },
    ...{ now: Date.now, log },
  });
  open.push(jobs);
  return { statements, shown, call: () => call() };
}

function progressOf({ finalUntil, quarantined }: { readonly finalUntil: number; readonly quarantined: number }) {
  return {
    ...{ partition: 0, partitions: 1, position: 1, watermark: finalUntil, final_until: finalUntil },
    ...{ appended_at: finalUntil, received: 0, counted: 0, duplicates: 0, quarantined, acknowledged: 0, missing: 0 },
    invalid: 0,
    ids_per_ad_from: null,
  };
}

/** All blocks that there can be. */
function blocksUntil(finalUntil: number): object[] {
  const blocks: object[] = [];
  for (let at = lastMinute - 10 * minuteMs; at <= finalUntil; at += minuteMs)
    for (const window of [1, 5, 60]) blocks.push({ window, at, n: 0 });
  return blocks;
}

let open: AsyncDisposable[] = [];
beforeEach(() => {
  vi.useFakeTimers({ now: startedAt });
});
afterEach(async () => {
  const closed = Promise.all(open.map(one => one[Symbol.asyncDispose]()));
  await vi.advanceTimersByTimeAsync(minuteMs);
  await closed;
  open = [];
  vi.useRealTimers();
});

const countOf = (statements: Statements, table: string) => statements.filter(each => each.table === table).length;

describe('jobs and roll-ups at rest', () => {
  it('ask ClickHouse at most 33 times a minute while nothing happens', async () => {
    const { statements } = world();
    await vi.advanceTimersByTimeAsync(5 * minuteMs);
    statements.length = 0;
    await vi.advanceTimersByTimeAsync(10 * minuteMs);
    expect(statements.length).toBeLessThanOrEqual(10 * 33);
    expect(statements.length).toBeGreaterThan(0);
  });

  it('look at once for a job that was asked for, and again until it is visible', async () => {
    const { statements, shown, call } = world();
    await vi.advanceTimersByTimeAsync(5 * minuteMs + 1_000);
    statements.length = 0;
    call();
    await vi.advanceTimersByTimeAsync(0);
    expect(countOf(statements, 'replay_job')).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(500);
    const looked = statements.filter(({ table }) => table === 'replay_job');
    expect(looked.length).toBeGreaterThan(1);
    // When a sink comes back after a while, the runner still looks every two seconds.
    await vi.advanceTimersByTimeAsync(minuteMs);
    statements.length = 0;
    await vi.advanceTimersByTimeAsync(2_000);
    expect(countOf(statements, 'replay_job')).toBeGreaterThan(0);
    expect(shown.jobs).toEqual([]);
  });

  it('find a job within half a minute although nobody has reported it', async () => {
    const { statements, shown } = world();
    await vi.advanceTimersByTimeAsync(5 * minuteMs);
    const job = newJob({ kind: 'replay', reason: 'replay', apply: false, from: startedAt, to: startedAt }, startedAt);
    const { from_minute: from_s, to_minute: to_s, minutes: minutes_s, position: position_s, ...row } = jobRowOf(job);
    shown.jobs = [{ ...row, from_s, to_s, minutes_s, position_s, created_ms: startedAt, updated_ms: startedAt }];
    statements.length = 0;
    await vi.advanceTimersByTimeAsync(40_000);
    // For a job that was found, one query asks whether it was cancelled.
    expect(countOf(statements, 'replay_cancellation')).toBeGreaterThan(0);
  });

  it('look for late lines as soon as some are counted, and for blocks as soon as a minute is final', async () => {
    const { statements, shown } = world();
    await vi.advanceTimersByTimeAsync(5 * minuteMs);
    statements.length = 0;
    shown.quarantined++;
    await vi.advanceTimersByTimeAsync(10_000);
    expect(countOf(statements, 'quarantine')).toBeGreaterThan(0);
    await vi.advanceTimersByTimeAsync(5 * minuteMs);
    statements.length = 0;
    shown.finalUntil += minuteMs;
    await vi.advanceTimersByTimeAsync(5_000);
    expect(countOf(statements, 'most_clicked_ads')).toBeGreaterThan(0);
  });
});

describe('the search for clicks in no count', () => {
  it('asks once if no click came too late, however many hours there are', async () => {
    let asked = 0;
    const clickhouse = clickHouseThatAnswers(() => {
      asked++;
      return [];
    });
    const check = createUncountedCheck({ clickhouse, now: Date.now, idsPerAdFrom: async () => 0 });
    for (let i = 0; i < 10; i++) await check.run();
    expect(asked).toBe(10);
  });

  it('checks each hour in which one came', async () => {
    const hours = [3, 50].map(ago => startedAt - (startedAt % (60 * minuteMs)) - ago * 60 * minuteMs);
    const clickhouse = clickHouseThatAnswers(sql => {
      if (sql.includes('AS hour')) return hours.map(hour => ({ hour }));
      return [{ minute: 0, ad_id: `ad-${sql.length}`, raw: 2, counted: 1, clicks: 1 }];
    });
    const check = createUncountedCheck({ clickhouse, now: Date.now, idsPerAdFrom: async () => 0 });
    expect((await check.run()).length).toBe(1);
  });
});
