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
 * none. A term that is at rest learns from that, too, that it is over, and whoever has a reason to doubt it asks for that
 * at once.
 */
import { randomUUID } from 'node:crypto';
import type { JobRunnerRow } from '../../../aggregator/job-records.ts';
import { Fenced } from '../../../infra/errors.ts';
import { pause } from '../../../infra/pause.ts';
import type { JobEntry, JobLog, OpenedJobLog } from '../../log/job-log.ts';
import { type Patience, untilVisible } from '../../log/until-visible.ts';
import type { RunnerStore } from '../../store/jobs/runner-store.ts';

export interface AnnounceDeps {
  readonly runners: Pick<RunnerStore, 'latest'>;
  /** Host and port of this process, for people. */
  readonly host: string;
  /** Epoch ms. */
  readonly now: () => number;
  readonly patience?: Patience;
}

export interface TermDeps extends AnnounceDeps {
  /** Fences all earlier ones. */
  readonly openLog: () => Promise<OpenedJobLog>;
  readonly renewMs?: number;
}

export interface Term extends AsyncDisposable {
  /** Epoch ms, and greater than that of any term before. */
  readonly since: number;
  /** @throws Fenced once the term is over */
  readonly log: JobLog;
  /** Fires when it is over; its reason says why. */
  readonly ended: AbortSignal;
  /** Says once more that it lasts: where another has fenced it, it ends. Never rejects. */
  renew(): Promise<void>;
}

/**
 * @throws Fenced, Retryable: no term has begun
 */
export async function beginTerm(deps: TermDeps, over: AbortSignal): Promise<Term> {
  await using opening = new AsyncDisposableStack();
  const log = opening.use(await deps.openLog());
  const row = await announceTerm(log, deps, over);
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
  // A failure has ended the term.
  const renew = () => write([{ kind: 'job-runner', rows: [{ ...row, seen_at: deps.now() }] }]).catch(() => undefined);
  const renewing = renewEvery(deps.renewMs ?? 30_000, renew, ended);
  const opened = opening.move();
  return {
    since: row.since,
    log: { write },
    ended,
    renew,
    async [Symbol.asyncDispose]() {
      failed.abort(new Fenced('the term is closed'));
      await renewing;
      await opened[Symbol.asyncDispose]();
    },
  };
}

/**
 * Resolves once ClickHouse shows this term as the latest: with that, all that former ones have committed.
 * @throws Fenced, Retryable
 */
export async function announceTerm(
  log: JobLog,
  { runners, host, now, patience = { withinMs: 20_000 } }: AnnounceDeps,
  over?: AbortSignal,
): Promise<JobRunnerRow> {
  for (;;) {
    let latest = await runners.latest();
    // A clock may be behind that of a former runner; and of that one's term, this may not know yet.
    const row = { since: Math.max(now(), (latest?.since ?? 0) + 1), instance: randomUUID(), host, seen_at: now() };
    await log.write([{ kind: 'job-runner', rows: [row] }]);
    await untilVisible('the term of office', patience, async () => {
      over?.throwIfAborted();
      latest = await runners.latest();
      return (latest?.since ?? 0) >= row.since;
    });
    if (latest?.instance === row.instance) return row;
  }
}

async function renewEvery(ms: number, renew: () => Promise<void>, ended: AbortSignal): Promise<void> {
  for (;;) {
    await pause(ms, ended);
    if (ended.aborted) return;
    await renew();
  }
}
