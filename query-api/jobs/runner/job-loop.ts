/**
 * Runs jobs, one turn at a time: what somebody asked for, and what it finds to do itself (late minutes, hours to
 * reconcile, repairs). Whose turn it is, job-turns.ts tells; a job's turn ends after `turnMs`, at the next place where it
 * can go on later, and a restatement of late clicks runs to its end. A job's progress is in its row, so that its next
 * turn, also after a restart, begins where the last one ended.
 *
 * It is told when something is asked for (`wake`), and looks by itself besides: a few times in a row, less often where
 * nothing was found, and at rest every five seconds at how far the counts are, from which follows what time brings. The
 * list of open jobs is read at rest only twice a minute, in case a call was missed: nobody but this loop ends or makes jobs, but for those
 * that are asked for.
 *
 * A store or a broker that is away is waited for. That may also be one job's own trouble (a read that always takes too
 * long), which nobody can tell from outside: such a job rests for a while, each time for longer, and the others go on. One
 * that has met nothing but trouble for hours, or cannot be done, is `failed` and says why.
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
  readonly store: Pick<JobStore, 'open' | 'cancelled' | 'get'> & JobWriter;
  readonly gate: RawGate;
  readonly progress: () => Promise<readonly Progress[]>;
  readonly now: () => number;
  readonly log: Logger;
  /** Makes jobs that are due by themselves; `open` are those that wait or run. True if it has made one. */
  readonly findWork: WorkFinder;
  readonly run: (job: Job, partitions: number) => Promise<Job>;
  /** Around each turn: of what it reads. */
  readonly reading?: Turns;
  /** To be done before the first turn, as often as it takes. */
  readonly begin?: () => Promise<void>;
  readonly turns?: JobTurns;
  readonly pauseMs?: number;
  readonly turnMs?: number;
  /** For a job that could not move. */
  readonly restMs?: number;
  /** In trouble for so long, a job is failed; one of late clicks, which are due again then, sooner. */
  readonly giveUpMs?: number;
}

export interface JobLoop extends AsyncDisposable {
  /** False once the loop closes, the job was cancelled, or its turn is over. */
  mayGoOn(job: Job): Promise<boolean>;
  start(): void;
  /** Something is asked for: it is looked for at once, and again until it shows. */
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
    },
    ...given,
  };
  const wakeUp = createWakeUp();
  const pace = createPace(pauseMs, given.now);
  let turnEndsAt = 0;
  let running = Promise.resolve();
  const begins = (job: Job) => {
    turnEndsAt = laneOf(job) === 'late' ? Number.POSITIVE_INFINITY : performance.now() + turnMs;
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
      const restMs = pace.had(outcome);
      if (restMs > 0 && (await wakeUp.pause(restMs, closing.signal))) pace.asked();
    }
  };
  return {
    start() {
      running = loop();
    },
    wake: wakeUp.call,
    async mayGoOn(job) {
      if (closing.signal.aborted || performance.now() >= turnEndsAt) return false;
      return (await deps.store.cancelled([job.id])).size === 0;
    },
    async [Symbol.asyncDispose]() {
      closing.abort();
      await running;
    },
  };
}

/** waits: a job is open and cannot go on now, or nobody knows. */
type Outcome = 'worked' | 'waits' | 'rests';

type Pace = ReturnType<typeof createPace>;

/** When the next turn is, and whether it reads the list of open jobs. `now`: epoch ms. */
function createPace(pauseMs: number, now: () => number) {
  let idleTurns = 0;
  let isAnyOpen = true;
  let askedUntil = 0;
  let lookedAt = 0;
  return {
    /** What is asked for shows once a sink has brought it. */
    asked() {
      idleTurns = 0;
      askedUntil = now() + sinkMs;
    },
    isLook: () => isAnyOpen || idleTurns <= mostPauses || now() < askedUntil || now() >= lookedAt + looksAgainMs,
    looked(open: readonly Job[]) {
      isAnyOpen = open.length > 0;
      lookedAt = now();
    },
    /** How long to pause, ms. */
    had(outcome: Outcome): number {
      idleTurns = outcome === 'worked' ? 0 : idleTurns + 1;
      const isRest = outcome === 'rests' && idleTurns > mostPauses && now() >= askedUntil;
      return (isRest ? restPauses : Math.min(idleTurns, mostPauses)) * pauseMs;
    },
  };
}

/** Where nothing was found for some turns. */
const mostPauses = 4;
/** At rest. */
const restPauses = 10;
const looksAgainMs = 30_000;
/** As long as a sink may need to come back. */
const sinkMs = 120_000;

/** Of a job: how often in a row the store or the broker did not answer it, and since when. */
interface Trouble {
  readonly times: number;
  readonly since: number;
}

type TurnDeps = JobLoopDeps &
  Required<Pick<JobLoopDeps, 'turns' | 'restMs' | 'giveUpMs'>> & { readonly troubles: Map<string, Trouble> };

/** Looks at what there is to do, and has one job do some of it. */
async function turn(deps: TurnDeps, pace: Pace, begins: (job: Job) => void): Promise<Outcome> {
  const { store, gate, turns, now, log } = deps;
  // What the turn before has written would be found as it was before that: a job that is done, changes to be made.
  await store.caughtUp();
  const progress = await deps.progress();
  const { finalUntil } = finalityOf(progress);
  if (finalUntil === null) return 'waits';
  const isLook = pace.isLook();
  // Who does not look knows that there was none, and that none can have come.
  const all = isLook ? await store.open(openLimit) : [];
  if (isLook) pace.looked(all);
  let isMade = false;
  try {
    const quarantined = progress.reduce((sum, row) => sum + row.quarantined, 0);
    isMade = await deps.findWork({ finalUntil, quarantined }, all);
  } catch (error) {
    // What is open already goes on.
    log.warn({ why: messageOf(error) }, 'what is due is not found');
  }
  const cancelled = await store.cancelled(all.map(({ id }) => id));
  for (const job of all) if (cancelled.has(job.id)) await end(job, { state: 'cancelled' }, deps);
  const open = all.filter(({ id }) => !cancelled.has(id));
  const passed = await gate.passed(
    open.map(({ id }) => id),
    progress,
  );
  const job = turns.next(open, ({ id, to }) => to <= finalUntil && passed.has(id), now());
  if (job === undefined) return isMade || cancelled.size > 0 ? 'worked' : open.length > 0 ? 'waits' : 'rests';
  begins(job);
  forget(deps.troubles, open);
  let restsUntil = 0;
  try {
    if (!(await runOne(job, partitionsOf(progress), deps))) restsUntil = now() + deps.restMs;
    deps.troubles.delete(job.id);
  } catch (error) {
    const { times, since } = deps.troubles.get(job.id) ?? { times: 0, since: now() };
    deps.troubles.set(job.id, { times: times + 1, since });
    restsUntil = now() + deps.restMs * 2 ** Math.min(times, mostDoublings);
    throw error;
  } finally {
    turns.had(job, restsUntil);
  }
  return 'worked';
}

/** Rests grow from 5 s to 40 s: late clicks that waited for the broker must not wait for much longer. */
const mostDoublings = 3;

function forget(troubles: Map<string, Trouble>, open: readonly Job[]): void {
  const ids = new Set(open.map(({ id }) => id));
  for (const id of troubles.keys()) if (!ids.has(id)) troubles.delete(id);
}

/** More than can be open at a time, as each kind has a limit (asked-jobs.ts, work-finder.ts); of more, the store tells the most urgent. */
const openLimit = 300;

/** True if the job has moved. */
async function runOne(job: Job, partitions: number, deps: TurnDeps): Promise<boolean> {
  const { store, log, now } = deps;
  let started = job;
  try {
    // A job may have waited for long, while there was no runner: clicks that are gone must not be counted as none.
    if (!isRawKept(job.position, now())) throw new Error(rawGone);
    if (job.state === 'queued') {
      started = { ...job, state: 'running', updatedAt: now(), seq: job.seq + 1 };
      await store.save(started);
      log.info({ job: job.id, kind: job.kind, reason: job.reason, minutes: job.minutesTotal }, 'job runs');
    }
    const after = await deps.run(started, partitions);
    if (after.position < after.to) return after.position > job.position;
    await end(after, { state: 'done' }, deps);
  } catch (error) {
    // Not the job's fault: the term is over.
    if (error instanceof Fenced) throw error;
    const since = deps.troubles.get(job.id)?.since ?? now();
    const giveUpMs = laneOf(job) === 'late' ? deps.giveUpMs / 6 : deps.giveUpMs;
    if (error instanceof Retryable && now() - since < giveUpMs) throw error;
    log.error({ job: job.id, err: error }, 'job failed');
    await end(started, { state: 'failed', error: messageOf(error) }, deps);
  }
  return true;
}

const rawGone = `raw clicks of its minutes are kept no longer: it waited until they were more than ${recountableDays} days old`;

async function end(
  job: Job,
  how: Pick<Job, 'state'> & { readonly error?: string },
  { store, now, log }: JobLoopDeps,
): Promise<void> {
  // Ahead of whatever the run has saved meanwhile.
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
