/**
 * Keeps the children running. A child that ends is started again, after a pause that grows while it does not stay up. A
 * child that no longer answers is ended first. Every child receives how often that happened and why, for its metrics. Stopping goes in the opposite order to starting, stage by stage, and ends by a deadline whatever the
 * children do.
 */

import { type RestartCounts, type RestartReason, restartReasons } from '../child-restarts.ts';
import { ConfigError, messageOf } from '../errors.ts';
import { exitCodes } from '../exit-codes.ts';
import type { Logger } from '../log.ts';
import { pause } from '../pause.ts';
import { watchHealth } from './health-watch.ts';
import { reactionTo, restartReasonOf } from './restart-policy.ts';
import type { Exit, Running } from './service.ts';

export interface ChildSpec {
  readonly name: string;
  readonly start: (signal: AbortSignal) => Promise<Running>;
  /** The address at which it answers `/healthz`, without path. When it is undefined, it is not asked. */
  readonly healthUrl?: string;
}

export interface Supervisor {
  /**
   * Starts the children of the next stage together, and keeps them running from now on. @throws the error of a child's
   * first start
   */
  run(stage: readonly ChildSpec[]): Promise<void>;
  /** From now on, no exit of a child is final. */
  markReady(): void;
  /** Rejects with a ConfigError when a child says during the start that its configuration cannot work. */
  readonly givenUp: Promise<never>;
  /** Stops the stage that was started last first. All stages together take at most `totalMs`. */
  stop(totalMs: number): Promise<void>;
  /** Ends every child by force. */
  kill(): void;
}

interface Kept {
  readonly name: string;
  running: Running | undefined;
  readonly done: Promise<void>;
}

/**
 * `stop` forbids any further start, and `Supervisor.stop` then ends what runs. A child may be silent for `silenceMs`.
 */
export function createSupervisor(log: Logger, stop: AbortSignal, silenceMs = 60_000): Supervisor {
  const stopping = new AbortController();
  stop.addEventListener('abort', () => stopping.abort(), { once: true });
  const stages: Kept[][] = [];
  const gaveUp = Promise.withResolvers<never>();
  gaveUp.promise.catch(() => undefined);
  let startingUp = true;
  const restarts = createRestartBook(() => stages.flat());

  const keep = async (spec: ChildSpec, kept: Pick<Kept, 'running'>) => {
    for (let failures = 0; !stopping.signal.aborted; ) {
      const startedAt = performance.now();
      kept.running ??= await spec.start(stopping.signal).catch(notRunning);
      restarts.report();
      const wasSilent = await untilEnded(spec, kept.running, { silenceMs, log, stop: stopping.signal });
      const exit = await kept.running.exited;
      const livedMs = kept.running.pid === 0 ? 0 : performance.now() - startedAt;
      kept.running = undefined;
      if (stopping.signal.aborted) return;
      const reaction = reactionTo({ code: exit.code, livedMs, failures, startingUp });
      if (reaction.kind === 'give up') return gaveUp.reject(finalOf(spec, exit));
      failures = reaction.failures;
      const why = restartReasonOf(exit, wasSilent);
      restarts.count(spec.name, why);
      const startsAgainInMs = reaction.delayMs;
      log.warn({ child: spec.name, why, ...exit, startsAgainInMs }, 'child ended, it is started again');
      await pause(reaction.delayMs, stopping.signal);
    }
  };

  const start = async (spec: ChildSpec): Promise<Kept> => {
    restarts.add(spec.name);
    const kept: Omit<Kept, 'done'> = { name: spec.name, running: await spec.start(stopping.signal) };
    return Object.assign(kept, { done: keep(spec, kept) });
  };

  return {
    givenUp: gaveUp.promise,
    async run(stage) {
      const started = await Promise.allSettled(stage.map(start));
      stages.push(started.flatMap(result => (result.status === 'fulfilled' ? [result.value] : [])));
      restarts.report();
      for (const result of started) if (result.status === 'rejected') throw result.reason;
    },
    markReady() {
      startingUp = false;
    },
    async stop(totalMs) {
      stopping.abort();
      const waits = () => stages.flat().flatMap(({ name, running }) => (running === undefined ? [] : [name]));
      const patience = setTimeout(() => log.warn({ children: waits() }, 'still draining'), sayWaitingAfterMs);
      await stopInReverse(stages, totalMs);
      clearTimeout(patience);
    },
    kill() {
      stopping.abort();
      for (const { running } of stages.flat()) if (running?.pid) process.kill(running.pid, 'SIGKILL');
    },
  };
}

/** Counts how often each child was started again and why, and sends the counts to every child, for its metrics. */
function createRestartBook(children: () => readonly Kept[]) {
  const restarts = new Map<string, Record<RestartReason, number>>();
  const countsOf = (name: string) => {
    const none = () => Object.fromEntries(restartReasons.map(reason => [reason, 0])) as Record<RestartReason, number>;
    const counts = restarts.get(name) ?? none();
    restarts.set(name, counts);
    return counts;
  };
  const report = () => {
    const childRestarts = [...restarts].flatMap(([child, counts]) =>
      restartReasons.map(reason => ({ child, reason, count: counts[reason] })),
    );
    for (const { running } of children()) running?.send?.({ childRestarts } satisfies RestartCounts);
  };
  return {
    add: (name: string) => void countsOf(name),
    count(name: string, why: RestartReason) {
      countsOf(name)[why]++;
      report();
    },
    report,
  };
}

/** Returns whether it had to be ended because it did not answer. */
async function untilEnded(
  { name, healthUrl }: ChildSpec,
  running: Running,
  { silenceMs, log, stop }: { readonly silenceMs: number; readonly log: Logger; readonly stop: AbortSignal },
): Promise<boolean> {
  const watching = new AbortController();
  let wasSilent = false;
  const onSilent = (silentMs: number) => {
    log.error({ child: name, pid: running.pid, silentMs }, 'child does not answer /healthz: it is ended');
    wasSilent = true;
    process.kill(running.pid, 'SIGKILL');
  };
  const signal = AbortSignal.any([watching.signal, stop]);
  if (healthUrl !== undefined && running.pid > 0)
    void watchHealth({ url: healthUrl, timeoutMs: silenceMs, onSilent, signal });
  await running.exited;
  watching.abort();
  return wasSilent;
}

const sayWaitingAfterMs = 3_000;

/** Each stage may use the remaining time, minus a second for each stage behind it. */
async function stopInReverse(stages: readonly (readonly Kept[])[], totalMs: number): Promise<void> {
  const deadline = performance.now() + totalMs;
  for (const [index, stage] of [...stages.entries()].reverse()) {
    const timeoutMs = Math.max(500, deadline - performance.now() - index * 1_000);
    await Promise.all(stage.map(kept => kept.running?.stop(timeoutMs)));
    await Promise.all(stage.map(kept => kept.done));
  }
}

/** Represents a failed start as a child that ended at once. */
function notRunning(error: unknown): Running {
  const code = error instanceof ConfigError ? exitCodes.config : null;
  const exit: Exit = { code, signal: null, reason: messageOf(error) };
  return { pid: 0, exited: Promise.resolve(exit), stop: () => Promise.resolve() };
}

function finalOf(spec: ChildSpec, exit: Exit): ConfigError {
  return new ConfigError(exit.reason ?? `${spec.name} ended with exit code ${exit.code}`);
}
