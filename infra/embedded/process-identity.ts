/**
 * Finds out which process a stored pid belongs to. Pids are reused, so a pid alone proves nothing: a process is
 * identified by its pid together with its start time, or by its command line.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * A process that has ended but was not yet reaped by its parent (a zombie) holds nothing any more, so it counts as not
 * alive.
 */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !stateOf(pid)?.startsWith('Z');
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

/** Returns a line about a process of this machine that can be stored, and by which `livingPid` finds the process. */
export function identityOf(pid: number): string {
  return `${pid} ${startTimeOf(pid) ?? ''}`;
}

/** Returns the pid in `identity` if exactly that process still exists. */
export function livingPid(identity: string): number | undefined {
  const pid = Number.parseInt(identity, 10);
  return pid > 0 && isAlive(pid) && identityOf(pid) === identity ? pid : undefined;
}

/** Returns `R`, `S`, `Z` …, as the system reports it. */
function stateOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  return stat === undefined ? ps(pid, 'state=') : stat.slice(stat.lastIndexOf(')') + 2);
}

/** Equal texts mean the same process. Returns undefined when there is none. */
function startTimeOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return ps(pid, 'lstart=');
  // The second field is the program's name in brackets, which may contain spaces. So the fields after it are counted.
  const ticksSinceBoot = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  return `${read('/proc/sys/kernel/random/boot_id')?.trim() ?? ''}/${ticksSinceBoot}`;
}

/** Returns the CPU time that it has used, in any unit. Two texts are equal only if it used none in between. */
export function cpuTimeOf(pid: number): string | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return ps(pid, 'time=');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return `${fields[11]} ${fields[12]}`;
}

/** Returns the arguments, separated by spaces, or undefined when there is no such process. */
export function commandLineOf(pid: number): string | undefined {
  return read(`/proc/${pid}/cmdline`)?.replaceAll('\0', ' ') ?? ps(pid, 'command=');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function ps(pid: number, column: string): string | undefined {
  try {
    const output = execFileSync('ps', ['-ww', '-o', column, '-p', `${pid}`], { stdio: ['ignore', 'pipe', 'ignore'] });
    return output.toString('utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
