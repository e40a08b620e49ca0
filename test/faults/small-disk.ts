/** A file system of its own for a store or a broker, small enough to be filled. */
import { execFile, spawnSync } from 'node:child_process';
import { appendFileSync, mkdtempSync, rmdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const defaultSizeMb = 384;

/**
 * `mostFiles`: with the directory itself. @throws Error where this user may not mount: the fault "disk full" cannot be had
 * there
 */
export async function mountSmallDisk(
  directory: string,
  sizeMb = defaultSizeMb,
  mostFiles?: number,
): Promise<AsyncDisposable> {
  const run = promisify(execFile);
  const size = [`size=${sizeMb}m`, ...(mostFiles === undefined ? [] : [`nr_inodes=${mostFiles}`])].join(',');
  try {
    await run('mount', ['-t', 'tmpfs', '-o', size, 'adclicks-faults', directory]);
  } catch (error) {
    throw new Error(
      'the fault "disk full" needs the right to mount a tmpfs (root): leave that round out with --rounds',
      {
        cause: error,
      },
    );
  }
  const onExit = () => void spawnSync('umount', ['-l', directory]);
  process.once('exit', onExit);
  return {
    async [Symbol.asyncDispose]() {
      process.off('exit', onExit);
      await run('umount', ['-l', directory]);
    },
  };
}

/** Until nothing goes into the disk of this file any more. */
export function fillDisk(path: string): void {
  for (const bytes of [64 << 10, 4 << 10, 1]) {
    try {
      for (;;) appendFileSync(path, Buffer.alloc(bytes));
    } catch (error) {
      if (!`${error}`.includes('ENOSPC')) throw error;
    }
  }
}

export async function canMountSmallDisk(): Promise<boolean> {
  const directory = mkdtempSync(join(tmpdir(), 'adclicks-mount-'));
  try {
    await using _ = await mountSmallDisk(directory);
    return true;
  } catch {
    return false;
  } finally {
    rmdirSync(directory);
  }
}
