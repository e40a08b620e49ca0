/**
 * Keeps children running: one that ends is started again, after a pause that grows while it does not stay up. Stopping
 * goes the other way than starting, stage by stage, and ends by a deadline whatever the children do.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, messageOf } from '../errors.ts';
import type { Logger } from '../log.ts';
import { exitCodes } from '../process.ts';
import { reactionTo } from './restart-policy.ts';
import type { Exit, Running } from './service.ts';

export interface ChildSpec {
  readonly name: string;
  readonly start: (signal: AbortSignal) => Promise<Running>;
}

export interface Supervisor {
  /**
   * Starts the children of the next stage together and keeps them running from now on.
   * @throws what a child's first start throws
   */
  run(stage: readonly ChildSpec[]): Promise<void>;
  /** From now on no child's exit is final. */
  markReady(): void;
  /** Rejects with a ConfigError when a child says during start-up that its configuration cannot work. */
  readonly givenUp: Promise<never>;
  /** The stage started last is stopped first. All of it takes at most `totalMs`. */
  stop(totalMs: number): Promise<void>;
  /** Ends every child by force. */
  kill(): void;
}

interface Kept {
  running: Running | undefined;
  readonly done: Promise<void>;
}

/** `stop` forbids any further start; `Supervisor.stop` then ends what runs. */
export function createSupervisor(log: Logger, stop: AbortSignal): Supervisor {
  const stopping = new AbortController();
  stop.addEventListener('abort', () => stopping.abort(), { once: true });
  const stages: Kept[][] = [];
  const gaveUp = Promise.withResolvers<never>();
  gaveUp.promise.catch(() => undefined);
  let startingUp = true;

  const keep = async (spec: ChildSpec, kept: { running: Running | undefined }) => {
    for (let failures = 0; !stopping.signal.aborted; ) {
      const startedAt = performance.now();
      kept.running ??= await spec.start(stopping.signal).catch(notRunning);
      const exit = await kept.running.exited;
      const livedMs = kept.running.pid === 0 ? 0 : performance.now() - startedAt;
      kept.running = undefined;
      if (stopping.signal.aborted) return;
      const reaction = reactionTo({ code: exit.code, livedMs, failures, startingUp });
      if (reaction.kind === 'give up') return gaveUp.reject(finalOf(spec, exit));
      failures = reaction.failures;
      log.warn({ child: spec.name, ...exit, startsAgainInMs: reaction.delayMs }, 'child ended, it is started again');
      await sleep(reaction.delayMs, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
  };

  const start = async (spec: ChildSpec): Promise<Kept> => {
    const kept: { running: Running | undefined } = { running: await spec.start(stopping.signal) };
    return Object.assign(kept, { done: keep(spec, kept) });
  };

  return {
    givenUp: gaveUp.promise,
    async run(stage) {
      const started = await Promise.allSettled(stage.map(start));
      stages.push(started.flatMap(result => (result.status === 'fulfilled' ? [result.value] : [])));
      for (const result of started) if (result.status === 'rejected') throw result.reason;
    },
    markReady() {
      startingUp = false;
    },
    async stop(totalMs) {
      stopping.abort();
      await stopInReverse(stages, totalMs);
    },
    kill() {
      stopping.abort();
      for (const { running } of stages.flat()) if (running?.pid) process.kill(running.pid, 'SIGKILL');
    },
  };
}

/** Each stage may take what is left, less a second for each one behind it. */
async function stopInReverse(stages: readonly (readonly Kept[])[], totalMs: number): Promise<void> {
  const deadline = performance.now() + totalMs;
  for (const [index, stage] of [...stages.entries()].reverse()) {
    const timeoutMs = Math.max(500, deadline - performance.now() - index * 1_000);
    await Promise.all(stage.map(kept => kept.running?.stop(timeoutMs)));
    await Promise.all(stage.map(kept => kept.done));
  }
}

/** A start that failed, as a child that ended at once. */
function notRunning(error: unknown): Running {
  const code = error instanceof ConfigError ? exitCodes.config : null;
  const exit: Exit = { code, signal: null, reason: messageOf(error) };
  return { pid: 0, exited: Promise.resolve(exit), stop: () => Promise.resolve() };
}

function finalOf(spec: ChildSpec, exit: Exit): ConfigError {
  return new ConfigError(exit.reason ?? `${spec.name} ended with exit code ${exit.code}`);
}
