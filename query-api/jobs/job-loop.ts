/**
 * Runs jobs, one after another: what somebody asked for, and what it finds to do itself (late minutes, hours to
 * reconcile). A job's progress is in its row, so after a restart it goes on where it was. A store or a broker that is
 * away is waited for; a job that cannot be done is `failed` and says why.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, Retryable } from '../../infra/errors.ts';
import type { Logger } from '../../infra/log.ts';
import { finalityOf, partitionsOf } from '../finality.ts';
import type { Progress } from '../queries.ts';
import type { Job } from './job.ts';
import type { JobStore } from './job-store.ts';
import { jobsEnded } from './metrics.ts';
import type { RawGate } from './raw-gate.ts';

export interface JobLoopDeps {
  readonly store: JobStore;
  readonly gate: RawGate;
  readonly progress: () => Promise<readonly Progress[]>;
  readonly now: () => number;
  readonly log: Logger;
  /** Makes jobs that are due by themselves; `open` are those that wait or run. */
  readonly findWork: (finalUntil: number, open: readonly Job[]) => Promise<void>;
  readonly run: (job: Job, partitions: number) => Promise<Job>;
  /** After a job is done. */
  readonly onDone: (job: Job) => Promise<void>;
  readonly pauseMs?: number;
}

export interface JobLoop extends AsyncDisposable {
  /** False once the loop closes, or where the job was cancelled, or has to let another go first. */
  mayGoOn(job: Job): Promise<boolean>;
  start(): void;
}

export function createJobLoop(deps: JobLoopDeps): JobLoop {
  const { store, log, pauseMs = 500 } = deps;
  const closing = new AbortController();
  let running = Promise.resolve();
  const loop = async () => {
    while (!closing.signal.aborted) {
      let worked = false;
      try {
        worked = await turn(deps, closing.signal);
      } catch (error) {
        if (!closing.signal.aborted) log.warn({ why: messageOf(error) }, 'jobs wait');
      }
      if (!worked) await sleep(pauseMs, undefined, { signal: closing.signal }).catch(() => undefined);
    }
  };
  return {
    start() {
      running = loop();
    },
    async mayGoOn(job) {
      if (closing.signal.aborted || (await store.isCancelled(job.id))) return false;
      const [first] = await store.open(1);
      return first === undefined || first.id === job.id;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

/** One look at what there is to do; true if something was done. */
async function turn(deps: JobLoopDeps, closing: AbortSignal): Promise<boolean> {
  const { store, gate } = deps;
  const progress = await deps.progress();
  const { finalUntil } = finalityOf(progress);
  if (finalUntil === null) return false;
  await deps.findWork(finalUntil, await store.open(openLimit));
  let worked = false;
  for (const job of await store.open(openLimit)) {
    if (closing.aborted) return true;
    if (await store.isCancelled(job.id)) {
      await end(job, { state: 'cancelled' }, deps);
      worked = true;
      continue;
    }
    if (job.to > finalUntil || !(await gate.passed(job.id, progress))) continue;
    // One that waits for something (a reconciliation, for late clicks) lets the next go.
    if (await runOne(job, partitionsOf(progress), deps)) return true;
  }
  return worked;
}

/** Jobs looked at in one turn. */
const openLimit = 100;

/** True if the job has moved. */
async function runOne(job: Job, partitions: number, deps: JobLoopDeps): Promise<boolean> {
  const { store, log } = deps;
  let started = job;
  try {
    if (job.state === 'queued') {
      started = { ...job, state: 'running', seq: job.seq + 1 };
      await store.save(started);
      log.info({ job: job.id, kind: job.kind, reason: job.reason, minutes: job.minutesTotal }, 'job runs');
    }
    const after = await deps.run(started, partitions);
    if (after.position < after.to) return after.position > job.position;
    await end(after, { state: 'done' }, deps);
    await deps.onDone(after);
  } catch (error) {
    if (error instanceof Retryable) throw error;
    log.error({ job: job.id, err: error }, 'job failed');
    await end(started, { state: 'failed', error: messageOf(error) }, deps);
  }
  return true;
}

async function end(job: Job, how: Pick<Job, 'state'> & { readonly error?: string }, deps: JobLoopDeps): Promise<void> {
  const { store, now, log } = deps;
  // Ahead of whatever the run has saved meanwhile.
  const latest = (await store.get(job.id, [job.kind])) ?? job;
  const ended = { ...latest, ...how, updatedAt: now(), seq: latest.seq + 1 };
  await store.save(ended);
  jobsEnded.inc({ kind: job.kind, state: how.state });
  const { clicksRead, cellsChanged } = ended;
  log.info(
    { job: job.id, kind: job.kind, state: how.state, clicksRead, cellsChanged, ms: now() - job.createdAt },
    'job ended',
  );
}
