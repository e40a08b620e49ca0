/**
 * Returns the memory that a process no longer needs once it has become idle.
 *
 * V8 does this only while a process continues to allocate. Memory from the start or from a busy hour, which is half of
 * what a small process has, would otherwise stay for as long as nothing happens. So when the event loop has had almost
 * nothing to do for twenty seconds, everything is collected, which takes some tens of ms. It is collected again only
 * after the heap has grown. A large heap is left alone, because collecting it would delay the first click after the
 * pause.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** The measurements of about the last ten seconds. */
export interface Reading {
  /** The part of the time in which the event loop was busy, from 0 to 1. */
  readonly utilization: number;
  readonly heapUsedMb: number;
  readonly heapTotalMb: number;
}

const readEveryMs = 10_000;
const idleReadings = 2;
const idleUtilization = 0.05;
const largestHeapMb = 96;
/** A smaller growth is not worth a collection. */
const growthMb = 12;

export function createIdleJudge() {
  let idleFor = 0;
  let keptMb = 0;
  return {
    /** Returns whether it is time to collect everything. */
    isDue({ utilization, heapUsedMb, heapTotalMb }: Reading): boolean {
      idleFor = utilization < idleUtilization ? idleFor + 1 : 0;
      return idleFor >= idleReadings && heapUsedMb <= largestHeapMb && heapTotalMb >= keptMb + growthMb;
    },
    /** Records the size of the heap after a collection. */
    collected(heapTotalMb: number): void {
      keptMb = heapTotalMb;
    },
  };
}

/** Its timer does not keep the process alive. */
export function handBackMemoryWhenIdle(): void {
  const judge = createIdleJudge();
  let before = performance.eventLoopUtilization();
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization();
    const { utilization } = performance.eventLoopUtilization(now, before);
    before = now;
    if (!judge.isDue({ utilization, ...heap() })) return;
    collectEverything();
    judge.collected(heap().heapTotalMb);
  }, readEveryMs);
  timer.unref();
}

function heap(): { readonly heapUsedMb: number; readonly heapTotalMb: number } {
  const { heapUsed, heapTotal } = process.memoryUsage();
  return { heapUsedMb: heapUsed / 2 ** 20, heapTotalMb: heapTotal / 2 ** 20 };
}

let collect: ((how: object) => void) | undefined;

/** V8 shows its collector only to a context that is created under this flag, and to no other code of the process. */
function collectEverything(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as (how: object) => void;
    setFlagsFromString('--no-expose-gc');
  }
  collect({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
