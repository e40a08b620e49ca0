/**
 * Decides which of several job runners runs the jobs: the one to which the consumer group has assigned the only
 * partition of `job-requests`. It reads nothing there. The partition is the lease.
 *
 * The lease only divides the work. A runner that was stopped for a while (SIGSTOP, a machine that hangs) still believes
 * that it holds the lease when it continues. So does a runner that has not heard yet of its group's next assignment.
 * That two runners never both write is guaranteed by the fence with which every term begins (term.ts). So a successor
 * asks nobody for permission: it begins once the broker's session of its predecessor has expired.
 *
 * A term may end while the lease is still held: it was fenced, a commit had no answer, or the brokers were away. After
 * a pause another term begins. Before each term the runner asks the broker whether its member still belongs to the
 * group. A runner that was stopped must not fence its successor: no row would be lost, but both would lose time.
 */
import { Fenced, messageOf } from '../../../infra/errors.ts';
import type { KafkaClient } from '../../../infra/kafka/client.ts';
import { type GroupConsumer, openGroupConsumer } from '../../../infra/kafka/group-consumer.ts';
import type { Logger } from '../../../infra/log.ts';
import { pause } from '../../../infra/pause.ts';
import { aborted } from '../../../infra/process.ts';
import type { Names } from '../../../infra/topics.ts';
import { activeSince, resetRunnerMetrics, showActive, termsBegun, termsFenced } from '../writing/metrics.ts';
import type { Term } from './term.ts';

export interface LeaseDeps {
  readonly kafka: KafkaClient;
  readonly names: Names;
  /** After this time without a heartbeat, another runner gets the lease. */
  readonly sessionTimeoutMs: number;
  /** Rejects when no term can begin now. The term ends when `over` fires. */
  readonly beginTerm: (over: AbortSignal) => Promise<Term>;
  /** Starts the work of a term. The result is disposed of when the term ends. */
  readonly work: (term: Term) => AsyncDisposable;
  readonly log: Logger;
  /** Is called when the group cannot continue. The process must end and be started again. */
  readonly onCrash: (error: Error) => void;
  readonly pauseMs?: number;
}

export interface Lease extends AsyncDisposable {
  /**
   * Throws, with the reason, when this process holds the lease but has no term. A process that waits for the lease is
   * well.
   */
  check(): void;
}

export async function openLease(deps: LeaseDeps): Promise<Lease> {
  const { kafka, names, sessionTimeoutMs, log, onCrash } = deps;
  const topic = names.topic('job-requests');
  const link: { consumer?: GroupConsumer } = {};
  const holdings = createHoldings(deps, async () => {
    await link.consumer?.commit(topic, new Map([[leasePartition, { offset: 0, metadata: '' }]]));
  });
  const consumer = await openGroupConsumer(kafka, {
    group: names.jobRunner,
    topics: [topic],
    isolation: 'read_uncommitted',
    sessionTimeoutMs,
    heartbeatMs,
    // This is also how often a member checks whether a heartbeat is due.
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
      const isHeld = assigned.get(topic)?.includes(leasePartition) ?? false;
      if (isHeld) link.consumer?.pause(topic, leasePartition);
      const { current } = holdings;
      // A rebalance that leaves the lease here does not begin a new term, but the term must be confirmed: another
      // member may have held the lease in between, and this one may not have heard of it.
      if (isHeld && current) current.renew();
      else if (isHeld) holdings.begin();
      else holdings.end();
    },
    onBatch: async () => {},
    onGap: () => {},
    onCrash,
  });
  return {
    check: () => holdings.current?.check(),
    async [Symbol.asyncDispose]() {
      // The last term ends before this member leaves the group, so that a successor meets no write in progress.
      await holdings.close();
      await consumer[Symbol.asyncDispose]();
    },
  };
}

const leasePartition = 0;
const askAgainMs = 500;
/**
 * Each heartbeat costs a request. With 250 ms between two checks, a runner hears of a new assignment within 750 ms.
 * After the expiry of the predecessor's session, this is the largest part of the time in which nobody works (decision
 * 026).
 */
const heartbeatMs = 500;
/** Longer than a runner takes to hear of a new assignment. */
const afterFailureMs = 1_000;

/** Keeps the present time for which this process holds the lease, and former ones until their last term has ended. */
function createHoldings(deps: LeaseDeps, confirm: () => Promise<void>) {
  const { log } = deps;
  const open = new Set<Holding>();
  let current: Holding | undefined;
  const end = () => {
    if (current) log.info('another process holds the lease of the job runner');
    current?.end();
    current = undefined;
  };
  return {
    get current() {
      return current;
    },
    begin(): void {
      log.info('this process holds the lease of the job runner');
      const holding = openHolding(deps, confirm);
      current = holding;
      open.add(holding);
      void holding.ended.then(() => open.delete(holding));
    },
    end,
    async close(): Promise<void> {
      end();
      await Promise.all([...open].map(({ ended }) => ended));
    },
  };
}

/** The time from the assignment of the lease until its revocation. It has one term, or several after each other. */
interface Holding {
  end(): void;
  /** If there is a term, it confirms that it still holds, or finds out that it does not. */
  renew(): void;
  readonly ended: Promise<void>;
  check(): void;
}

function openHolding(
  { beginTerm, work, log, pauseMs = afterFailureMs }: LeaseDeps,
  confirm: () => Promise<void>,
): Holding {
  const over = new AbortController();
  let trouble: string | undefined = 'the lease was assigned just now';
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
    showActive(true);
    activeSince.set(term.since / 1_000);
    log.info({ since: term.since }, 'a term of the job runner begins');
    await aborted(term.ended);
    current = undefined;
    trouble = messageOf(term.ended.reason);
    resetRunnerMetrics();
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
        // Right after an assignment, the coordinator often does not know the member yet. It is asked again.
        const level = isConfirmed ? 'warn' : 'info';
        log[level]({ why: trouble }, 'the job runner has no term: the next one begins after a pause');
      }
      // A runner that may have fenced another waits long enough to hear, by a heartbeat, that the lease is not its own
      // any more. A runner that was not confirmed has fenced nobody and may ask again soon.
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
      if (trouble !== undefined)
        throw new Error(`this process holds the lease of the job runner but has no term: ${trouble}`);
    },
  };
}
