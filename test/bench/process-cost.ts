/** What a process has cost so far, from the system's own books (Linux: /proc). */
import { readFileSync } from 'node:fs';

export interface ProcessCost {
  readonly cpuSeconds: number;
  readonly peakMb: number;
}

export function costOf(pid: number): ProcessCost {
  if (pid === 0) return { cpuSeconds: 0, peakMb: 0 };
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  const ticks = Number(fields[11]) + Number(fields[12]);
  const peak = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return { cpuSeconds: ticks / 100, peakMb: Number(peak?.[1] ?? 0) / 1024 };
}
