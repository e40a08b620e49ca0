/**
 * The life of one process: load, run until told to stop, close in reverse order of opening, exit with a telling code.
 * Exit codes: 0 asked to stop · 78 (EX_CONFIG) what the user configured cannot work · 1 anything else.
 */
import { setFlagsFromString } from 'node:v8';
import { ConfigError, messageOf, Retryable } from './errors.ts';
import type { Logger } from './log.ts';

export const exitCodes = { ok: 0, failure: 1, config: 78 } as const;

/** After a signal a process has this long to drain before it is ended. */
export const drainTimeoutMs = 8_000;

/**
 * Runs `main` with a signal that fires on SIGINT, SIGTERM, or when the supervising parent is gone.
 * `main` returns when it has drained; after `drainTimeoutMs` the process ends all the same.
 */
export async function runProcess(log: Logger, main: (stop: AbortSignal) => Promise<void>): Promise<void> {
  // By default V8 looks through all of its heap whenever 64 MB of buffers, which lie outside of it, have been made: ten
  // times a second while an aggregator catches up. So they count towards the limit of all memory instead.
  setFlagsFromString('--external-memory-accounted-in-global-limit');
  const stop = new AbortController();
  const onStop = (why: string) => {
    if (stop.signal.aborted) return;
    log.info({ why }, 'stopping');
    endInTime(log);
    stop.abort();
  };
  process.on('SIGINT', () => onStop('SIGINT'));
  process.on('SIGTERM', () => onStop('SIGTERM'));
  process.on('disconnect', () => onStop('supervisor gone'));
  try {
    await main(stop.signal);
    process.exit(exitCodes.ok);
  } catch (error) {
    // Who was waiting for another system when it was told to stop has nothing to drain.
    process.exit(stop.signal.aborted && error instanceof Retryable ? exitCodes.ok : reportFatal(log, error));
  }
}

/**
 * `promise` rejects once `crash` is called, also if nobody waits for it yet: what ends a process from within, within
 * `drainTimeoutMs` whatever hangs then. What a stall watch has noticed may well hang when it is closed.
 */
export function createCrash(log: Logger): { crash: (error: Error) => void; promise: Promise<never> } {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  let isCrashing = false;
  const crash = (error: Error) => {
    if (!isCrashing) {
      log.error({ why: messageOf(error) }, 'ending');
      endInTime(log);
    }
    isCrashing = true;
    reject(error);
  };
  return { crash, promise };
}

function endInTime(log: Logger): void {
  setTimeout(() => {
    log.error({ drainTimeoutMs }, 'not drained in time, exiting');
    process.exit(exitCodes.failure);
  }, drainTimeoutMs).unref();
}

/** One line for what a user can mend, a stack for what is our fault. Returns the exit code. */
export function reportFatal(log: Logger, error: unknown): number {
  const friendly = asConfigError(error);
  if (friendly) {
    log.fatal(friendly.message);
    return exitCodes.config;
  }
  log.fatal({ err: error }, messageOf(error));
  return exitCodes.failure;
}

/** Resolves when `signal` fires; at once if it has. */
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
    return new ConfigError(`no space left on the disk${path ? ` (${path})` : ''}: free some and start again`);
  return undefined;
}
