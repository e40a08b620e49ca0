/**
 * A term of office of the job runner. It begins in this order, and in no other:
 *
 * 1. Fence: the job log is opened, which ends whatever a former runner had begun to write, and its right to write.
 * 2. Announce: a row of `job_runner` goes into the log.
 * 3. Wait until ClickHouse shows that row. The sink inserts what the log holds in order: so now everything that any former
 *    runner has committed is there to be read.
 * 4. Only now read anything, and work.
 *
 * What was read before 3 may lack what a predecessor has committed: a job would be done twice, a click restated twice. The
 * term is over when the lease is taken, or when a write has failed: then its log takes nothing more. Who is paused and
 * wakes may believe in its term for a while; its first write tells.
 *
 * While it lasts, the term says so every half minute: whoever looks at the table can tell a runner with nothing to do from
 * none. A term that is at rest learns from that, too, that it is over.
 */
import { randomUUID } from 'node:crypto';
import type { JobRunnerRow } from '../../aggregator/job-records.ts';
import { Fenced, Retryable } from '../../infra/errors.ts';
import { pause } from '../../infra/pause.ts';
import type { JobEntry, JobLog, OpenedJobLog } from './job-log.ts';
import type { RunnerStore } from './runner-store.ts';

export interface TermDeps {
  /** Fences all earlier ones. */
  readonly openLog: () => Promise<OpenedJobLog>;
  readonly runners: Pick<RunnerStore, 'latest'>;
  /** Host and port of this process, for people. */
  readonly host: string;
  /** Epoch ms. */
  readonly now: () => number;
  readonly renewMs?: number;
  /** For what is announced to become visible. */
  readonly patienceMs?: number;
}

export interface Term extends AsyncDisposable {
  /** Epoch ms, and greater than that of any term before. */
  readonly since: number;
  /** @throws Fenced once the term is over */
  readonly log: JobLog;
  /** Fires when it is over; its reason says why. */
  readonly ended: AbortSignal;
}

/**
 * @throws Fenced, Retryable: no term has begun
 */
export async function beginTerm(deps: TermDeps, over: AbortSignal): Promise<Term> {
  await using opening = new AsyncDisposableStack();
  const log = opening.use(await deps.openLog());
  const row = await announce(log, deps, over);
  const failed = new AbortController();
  const ended = AbortSignal.any([over, failed.signal]);
  const write = async (entries: readonly JobEntry[]) => {
    if (ended.aborted) throw new Fenced('the term of this job runner is over');
    try {
      await log.write(entries);
    } catch (error) {
      failed.abort(error);
      throw error;
    }
  };
  const renewing = renew({ ...deps, row, write, ended });
  const opened = opening.move();
  return {
    since: row.since,
    log: { write },
    ended,
    async [Symbol.asyncDispose]() {
      failed.abort(new Fenced('the term is closed'));
      await renewing;
      await opened[Symbol.asyncDispose]();
    },
  };
}

/** Resolves once ClickHouse shows this term as the latest: with that, all that former ones have committed. */
async function announce(log: JobLog, deps: TermDeps, over: AbortSignal): Promise<JobRunnerRow> {
  const { runners, host, now, patienceMs = 20_000 } = deps;
  for (;;) {
    // A clock may be behind that of a former runner; and of that one's term, this may not know yet.
    const since = Math.max(now(), ((await runners.latest())?.since ?? 0) + 1);
    const row = { since, instance: randomUUID(), host, seen_at: now() };
    await log.write([{ kind: 'job-runner', rows: [row] }]);
    const shown = await untilShown(since, deps, over, performance.now() + patienceMs);
    if (shown.instance === row.instance) return row;
  }
}

async function untilShown(
  since: number,
  { runners }: TermDeps,
  over: AbortSignal,
  until: number,
): Promise<JobRunnerRow> {
  for (;;) {
    over.throwIfAborted();
    const latest = await runners.latest();
    if (latest !== undefined && latest.since >= since) return latest;
    if (performance.now() > until) {
      throw new Retryable('ClickHouse does not show the term that was announced in topic job-results: see the sink');
    }
    await pause(pollMs, over);
  }
}

const pollMs = 50;

interface Renewed extends TermDeps {
  readonly row: JobRunnerRow;
  readonly write: JobLog['write'];
  readonly ended: AbortSignal;
}

async function renew({ row, now, write, ended, renewMs = 30_000 }: Renewed): Promise<void> {
  for (;;) {
    await pause(renewMs, ended);
    if (ended.aborted) return;
    // A failure has ended the term.
    await write([{ kind: 'job-runner', rows: [{ ...row, seen_at: now() }] }]).catch(() => undefined);
  }
}
