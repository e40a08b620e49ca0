/**
 * Waits until a started program answers, for as long as it makes progress, up to a limit that the user sets. On a busy
 * machine a broker that normally starts in 3 s takes minutes, and ending it for that would begin them again.
 *
 * A program makes progress while it uses CPU time or writes to its logs. Time in which this process itself did not run
 * does not count as standing still. Every few seconds it reports what it waits for, and the likely reason.
 */

import { existsSync, readFileSync, statSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { messageOf, Retryable } from '../errors.ts';
import { pause } from '../pause.ts';
import { cpuTimeOf } from './process-identity.ts';

export interface StartLimits {
  /** The limit of the whole start in ms, from START_TIMEOUT_MS. */
  readonly timeoutMs?: number | undefined;
  /** Prints a step for the user. */
  readonly say?: ((line: string) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface StartedProgram extends StartLimits {
  /** The name that people know. */
  readonly name: string;
  readonly pid: number;
  /** Files that it writes while it starts, with the most informative first. */
  readonly logs: readonly string[];
  readonly isReady: () => Promise<boolean>;
  /** For tests. */
  readonly pauseMs?: number;
  readonly reportEveryMs?: number;
  readonly standstillMs?: number;
}

export const defaultStartTimeoutMs = 900_000;

/** Resolves when it is ready. @throws Error with its last output, or the signal's reason when it fires */
export async function untilStarted(program: StartedProgram): Promise<void> {
  const { name, isReady, signal, say, timeoutMs = defaultStartTimeoutMs } = program;
  const { pauseMs = 25, reportEveryMs = 5_000, standstillMs = 120_000 } = program;
  const startedAt = performance.now();
  let stoodMs = 0;
  let seen = signsOfLife(program);
  let lookedAt = startedAt;
  let reportAt = startedAt + reportEveryMs;
  for (let turnAt = startedAt; ; ) {
    signal?.throwIfAborted();
    if (await isReady()) return;
    await pause(pauseMs, signal);
    const now = performance.now();
    stoodMs += Math.min(now - turnAt, longestTurnMs);
    turnAt = now;
    // The logs and the system's data are not read in each of these short turns.
    if (now - lookedAt >= Math.min(1_000, standstillMs / 4)) {
      lookedAt = now;
      const signs = signsOfLife(program);
      if (signs === undefined || signs !== seen) stoodMs = 0;
      seen = signs;
    }
    const tookS = ((now - startedAt) / 1_000).toFixed(0);
    if (now - startedAt >= timeoutMs)
      throw new Error(`${name} did not answer within ${timeoutMs / 1_000} s (START_TIMEOUT_MS)${lastWords(program)}`);
    if (stoodMs >= standstillMs)
      throw new Error(`${name} has made no progress with its start for ${standstillMs / 1_000} s${lastWords(program)}`);
    if (now < reportAt) continue;
    reportAt = now + reportEveryMs;
    say?.(`still waiting for ${name} after ${tookS} s${busyness()}${lastWords(program)}`);
  }
}

/**
 * Asks a program that has just started and may need time, again and again while it does. @throws any other error of
 * `work`, or the last one when the time is over
 */
export async function askedPatiently<T>(
  doing: string,
  { timeoutMs = defaultStartTimeoutMs, say, signal }: StartLimits,
  work: () => Promise<T>,
  pauseMs = 1_000,
): Promise<T> {
  for (const startedAt = performance.now(); ; ) {
    try {
      return await work();
    } catch (error) {
      const tookMs = performance.now() - startedAt;
      if (!(error instanceof Retryable) || signal?.aborted || tookMs >= timeoutMs) throw error;
      say?.(`still ${doing}, for ${(tookMs / 1_000).toFixed(0)} s${busyness()}: ${messageOf(error)}`);
      await pause(pauseMs, signal);
    }
  }
}

const longestTurnMs = 2_000;

/** Returns undefined when the system does not report it. Then only the limit of the whole start applies. */
function signsOfLife({ pid, logs }: StartedProgram): string | undefined {
  const cpuTime = cpuTimeOf(pid);
  if (cpuTime === undefined) return undefined;
  return [cpuTime, ...logs.map(log => statSync(log, { throwIfNoEntry: false })?.size ?? 0)].join(' ');
}

/** Returns nothing when the machine has enough time for everything that runs on it. */
export function busyness(load = loadavg()[0] ?? 0, cores = availableParallelism()): string {
  if (load <= 2 * cores) return '';
  return ` (the machine is busy: ${load.toFixed(0)} processes compete for its ${cores} cores)`;
}

function lastWords({ logs }: StartedProgram): string {
  for (const log of logs) {
    const last = existsSync(log) ? readFileSync(log, 'utf8').trimEnd().split('\n').at(-1) : '';
    if (last) return `; it last said: ${last.trim().slice(0, 160)} (see ${log})`;
  }
  return '';
}
