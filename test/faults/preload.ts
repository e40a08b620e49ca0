/**
 * `CRASH_AT=<step-point> CRASH_NTH=3 CRASH_ACTION=kill CRASH_LOG=<file> node --import ./test/faults/preload.ts …`:
 * the process does it when it reaches the step-point for the n-th time, and says so in the file before.
 */
import { appendFileSync } from 'node:fs';
import { plantInSource } from '../mutations/plant-in-source.ts';
import { stepPointNamed } from './step-points.ts';

declare global {
  var reachStepPoint: ((name: string) => void) | undefined;
}

const { CRASH_AT, CRASH_NTH = '1', CRASH_ACTION = 'kill', CRASH_LOG } = process.env;
if (CRASH_AT && CRASH_LOG) {
  plantInSource(stepPointNamed(CRASH_AT));
  let left = Number(CRASH_NTH);
  globalThis.reachStepPoint = () => {
    if (--left !== 0) return;
    appendFileSync(CRASH_LOG, `${CRASH_AT}\n`, { flush: true });
    if (CRASH_ACTION === 'fail') throw new Error(`step-point ${CRASH_AT}: the answer is lost`);
    process.kill(process.pid, CRASH_ACTION === 'stop' ? 'SIGSTOP' : 'SIGKILL');
  };
}
