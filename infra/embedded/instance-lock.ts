/**
 * Allows only one running instance per data directory. The lock file names its owner by pid and start time. So the file
 * of a killed instance is taken over without a question, even when its pid now belongs to another program.
 *
 * On a full disk the lock is a symbolic link with that text, which needs no room: whoever has to drain a directory must be
 * able to start.
 */
import { lstatSync, mkdirSync, readlinkSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ConfigError, messageOf } from '../errors.ts';
import { readRegularFileSync } from '../regular-file.ts';
import { identityOf, livingPid } from './process-identity.ts';

/**
 * Disposing of the lock releases the directory. `setting` names it in errors. @throws ConfigError when another instance runs on the directory, or it
 * cannot be written
 */
export async function lockDataDir(dataDir: string, setting = 'DATA_DIR'): Promise<Disposable> {
  const path = join(dataDir, 'instance.lock');
  const own = identityOf(process.pid);
  writable(dataDir, setting);
  while (!create(path, own, setting)) {
    const holder = await holderOf(path, setting);
    if (holder === undefined) continue;
    refuseIfLiving(holder, dataDir, setting);
    putAside(path, own, dataDir, setting);
  }
  return {
    [Symbol.dispose]() {
      if (ownerIn(path) === own) rmSync(path, { force: true });
    },
  };
}

function writable(dataDir: string, setting: string): void {
  try {
    mkdirSync(dataDir, { recursive: true });
  } catch (error) {
    throw new ConfigError(`${setting}=${dataDir}: cannot be created (${codeOf(error)})`, { cause: error });
  }
}

function create(path: string, own: string, setting: string): boolean {
  try {
    writeFileSync(path, own, { flag: 'wx' });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    if (codeOf(error) === 'ENOSPC') return createLink(path, own, setting);
    throw new ConfigError(`${setting}: ${path} cannot be written (${codeOf(error)})`, { cause: error });
  }
}

/** The file is there by now, without its text. Whoever finds it so before it is removed takes it for a dead one's. */
function createLink(path: string, own: string, setting: string): boolean {
  try {
    rmSync(path, { force: true });
    symlinkSync(own, path);
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw new ConfigError(`${setting}: ${path} cannot be written (${codeOf(error)})`, { cause: error });
  }
}

/**
 * Returns undefined when the file is gone. It is empty for a moment while its owner writes it. If it is empty for
 * longer, its owner died during that.
 */
async function holderOf(path: string, setting: string): Promise<string | undefined> {
  const holder = read(path, setting);
  if (holder !== '') return holder;
  await sleep(200);
  return read(path, setting);
}

function refuseIfLiving(holder: string, dataDir: string, setting: string): void {
  const pid = livingPid(holder);
  if (pid === undefined) return;
  throw new ConfigError(
    `another instance (pid ${pid}) runs on ${setting}=${dataDir}: stop it, or choose another ${setting} (and other ports)`,
  );
}

/**
 * Renames the stale file before removing it, so that of several processes that found it stale, only one gets it. A
 * process that gets the winner's fresh file instead gives it back.
 */
function putAside(path: string, own: string, dataDir: string, setting: string): void {
  const aside = `${path}.${own.replaceAll(/[^\d]/g, '-')}`;
  try {
    renameSync(path, aside);
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return;
    throw error;
  }
  const holder = ownerIn(aside) ?? '';
  if (livingPid(holder) === undefined) rmSync(aside, { force: true });
  else renameSync(aside, path);
  refuseIfLiving(holder, dataDir, setting);
}

/** @throws ConfigError for what is there and is no lock: nobody can tell who has put it there, and it cannot be taken over */
function read(path: string, setting: string): string | undefined {
  try {
    return ownerIn(path);
  } catch (error) {
    throw new ConfigError(
      `${setting}: ${path} cannot be read (${messageOf(error)}): remove it if no other instance runs there`,
      { cause: error },
    );
  }
}

/** Returns undefined if there is no such file. */
function ownerIn(path: string): string | undefined {
  try {
    return lstatSync(path).isSymbolicLink() ? readlinkSync(path) : readRegularFileSync(path).toString();
  } catch (error) {
    if (codeOf(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? `${error.code}` : `${error}`;
}
