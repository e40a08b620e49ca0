/**
 * Fetches from each broker in a loop of its own, and passes the results to a limited number of handlers.
 *
 * It replaces kafkajs' fetch manager. When that is stopped while its set of brokers changes, it loops forever without
 * giving the event loop a turn, and the process answers no timer, no signal and no HTTP request any more. Here:
 * - Every round of every loop gives the event loop a turn. A round that returned nothing at once waits a little,
 *   whatever `fetch` does.
 * - When a broker comes or goes, its own loop starts or ends. The loops of the other brokers continue.
 * - `stop` ends everything at any time, and `start` may be called again after it.
 *
 * As with kafkajs, at most `concurrency` batches are handled at the same time. A partition's batch is handled for one
 * broker at a time (its leader may have moved meanwhile). All of a fetch is handled before the next fetch from that
 * broker. The first error of a fetch or a handler ends all loops, and `start` rejects with it once they have ended.
 */
import './request-frame.ts';
import { createRequire } from 'node:module';

export interface FetchLoopOptions<Batch extends Fetched> {
  /** The ids of the brokers that are known now. */
  getNodeIds(): readonly string[];
  fetch(nodeId: string): Promise<readonly Batch[]>;
  handler(batch: Batch): Promise<void>;
  readonly concurrency?: number;
}

export interface Fetched {
  readonly topic: string;
  readonly partition: number;
}

export interface FetchLoop {
  /** Resolves once it was stopped. Otherwise rejects with the error that has ended it. */
  start(): Promise<void>;
  /** Resolves once nothing is fetched or handled any more. */
  stop(): Promise<void>;
}

const require = createRequire(import.meta.url);
const { KafkaJSNoBrokerAvailableError }: { KafkaJSNoBrokerAvailableError: new () => Error } =
  require('kafkajs/src/errors.js');

/** How soon a loop is made for a broker that has come; sooner at first, as all of them come then. */
const lookEveryMs = 1_000;
const firstLookEveryMs = 250;
const firstLooks = 20;
const emptyRoundMs = 20;

export function createFetchLoop<Batch extends Fetched>(options: FetchLoopOptions<Batch>): FetchLoop {
  const handle = handling(options);
  let run: Run | undefined;
  return {
    async start() {
      run ??= new Run(options.getNodeIds, handle);
      const current = run;
      try {
        await current.ended;
      } finally {
        if (run === current) run = undefined;
      }
    },
    async stop() {
      const current = run;
      current?.stop();
      await current?.ended.catch(() => undefined);
    },
  };
}

/** One run, from a start to its end. */
class Run {
  readonly ended: Promise<void>;
  readonly #loops = new Map<string, Promise<void>>();
  /** Ends the pauses of all loops. */
  readonly #pauses = new Set<() => void>();
  #isOver = false;
  #failure: { readonly error: unknown } | undefined;

  constructor(getNodeIds: () => readonly string[], handle: HandleFetch) {
    this.ended = this.#follow(getNodeIds, handle);
  }

  stop(): void {
    this.#isOver = true;
    for (const wake of this.#pauses) wake();
  }

  async #follow(getNodeIds: () => readonly string[], handle: HandleFetch): Promise<void> {
    const isGone = (nodeId: string) => {
      const nodeIds = getNodeIds();
      // While no broker is known, the earlier ones are asked.
      return nodeIds.length > 0 && !nodeIds.includes(nodeId);
    };
    for (let looks = 0; !this.#isOver; looks++) {
      const nodeIds = getNodeIds();
      if (nodeIds.length === 0 && this.#loops.size === 0) this.#fail(new KafkaJSNoBrokerAvailableError());
      for (const nodeId of nodeIds) {
        if (!this.#loops.has(nodeId)) this.#loops.set(nodeId, this.#fetchFrom(nodeId, isGone, handle));
      }
      await this.#pause(looks < firstLooks ? firstLookEveryMs : lookEveryMs);
    }
    await Promise.all(this.#loops.values());
    if (this.#failure) throw this.#failure.error;
  }

  async #fetchFrom(nodeId: string, isGone: (nodeId: string) => boolean, handle: HandleFetch): Promise<void> {
    try {
      while (!this.#isOver && !isGone(nodeId)) {
        // Without this, a fetch that returns at once would give nobody a turn.
        await new Promise(resolve => setImmediate(resolve));
        const startedAt = performance.now();
        const isEmpty = await handle(nodeId, () => this.#isOver);
        if (isEmpty && performance.now() - startedAt < emptyRoundMs) await this.#pause(emptyRoundMs);
      }
    } catch (error) {
      this.#fail(error);
    } finally {
      this.#loops.delete(nodeId);
    }
  }

  #fail(error: unknown): void {
    this.#failure ??= { error };
    this.stop();
  }

  /** Ends early when the run ends. */
  async #pause(ms: number): Promise<void> {
    if (this.#isOver) return;
    await new Promise<void>(resolve => {
      const wake = () => {
        clearTimeout(timer);
        this.#pauses.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#pauses.add(wake);
    });
  }
}

/** Performs one fetch from a broker, with everything that follows from it. Returns whether nothing arrived. */
type HandleFetch = (nodeId: string, isOver: () => boolean) => Promise<boolean>;

function handling<Batch extends Fetched>(options: FetchLoopOptions<Batch>): HandleFetch {
  const { fetch, handler, concurrency = 1 } = options;
  const inTurn = limitedTo(concurrency);
  /** Partitions whose batch is being handled. */
  const busy = new Set<string>();
  return async (nodeId, isOver) => {
    const fetched = await fetch(nodeId);
    if (isOver()) return false;
    const batches = fetched.filter(batch => !busy.has(nameOf(batch)));
    for (const batch of batches) busy.add(nameOf(batch));
    try {
      const handled = await Promise.allSettled(batches.map(batch => inTurn(() => handler(batch))));
      const failed = handled.find(result => result.status === 'rejected');
      if (failed) throw failed.reason;
    } finally {
      for (const batch of batches) busy.delete(nameOf(batch));
    }
    return batches.length === 0;
  };
}

function nameOf({ topic, partition }: Fetched): string {
  return `${topic}|${partition}`;
}

function limitedTo(concurrency: number): (work: () => Promise<void>) => Promise<void> {
  const waiting: (() => void)[] = [];
  let free = concurrency;
  return async work => {
    if (free > 0) free--;
    else await new Promise<void>(resolve => waiting.push(resolve));
    try {
      await work();
    } finally {
      const next = waiting.shift();
      if (next) next();
      else free++;
    }
  };
}

const replaced = require.resolve('kafkajs/src/consumer/fetchManager.js');
if (require.cache[require.resolve('kafkajs/src/consumer/runner.js')] !== undefined) {
  throw new Error('kafkajs was loaded before its fetch manager could be replaced');
}
export const fetchManagerOfKafkajs: <Batch extends Fetched>(
  options: FetchLoopOptions<Batch> & { readonly logger: unknown },
) => FetchLoop = require(replaced);
const module = require.cache[replaced];
if (module === undefined) throw new Error(`${replaced} was not found: is this another version of kafkajs?`);
module.exports = createFetchLoop;
