/**
 * The directory of a spool on a real disk. What `sync` and `create` have promised is there after the machine lost its
 * power. A file that was removed may come back then: it is replayed once more, which is harmless.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError, messageOf } from '../../infra/errors.ts';

export interface SpoolFile {
  append(bytes: Buffer): Promise<void>;
  sync(): Promise<void>;
  close(): Promise<void>;
}

export interface SpoolDisk {
  /** The oldest first. */
  list(): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  create(name: string): Promise<SpoolFile>;
  read(name: string): Promise<Buffer>;
  remove(name: string): Promise<void>;
  /** Keeps it under another name, for people. It is not listed any more. */
  putAside(name: string): Promise<void>;
}

/** Their names are numbers of equal length, so they sort by age. */
const namePattern = /^\d{12}\.spool$/;

/** @throws ConfigError when it cannot be created */
export async function openSpoolDisk(directory: string): Promise<SpoolDisk> {
  try {
    await mkdir(directory, { recursive: true });
    await syncDirectory(dirname(directory));
  } catch (error) {
    throw new ConfigError(`INGEST_SPOOL_DIR=${directory}: cannot be used (${messageOf(error)})`, { cause: error });
  }
  const pathOf = (name: string) => join(directory, name);
  return {
    async list() {
      const names = (await readdir(directory)).filter(name => namePattern.test(name)).sort();
      return await Promise.all(names.map(async name => ({ name, bytes: (await stat(pathOf(name))).size })));
    },
    async create(name) {
      const handle = await open(pathOf(name), 'ax', 0o600);
      await syncDirectory(directory);
      return {
        append: bytes => handle.appendFile(bytes),
        sync: () => handle.datasync(),
        close: () => handle.close(),
      };
    },
    read: name => readFile(pathOf(name)),
    remove: name => rm(pathOf(name)),
    putAside: name => rename(pathOf(name), `${pathOf(name)}.unreadable`),
  };
}

/** The name of a new file is on the disk only when its directory is. */
async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
