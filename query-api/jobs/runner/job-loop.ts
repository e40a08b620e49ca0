/**
 * Runs jobs, one turn at a time: jobs that people have asked for, and jobs that it finds by itself (late minutes, hours
 * to reconcile, repairs). job-turns.ts decides which job is next. A turn ends after `turnMs`, at the next point from
 * which the job can continue later. Only a restatement of late clicks runs to its end. A job's progress is stored in
 * its row. So its next turn, also after a restart, begins where the last one ended.
 *
 * The loop is called (`wake`) when somebody asks for a job. It also looks by itself: soon after it has found something,
 * then less often. At rest it checks every five seconds how far the counts have come, which is enough to notice what
 * becomes due. At rest it reads the list of open jobs only twice a minute, in case a call was missed. That is enough
 * because only this loop makes and ends jobs, except those that people ask for.
 *
 * When ClickHouse or the brokers do not answer, the loop waits. The cause may also be the job itself, for example a
 * read that always takes too long. Nobody can tell these apart. So that job rests for a while, longer each time, and
 * the others continue. A job that has made no progress for hours, or that can never succeed, becomes `failed` with the
 * reason.
 */
import type { Progress } from '../../../aggregator/ad-minute.ts';
import { Fenced, messageOf, Retryable } from '../../../infra/errors.ts';
import type { Logger } from '../../../infra/log.ts';
import { createWakeUp } from '../../../infra/wake-up.ts';
import { plainTurns, type Turns } from '../../replicas/turns.ts';
import { finalityOf, partitionsOf } from '../../store/finality.ts';
import type { Job } from '../../store/jobs/job.ts';
import type { JobStore } from '../../store/jobs/job-store.ts';
import { isRawKept, recountableDays } from '../../store/raw-retention.ts';
import type { RawGate } from '../recount/raw-gate.ts';
import type { JobWriter } from '../writing/job-writer.ts';
import { jobsEnded } from '../writing/metrics.ts';
import { createJobTurns, type JobTurns, laneOf } from './job-turns.ts';
import type { WorkFinder } from './work-finder.ts';

export interface JobLoopDeps {
  readonly store: Pick<JobStore, 'open' | 'cancelled' | 'get' | 'time'> & JobWriter;
  readonly gate: RawGate;
  readonly progress: () => Promise<readonly Progress[]>;
  /** Epoch ms. */
  readonly now: () => number;
  /** Milliseconds of a clock that does not go back. */
  readonly clock?: () => number;
  readonly log: Logger;
  /** Makes the jobs that are due without a request. Returns true if it has made one. */
  readonly findWork: WorkFinder;
  readonly run: (job: Job, partitions: number) => Promise<Job>;
  /** Wraps each turn, and chooses the nodes that the turn reads. */
  readonly reading?: Turns;
  /** Runs before the first turn. It is repeated until it succeeds. */
  readonly begin?: () => Promise<void>;
  readonly turns?: JobTurns;
  readonly pauseMs?: number;
  readonly turnMs?: number;
  /** The rest of a job that could not do anything in its turn. */
  readonly restMs?: number;
  /**
   * A job that has only met errors for this long fails. A restatement of late clicks fails after a sixth of it, because
   * its clicks then become due again.
   */
  readonly giveUpMs?: number;
}

export interface JobLoop extends AsyncDisposable {
  /** Returns false once the loop closes, the job was cancelled, or its turn is over. */
  mayGoOn(job: Job): Promise<boolean>;
  start(): void;
  /** Somebody has asked for a job. The loop looks for it at once, and again until a sink has had time to bring it. */
  wake(): void;
}

export function createJobLoop(given: JobLoopDeps): JobLoop {
  const { pauseMs = 500, turnMs = 5_000 } = given;
  const closing = new AbortController();
  const deps = {
    ...{
      reading: plainTurns,
      begin: () => Promise.resolve(),
      turns: createJobTurns(),
      restMs: 5_000,
      giveUpMs: 6 * 3_600_000,
      troubles: new Map<string, Trouble>(),
      clock: () => performance.now(),
    },
    ...given,
  };
  const wakeUp = createWakeUp();
  const pace = createPace(pauseMs, deps.clock);
  let turnEndsAt = 0;
  let running = Promise.resolve();
  const begins = (job: Job) => {
    turnEndsAt = laneOf(job) === 'late' ? Number.POSITIVE_INFINITY : deps.clock() + turnMs;
  };
  const loop = async () => {
    let isBegun = false;
    while (!closing.signal.aborted) {
      let outcome: Outcome = 'waits';
      try {
        outcome = await deps.reading(async () => {
          if (!isBegun) await deps.begin();
          isBegun = true;
          return await turn(deps, pace, begins);
        });
      } catch (error) {
        if (!closing.signal.aborted) deps.log.warn({ why: messageOf(error) }, 'jobs wait');
      }
      const restMs = pace.pauseAfter(outcome);
      if (restMs > 0 && (await wakeUp.pause(restMs, closing.signal))) pace.asked();
    }
  };
  return {
    start() {
      running = loop();
    },
    wake: wakeUp.call,
    async mayGoOn(job) {
      if (closing.signal.aborted || deps.clock() >= turnEndsAt) return false;
      return (await deps.store.cancelled([job.id])).size === 0;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

/** `waits`: a job is open but cannot continue now, or it is not known whether one is open. */
type Outcome = 'worked' | 'waits' | 'rests';

type Pace = ReturnType<typeof createPace>;

/** Decides when the next turn is, and whether it reads the list of open jobs. */
function createPace(pauseMs: number, clock: () => number) {
  let idleTurns = 0;
  let isAnyOpen = true;
  let askedUntil = 0;
  let lookedAt = 0;
  return {
    /** A job that was asked for becomes visible when a sink has inserted it. */
    asked() {
      idleTurns = 0;
      askedUntil = clock() + sinkMs;
    },
    isLook: () => isAnyOpen || idleTurns <= mostPauses || clock() < askedUntil || clock() >= lookedAt + looksAgainMs,
    looked(open: readonly Job[]) {
      isAnyOpen = open.length > 0;
      lookedAt = clock();
    },
    /** Returns for how many ms to pause. */
    pauseAfter(outcome: Outcome): number {
      idleTurns = outcome === 'worked' ? 0 : idleTurns + 1;
      const isRest = outcome === 'rests' && idleTurns > mostPauses && clock() >= askedUntil;
      return (isRest ? restPauses : Math.min(idleTurns, mostPauses)) * pauseMs;
    },
  };
}

/** The longest pause, in units of `pauseMs`, while jobs wait. */
const mostPauses = 4;
/** The pause at rest, in the same unit. */
const restPauses = 10;
const looksAgainMs = 30_000;
/** A sink that is restarted is back within this time. */
const sinkMs = 120_000;

/** How often in a row ClickHouse or the brokers did not answer a job, and since when. */
interface Trouble {
  readonly times: number;
  readonly since: number;
}

type TurnDeps = JobLoopDeps &
  Required<Pick<JobLoopDeps, 'turns' | 'restMs' | 'giveUpMs' | 'clock'>> & { readonly troubles: Map<string, Trouble> };

/** Finds out what is to be done, and gives one job a turn. */
async function turn(deps: TurnDeps, pace: Pace, begins: (job: Job) => void): Promise<Outcome> {
  const { store, gate, turns, clock, log } = deps;
  // Without this, the turn would not see what the previous turn has written: it would run a finished job again, or make
  // the same changes twice.
  await store.caughtUp();
  const progress = await deps.progress();
  const { finalUntil } = finalityOf(progress);
  if (finalUntil === null) return 'waits';
  const isLook = pace.isLook();
  // When the list is not read, no job was open at the last look, and none can have been made since.
  const all = isLook ? await store.open(openLimit) : [];
  if (isLook) pace.looked(all);
  let isMade = false;
  try {
    const quarantined = progress.reduce((sum, row) => sum + row.quarantined, 0);
    isMade = await deps.findWork({ finalUntil, quarantined }, all);
  } catch (error) {
    // The jobs that are open already continue.
    log.warn({ why: messageOf(error) }, 'work that is due could not be found');
  }
  const cancelled = await store.cancelled(all.map(({ id }) => id));
  for (const job of all) if (cancelled.has(job.id)) await end(job, { state: 'cancelled' }, deps);
  const open = all.filter(({ id }) => !cancelled.has(id));
  const passed = await gate.passed(
    open.map(({ id }) => id),
    progress,
  );
  const job = turns.next(open, ({ id, to }) => to <= finalUntil && passed.has(id), clock());
  if (job === undefined) return isMade || cancelled.size > 0 ? 'worked' : open.length > 0 ? 'waits' : 'rests';
  begins(job);
  forget(deps.troubles, open);
  let restsUntil = 0;
  try {
    if (!(await runOne(job, partitionsOf(progress), deps))) restsUntil = clock() + deps.restMs;
    deps.troubles.delete(job.id);
  } catch (error) {
    const { times, since } = deps.troubles.get(job.id) ?? { times: 0, since: clock() };
    deps.troubles.set(job.id, { times: times + 1, since });
    restsUntil = clock() + deps.restMs * 2 ** Math.min(times, mostDoublings);
    throw error;
  } finally {
    turns.record(job, restsUntil);
  }
  return 'worked';
}

/** Rests grow from 5 s to 40 s, and not further: once the brokers are back, late clicks must not wait much longer. */
const mostDoublings = 3;

function forget(troubles: Map<string, Trouble>, open: readonly Job[]): void {
  const ids = new Set(open.map(({ id }) => id));
  for (const id of troubles.keys()) if (!ids.has(id)) troubles.delete(id);
}

/**
 * More than can be open at a time, because each kind has its own limit (asked-jobs.ts, work-finder.ts). If there were
 * more, the store would return the most urgent ones.
 */
const openLimit = 300;

/** Returns true if the job has made progress. */
async function runOne(job: Job, partitions: number, deps: TurnDeps): Promise<boolean> {
  const { store, log, now, clock } = deps;
  let started = job;
  try {
    // A job may have waited long, for example because no runner was up. Clicks that have expired must not be counted as
    // 0. They expire by the clock of ClickHouse, and ours may be days behind it.
    if (!isRawKept(job.position, Math.max(now(), await store.time()))) throw new Error(rawGone);
    if (job.state === 'queued') {
      started = { ...job, state: 'running', updatedAt: now(), seq: job.seq + 1 };
      await store.save(started);
      log.info({ job: job.id, kind: job.kind, reason: job.reason, minutes: job.minutesTotal }, 'job runs');
    }
    const after = await deps.run(started, partitions);
    if (after.position < after.to) return after.position > job.position;
    await end(after, { state: 'done' }, deps);
  } catch (error) {
    // The term is over. The job has not failed.
    if (error instanceof Fenced) throw error;
    const since = deps.troubles.get(job.id)?.since ?? clock();
    const giveUpMs = laneOf(job) === 'late' ? deps.giveUpMs / 6 : deps.giveUpMs;
    if (error instanceof Retryable && clock() - since < giveUpMs) throw error;
    log.error({ job: job.id, err: error }, 'job failed');
    await end(started, { state: 'failed', error: messageOf(error) }, deps);
  }
  return true;
}

const rawGone = `the raw clicks of its minutes are not kept any more: the job waited until they were more than ${recountableDays} days old`;

async function end(
  job: Job,
  how: Pick<Job, 'state'> & { readonly error?: string },
  { store, now, log }: JobLoopDeps,
): Promise<void> {
  // Its `seq` must be higher than that of every row that the run has saved.
  await store.caughtUp();
  const saved = await store.get(job.id, [job.kind]);
  const latest = saved !== undefined && saved.seq > job.seq ? saved : job;
  const ended = { ...latest, ...how, updatedAt: now(), seq: latest.seq + 1 };
  await store.save(ended);
  jobsEnded.inc({ kind: job.kind, state: how.state });
  const { clicksRead, cellsChanged } = ended;
  log.info(
    { job: job.id, kind: job.kind, state: how.state, clicksRead, cellsChanged, ms: now() - job.createdAt },
    'job ended',
  );
}
