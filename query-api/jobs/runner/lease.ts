/**
 * The lease of the job runner: of all runners, the one to which its consumer group gave the only partition of
 * `job-requests` runs the jobs. It reads nothing there; the partition is the office.
 *
 * The lease only says whose turn it is. It is a matter of opinion: a runner that was stopped for a while (SIGSTOP, a machine
 * that hangs) still holds it when it wakes, and so does one whose group has moved on without its hearing of it. That never
 * two write rests on the fence with which each term begins (term.ts). So a successor waits for nobody's consent: it begins
 * once the broker's session of its predecessor is over.
 *
 * A term that ends while the lease is held (it was fenced, a commit had no answer, the brokers were away) is followed by
 * another, after a pause. The broker is asked before whether this member still counts: one that wakes must not fence its
 * successor, which would cost nobody a row, but both their time.
 */
import { Fenced, messageOf } from '../../../infra/errors.ts';
import type { KafkaClient } from '../../../infra/kafka/client.ts';
import { type GroupConsumer, openGroupConsumer } from '../../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../../infra/log.ts';
import { pause } from '../../../infra/pause.ts';
import { aborted } from '../../../infra/process.ts';
import type { Names } from '../../../infra/topics.ts';
import { forgetOffice, inOffice, inOfficeSince, termsBegun, termsFenced } from '../writing/metrics.ts';
import type { Term } from './term.ts';

export interface LeaseDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  /** So long a runner may be silent until another has its office. */
  readonly sessionTimeoutMs: number;
  /** Rejects where none can begin now. It is over when `over` fires. */
  readonly beginTerm: (over: AbortSignal) => Promise<Term>;
  /** Begins to work; what it returns ends that, once the term is over. */
  readonly work: (term: Term) => AsyncDisposable;
  readonly log: Logger;
  /** The group cannot go on: the process is to end and be started again. */
  readonly onCrash: (error: Error) => void;
  readonly pauseMs?: number;
}

export interface Lease extends AsyncDisposable {
  /** Throws where this process has the lease and no term, which says why. Who waits for the lease is well. */
  check(): void;
}

export async function openLease(deps: LeaseDeps): Promise<Lease> {
  const { kafka, names, sessionTimeoutMs, log, onCrash } = deps;
  const topic = names.topic('job-requests');
  const tenures = new Set<Tenure>();
  let current: Tenure | undefined;
  const link: { consumer?: GroupConsumer } = {};

  const confirm = async () => {
    await link.consumer?.commit(topic, new Map([[office, { offset: 0, metadata: '' }]]));
  };
  const give = () => {
    log.info('this process has the lease of the job runner');
    const tenure = openTenure(deps, confirm);
    current = tenure;
    tenures.add(tenure);
    void tenure.ended.then(() => tenures.delete(tenure));
  };
  const take = () => {
    if (current) log.info('another process has the lease of the job runner');
    current?.end();
    current = undefined;
  };

  const consumer = await openGroupConsumer(kafka, {
    group: names.jobRunner,
    topics: [topic],
    isolation: 'read_uncommitted',
    sessionTimeoutMs,
    heartbeatMs,
    // Also how often a member looks whether a heartbeat is due.
    maxWaitMs: 250,
    minBytes: 1,
    maxBytes: 1 << 20,
    maxBytesPerPartition: 1 << 20,
    concurrency: 1,
    keepsRecords: false,
    log,
    onOpen: opened => {
      link.consumer = opened;
    },
    onAssigned(assigned) {
      const isHeld = assigned.get(topic)?.includes(office) ?? false;
      if (isHeld) link.consumer?.pause(topic, office);
      // A rebalance that leaves it where it was is no reason to begin anew, but one to ask: it may have been elsewhere
      // meanwhile, without this member's hearing of it.
      if (isHeld && current) current.renew();
      else if (isHeld) give();
      else take();
    },
    onBatch: async () => {},
    onGap: () => {},
    onCrash,
  });
  return {
    check: () => current?.check(),
    async [Symbol.asyncDispose]() {
      take();
      // Before the group is left: a successor finds nothing that is still being written.
      await Promise.all([...tenures].map(({ ended }) => ended));
      await consumer[Symbol.asyncDispose]();
    },
  };
}

const office = 0;
const askAgainMs = 500;
/**
 * Each costs a request. With the look in between, a runner hears within three quarters of a second what becomes of the
 * office: after the session of the one before, the largest part of the time in which nobody works (decision 026).
 */
const heartbeatMs = 500;
/** Longer than that. */
const afterFailureMs = 1_000;

/** The time from one assignment to its revocation: a term, or several that follow each other. */
interface Tenure {
  end(): void;
  /** Its term, if it has one, says that it lasts, or finds out that it does not. */
  renew(): void;
  readonly ended: Promise<void>;
  check(): void;
}

function openTenure(
  { beginTerm, work, log, pauseMs = afterFailureMs }: LeaseDeps,
  confirm: () => Promise<void>,
): Tenure {
  const over = new AbortController();
  let trouble: string | undefined = 'it has just got it';
  let isConfirmed = false;
  let current: Term | undefined;
  let isDoubted = false;
  const serve = async () => {
    isConfirmed = false;
    isDoubted = false;
    await confirm();
    isConfirmed = true;
    await using term = await beginTerm(over.signal);
    await using _work = work(term);
    current = term;
    if (isDoubted) void term.renew();
    trouble = undefined;
    termsBegun.inc();
    inOffice.set(1);
    inOfficeSince.set(term.since / 1_000);
    log.info({ since: term.since }, 'a term of the job runner begins');
    await aborted(term.ended);
    current = undefined;
    trouble = messageOf(term.ended.reason);
    forgetOffice();
    if (!over.signal.aborted) throw term.ended.reason;
  };
  const run = async () => {
    while (!over.signal.aborted) {
      try {
        await serve();
      } catch (error) {
        if (error instanceof Fenced) termsFenced.inc();
        if (over.signal.aborted) return;
        trouble = messageOf(error);
        // Who has just been given the lease is often not known to the coordinator yet, and asks again.
        const level = isConfirmed ? 'warn' : 'info';
        log[level]({ why: trouble }, 'no term of the job runner: another is to begin');
      }
      // Who has fenced waits long enough to hear by a heartbeat that the office is another's; to ask costs nobody anything.
      await pause(isConfirmed ? pauseMs : askAgainMs, over.signal);
    }
  };
  return {
    end: () => over.abort(),
    renew() {
      isDoubted = true;
      void current?.renew();
    },
    ended: run(),
    check() {
      if (trouble !== undefined) throw new Error(`it has the lease of the job runner, but no term: ${trouble}`);
    },
  };
}
