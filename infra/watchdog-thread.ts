/**
 * Runs the thread that ends the process when its event loop no longer beats. It uses nothing of the main thread,
 * neither streams nor the logger, because those write through it.
 */
import { readFileSync, writeSync } from 'node:fs';
import { hostname } from 'node:os';
import { workerData } from 'node:worker_threads';
import type { WatchdogData } from './watchdog.ts';
import { type Turn, WatchdogClock } from './watchdog-clock.ts';

const { shared, stallMs, turnMs, service }: WatchdogData = workerData;
const beats = new Int32Array(shared);
const clock = new WatchdogClock(turnMs, turn());
let ranMsAtBeat = threadTimes().ranMs;

const watching = setInterval(() => {
  const stoodMs = clock.stoodMs(turn());
  if (stoodMs === 0) ranMsAtBeat = threadTimes().ranMs;
  if (stoodMs >= stallMs) end(Math.round(stoodMs));
}, turnMs);

function turn(): Turn {
  return { nowMs: performance.now(), beats: Atomics.load(beats, 0), waitedMs: threadTimes().waitedMs };
}

function end(stoodMs: number): void {
  clearInterval(watching);
  const usedCpuMs = Math.round(threadTimes().ranMs - ranMsAtBeat);
  const how = usedCpuMs > stoodMs / 2 ? 'runs without end' : 'waits for something outside of JavaScript';
  const msg = 'stalled: the event loop stands still, the watchdog ends the process';
  const line = { level: 'error', time: Date.now(), service, pid: process.pid, hostname: hostname() };
  try {
    writeSync(2, `${JSON.stringify({ ...line, stoodMs, limitMs: stallMs, usedCpuMs, how, msg })}\n`);
  } catch {
    // Nobody reads what it says: it ends all the same.
  }
  process.kill(process.pid, 'SIGALRM');
  setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1_000);
}

/**
 * Returns the processor time of the main thread, and for how long it has waited for a processor. Outside of Linux both
 * are zero.
 */
function threadTimes(): { readonly ranMs: number; readonly waitedMs: number } {
  try {
    const text = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
    const [ranNs = 0, waitedNs = 0] = text.split(' ').map(Number);
    return { ranMs: ranNs / 1e6, waitedMs: waitedNs / 1e6 };
  } catch {
    return { ranMs: 0, waitedMs: 0 };
  }
}
