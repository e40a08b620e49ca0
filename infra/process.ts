/**
 * Runs the life of one process: load, run until told to stop, close in reverse order of opening, and exit with a
 * meaningful code (exit-codes.ts). A process whose event loop stands still does not get that far: its watchdog ends it,
 * see infra/watchdog.ts.
 */
import { setFlagsFromString } from 'node:v8';
import { takeRestartCounts } from './child-restarts.ts';
import { loadConfig, ProcessConfig } from './config.ts';
import { ConfigError, messageOf, Retryable } from './errors.ts';
import { exitCodes } from './exit-codes.ts';
import { handBackMemoryWhenIdle } from './idle-memory.ts';
import { beginLife, crashTimeoutMs, type Life } from './life.ts';
import type { Logger } from './log.ts';
import { startWatchdog } from './watchdog.ts';

export interface ProcessOptions {
  readonly env?: NodeJS.ProcessEnv;
  /**
   * Additional milliseconds that it may take to stop beyond `DRAIN_TIMEOUT_MS`, for a process that waits for others
   * with that limit.
   */
  readonly addedDrainMs?: number;
  /** Is called before the process ends at once, because it was told to stop a second time. */
  readonly onSecondSignal?: () => void;
}

/**
 * A second signal within this time counts as the first one: npm passes on the Ctrl-C that its terminal sends to all. A
 * process with a supervisor gets one signal from it, and an earlier one if a whole control group is stopped. The first
 * one counts.
 */
const echoMs = 500;

/**
 * Runs `main` with a signal that fires when it must accept nothing new and drain: some time after SIGINT, SIGTERM, or
 * the end of the supervising parent (see infra/life.ts). `main` returns when it has drained. After `DRAIN_TIMEOUT_MS`
 * the process ends in any case, and at once when it is told to stop a second time.
 */
export async function runProcess(
  log: Logger,
  main: (stop: AbortSignal, life: Life) => Promise<void>,
  { env = process.env, addedDrainMs = 0, onSecondSignal }: ProcessOptions = {},
): Promise<void> {
  // By default V8 collects its whole heap whenever 64 MB of buffers, which are outside of it, have been created. That
  // is ten times a second while an aggregator catches up. With this flag they count towards the limit of all memory
  // instead.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  const config = loadOrExit(log, env);
  startWatchdog(log, config.EVENT_LOOP_STALL_MS);
  handBackMemoryWhenIdle();
  takeRestartCounts(String(log.bindings()['service']));
  const { life, leave } = beginLife(config, () => endInTime(log, config.DRAIN_TIMEOUT_MS + addedDrainMs));
  let toldAt: number | undefined;
  const onStop = (why: string) => {
    if (toldAt === undefined) {
      toldAt = performance.now();
      log.info({ why }, 'stopping');
      leave();
    } else if (why.startsWith('SIG') && !process.connected && performance.now() - toldAt >= echoMs) {
      log.warn({ why }, 'asked to stop a second time: ending at once');
      onSecondSignal?.();
      process.exit(exitCodes.failure);
    }
  };
  process.on('SIGINT', () => onStop('SIGINT'));
  process.on('SIGTERM', () => onStop('SIGTERM'));
  process.on('disconnect', () => onStop('supervisor gone'));
  try {
    await main(life.stop, life);
    process.exit(exitCodes.ok);
  } catch (error) {
    // A process that was waiting for another system when it was told to stop has nothing to drain.
    process.exit(life.stop.aborted && error instanceof Retryable ? exitCodes.ok : reportFatal(log, error));
  }
}

function loadOrExit(log: Logger, env: NodeJS.ProcessEnv): ProcessConfig {
  try {
    return loadConfig(ProcessConfig, env);
  } catch (error) {
    process.exit(reportFatal(log, error));
  }
}

/**
 * `promise` rejects once `crash` is called, even if nobody waits for it yet. It ends a process from within, in
 * `crashTimeoutMs` whatever hangs then. Something that a stall watch has noticed may well hang while it is closed.
 */
export function createCrash(log: Logger): { crash: (error: Error) => void; promise: Promise<never> } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  let isCrashing = false;
  const crash = (error: Error) => {
    if (!isCrashing) {
      log.error({ why: messageOf(error) }, 'ending');
      endInTime(log, crashTimeoutMs);
    }
    isCrashing = true;
    reject(error);
  };
  return { crash, promise };
}

/**
 * The timer keeps the process alive. Otherwise a process that hangs with nothing to wait for would end without a
 * message.
 */
function endInTime(log: Logger, limitMs: number): void {
  setTimeout(() => {
    log.error({ limitMs }, 'not drained in time, exiting');
    process.exit(exitCodes.failure);
  }, limitMs);
}

/**
 * Logs one line for an error that a user can correct, and a stack for an error of the program. Returns the exit code.
 */
export function reportFatal(log: Logger, error: unknown): number {
  const friendly = asConfigError(error);
  if (friendly) {
    log.fatal(friendly.message);
    return exitCodes.config;
  }
  log.fatal({ err: error }, messageOf(error));
  return exitCodes.failure;
}

/** Resolves when `signal` fires, or at once if it already has. */
export function aborted(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise(resolve => signal.addEventListener('abort', () => resolve(), { once: true }));
}

function asConfigError(error: unknown): ConfigError | undefined {
  if (error instanceof ConfigError) return error;
  const { code, port, address, path } = error as NodeJS.ErrnoException & { port?: number; address?: string };
  if (code === 'EADDRINUSE')
    return new ConfigError(`port ${port} on ${address} is taken: stop what listens there, or choose another port`);
  if (code === 'EACCES' && port) return new ConfigError(`port ${port} on ${address} may not be opened by this user`);
  if (code === 'ENOSPC')
    return new ConfigError(`no space left on the disk${path ? ` (${path})` : ''}: free some space and start again`);
  return undefined;
}
