/**
 * Ends a process whose event loop stands still for `EVENT_LOOP_STALL_MS`, with one line that says so. So no process of
 * ours is alive and silent. What ends it must be outside of that event loop, because no timer and no signal handler
 * runs there: a thread checks whether the loop still beats (infra/watchdog-thread.ts).
 *
 * It ends by SIGALRM, which nothing of ours handles: code 142, so that a supervisor can distinguish it from a kill.
 */
import { url as inspectorUrl } from 'node:inspector';
import { Worker } from 'node:worker_threads';
import type { Logger } from './log.ts';

export const stallSignal = 'SIGALRM';

/** The exit code that an init or a shell reports for that signal. */
export const stallExitCode = 142;

export interface WatchdogData {
  /** An Int32 that grows as long as the event loop runs. */
  readonly shared: SharedArrayBuffer;
  readonly stallMs: number;
  readonly turnMs: number;
  readonly service: string;
}

export function startWatchdog(log: Logger, stallMs: number): void {
  // A process that stands at a breakpoint does so on purpose.
  if (inspectorUrl() !== undefined) {
    log.warn('a debugger is attached, so the watchdog is off');
    return;
  }
  if (process.pid === 1)
    log.warn(
      'this is the first process of its container, which the kernel protects from its watchdog: start it under an init process',
    );
  const turnMs = Math.min(1_000, stallMs / 10);
  const shared = new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT);
  const beats = new Int32Array(shared);
  setInterval(() => Atomics.add(beats, 0, 1), turnMs / 2).unref();
  const compiled = process.env['NODE_COMPILE_CACHE'];
  const workerData: WatchdogData = { shared, stallMs, turnMs, service: String(log.bindings()['service']) };
  const thread = new Worker(new URL('./watchdog-thread.ts', import.meta.url), {
    workerData,
    name: 'watchdog',
    // No option of the process concerns this thread, except the cache of compiled code. Stripping its types again would
    // take 11 MB, which would stay.
    ...{ execArgv: [], env: compiled === undefined ? {} : { NODE_COMPILE_CACHE: compiled } },
    resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
  });
  thread.unref();
  thread.once('error', error => {
    log.fatal(
      { err: error },
      'the watchdog has failed: the process ends, because nobody would notice if it stood still',
    );
    process.exit(1);
  });
}
