/**
 * Allows only one running instance per data directory. The lock file names its owner by pid and start time. So the file
 * of a killed instance is taken over without a question, even when its pid now belongs to another program.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError } from '../errors.ts';
import { identityOf, livingPid } from './process-identity.ts';

/**
 * Disposing of the lock releases the directory. @throws ConfigError when another instance runs on the directory, or it
 * cannot be written
 */
export async function lockDataDir(dataDir: string): Promise<Disposable> {
  const path = join(dataDir, 'instance.lock');
  const own = identityOf(process.pid);
  writable(dataDir);
  while (!create(path, own)) {
    const holder = await holderOf(path);
    if (holder === undefined) continue;
    refuseIfLiving(holder, dataDir);
    putAside(path, own, dataDir);
  }
  return {
    [Symbol.dispose]() {
      if (read(path) === own) rmSync(path, { force: true });
    },
  };
}

function writable(dataDir: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    throw new ConfigError(`DATA_DIR=${dataDir}: cannot be created (${codeOf(error)})`, { cause: error });
  }
}

function create(path: string, own: string): boolean {
  try {
    writeFileSync(path, own, { flag: 'wx' });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new ConfigError(`DATA_DIR: ${path} cannot be written (${codeOf(error)})`, { cause: error });
  }
}

/**
 * Returns undefined when the file is gone. It is empty for a moment while its owner writes it. If it is empty for
 * longer, its owner died during that.
 */
async function holderOf(path: string): Promise<string | undefined> {
  const holder = read(path);
  if (holder !== '') return holder;
  await sleep(200);
  return read(path);
}

function refuseIfLiving(holder: string, dataDir: string): void {
  const pid = livingPid(holder);
  if (pid === undefined) return;
  throw new ConfigError(
    `another instance (pid ${pid}) runs on DATA_DIR=${dataDir}: stop it, or choose another DATA_DIR (and other ports)`,
  );
}

/**
 * Renames the stale file before removing it, so that of several processes that found it stale, only one gets it. A
 * process that gets the winner's fresh file instead gives it back.
 */
function putAside(path: string, own: string, dataDir: string): void {
  const aside = `${path}.${own.replaceAll(/[^\d]/g, '-')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const holder = read(aside) ?? '';
  if (livingPid(holder) === undefined) rmSync(aside, { force: true });
  else renameSync(aside, path);
  refuseIfLiving(holder, dataDir);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? `${error.code}` : `${error}`;
}
