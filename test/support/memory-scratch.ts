/**
 * What the servers under test write goes into memory, where the machine has a directory for that (Linux: `/dev/shm`) with
 * enough room: brokers and ClickHouse create and remove thousands of small files, and to find a free inode for each took
 * ext4 a tenth of all CPU time of `npm test`. A server that is killed keeps its files there, too; the tests claim nothing
 * that only a disk would show.
 *
 * All of it is in one directory, which is removed with the run: of `npm test` (run.ts), else of vitest, which calls this once
 * for each project (vitest.config.ts). What a run has left that was killed itself is removed by the next one.
 */
import { mkdtempSync, readdirSync, rmSync, statfsSync } from 'node:fs';
import { join } from 'node:path';

const memory = '/dev/shm';
/** The most that was seen at once is a twentieth of it. A container often has 64 MB, which is too little. */
const leastFreeBytes = 2 * 2 ** 30;
const prefix = 'adclicks-test-';

/** For this process and those that it starts. Returns how to remove it. */
export default function useMemoryScratch(): () => void {
  if (process.env['TMPDIR'] !== undefined || freeBytes() < leastFreeBytes) return () => undefined;
  for (const name of readdirSync(memory)) if (isLeft(name)) remove(join(memory, name));
  const directory = mkdtempSync(join(memory, `${prefix}${process.pid}-`));
  process.env['TMPDIR'] = directory;
  return () => {
    delete process.env['TMPDIR'];
    remove(directory);
  };
}

function freeBytes(): number {
  try {
    const { bavail, bsize } = statfsSync(memory);
    return bavail * bsize;
  } catch {
    return 0;
  }
}

function isLeft(name: string): boolean {
  const pid = new RegExp(`^${prefix}(\\d+)-`).exec(name)?.[1];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

function remove(directory: string): void {
  rmSync(directory, { recursive: true, force: true, maxRetries: 3 });
}
