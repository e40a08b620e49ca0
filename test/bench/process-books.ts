/** What a process takes, from the system's own books (Linux: /proc): CPU, memory, and how often it is woken. */
import { readdirSync, readFileSync } from 'node:fs';
import { costOf } from './process-cost.ts';

export interface ProcessBooks {
  /** So far. */
  readonly cpuSeconds: number;
  readonly rssMb: number;
  /** What no file holds: heaps, stacks, what was written to. */
  readonly ownMb: number;
  /** MB of each file (programs, libraries) that is in memory, by device and inode. */
  readonly fileMb: ReadonlyMap<string, number>;
  /** So far, of all threads that live: how often one was woken, or had to wait. */
  readonly switches: number;
}

export function readBooks(pid: number): ProcessBooks {
  const fileMb = new Map<string, number>();
  let [rssMb, ownMb, file] = [0, 0, ''];
  for (const line of readFileSync(`/proc/${pid}/smaps`, 'utf8').split('\n')) {
    const mapping = /^[\da-f]+-[\da-f]+ \S+ \S+ (\S+) (\d+)/.exec(line);
    if (mapping) file = `${mapping[1]} ${mapping[2]}`;
    const [, name, kb] = /^(Rss|Anonymous):\s+(\d+) kB/.exec(line) ?? [];
    if (name === undefined) continue;
    const mb = Number(kb) / 1_024;
    if (name === 'Rss') rssMb += mb;
    else ownMb += mb;
    fileMb.set(file, (fileMb.get(file) ?? 0) + (name === 'Rss' ? mb : -mb));
  }
  const switches = [...threadsOf(pid).values()].reduce((all, thread) => all + thread.switches, 0);
  return { cpuSeconds: costOf(pid).cpuSeconds, rssMb, ownMb, fileMb, switches };
}

/** What all of them take together: a file that several have mapped is in memory once. */
export function togetherMb(processes: readonly ProcessBooks[]): number {
  const files = new Map<string, number>();
  for (const { fileMb } of processes)
    for (const [file, mb] of fileMb) files.set(file, Math.max(files.get(file) ?? 0, mb));
  return [...processes.map(process => process.ownMb), ...files.values()].reduce((all, mb) => all + mb, 0);
}

export interface Thread {
  readonly name: string;
  readonly cpuMs: number;
  readonly switches: number;
}

/** By its id. */
export function threadsOf(pid: number): Map<string, Thread> {
  return new Map(
    readdirSync(`/proc/${pid}/task`).flatMap(id => {
      try {
        const read = (file: string) => readFileSync(`/proc/${pid}/task/${id}/${file}`, 'utf8');
        const counted = [...read('status').matchAll(/_ctxt_switches:\s+(\d+)/g)].map(match => Number(match[1]));
        const cpuMs = Number(read('schedstat').split(' ')[0]) / 1e6;
        const switches = counted.reduce((all, count) => all + count, 0);
        return [[id, { name: read('comm').trim(), cpuMs, switches }] as const];
      } catch {
        return []; // It has just ended.
      }
    }),
  );
}
