/**
 * A term: the time in which one job runner may write. It begins in this order, and in no other:
 *
 * 1. Fence: opening the job log aborts what a former runner has begun to write, and takes away its right to write.
 * 2. Announce: a row of `job_runner` is written into the log.
 * 3. Wait until ClickHouse shows that row. The sink inserts in the order of the log. So now ClickHouse shows everything
 *    that any former runner has committed.
 * 4. Only now read anything, and work.
 *
 * What is read before step 3 may lack what a predecessor has committed: a job would be done twice, or a click restated
 * twice. The term ends when the lease is revoked, or when a write fails; after that its log accepts nothing. A runner
 * that was stopped may believe in its term for a while when it continues. Its first write shows that the term is over.
 *
 * During the term the runner writes every half minute that it is alive. So people can see in the table whether a runner
 * has nothing to do or is gone. The same write shows a runner at rest that its term is over. A caller that doubts the
 * term can ask for this write at once.
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
  /** Host and port of this process, which people see. */
  readonly host: string;
  /** Epoch ms. */
  readonly now: () => number;
  readonly patience?: Patience;
}

export interface TermDeps extends AnnounceDeps {
  /** Fences all former runners. */
  readonly openLog: () => Promise<OpenedJobLog>;
}

export interface Term extends AsyncDisposable {
  /** Epoch ms. Greater than in any earlier term. */
  readonly since: number;
  /** @throws Fenced once the term is over */
  readonly log: JobLog;
  /** Fires when the term is over. The reason of the signal says why. */
  readonly ended: AbortSignal;
  /** Writes once more that the runner is alive. If another runner has fenced it, the term ends. Never rejects. */
  renew(): Promise<void>;
}

/** Resolves once the term has begun. @throws Fenced, Retryable when it cannot begin */
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
  // The error may be dropped, because `write` has ended the term with it.
  const renew = () => write([{ kind: 'job-runner', rows: [{ ...row, seen_at: deps.now() }] }]).catch(() => undefined);
  const renewing = renewAgainAndAgain(renew, ended);
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
 * Resolves once ClickHouse shows this term as the latest one. Then it also shows everything that former runners have
 * committed. @throws Fenced, Retryable
 */
export async function announceTerm(
  log: JobLog,
  { runners, host, now, patience = { withinMs: 20_000 } }: AnnounceDeps,
  over?: AbortSignal,
): Promise<JobRunnerRow> {
  for (;;) {
    let latest = await runners.latest();
    // This clock may be behind the clock of a former runner, whose term ClickHouse may not show yet. Then that term is
    // the latest one, and this one is announced again.
    const row = { since: Math.max(now(), (latest?.since ?? 0) + 1), instance: randomUUID(), host, seen_at: now() };
    await log.write([{ kind: 'job-runner', rows: [row] }]);
    await untilVisible('the term of the job runner', patience, async () => {
      over?.throwIfAborted();
      latest = await runners.latest();
      return (latest?.since ?? 0) >= row.since;
    });
    if (latest?.instance === row.instance) return row;
  }
}

const renewMs = 30_000;

async function renewAgainAndAgain(renew: () => Promise<void>, ended: AbortSignal): Promise<void> {
  for (;;) {
    await pause(renewMs, ended);
    if (ended.aborted) return;
    await renew();
  }
}
