/**
 * The directory of a spool on a real disk. What `sync` and `create` have promised is there after the machine lost its
 * power. A file that was removed may come back then: it is replayed once more, which is harmless.
 */
import { mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { readRegularFile } from '../../infra/regular-file.ts';

export interface SpoolFile {
  append(bytes: Buffer): Promise<void>;
  sync(): Promise<void>;
  /** Removes what is behind so many bytes. */
  cut(bytes: number): Promise<void>;
  close(): Promise<void>;
}

export interface SpoolDisk {
  /** The oldest first, whether they can be read or not. */
  list(): Promise<readonly { readonly name: string; readonly bytes: number }[]>;
  /** How many were put aside. */
  countAside(): Promise<number>;
  create(name: string): Promise<SpoolFile>;
  read(name: string): Promise<Buffer>;
  remove(name: string): Promise<void>;
  /** Keeps it under another name, for people. It is not listed any more. */
  putAside(name: string): Promise<void>;
}

/** Their names are numbers of equal length, so they sort by age. */
const namePattern = /^\d{12}\.spool$/;
const asidePattern = /^\d{12}\.spool\.unreadable$/;
/** One of ours is ended at 4 MiB, and may have what was waiting then beside that. */
const mostFileBytes = 64 << 20;

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
      return await Promise.all(names.map(async name => ({ name, bytes: await sizeOf(pathOf(name)) })));
    },
    countAside: async () => (await readdir(directory)).filter(name => asidePattern.test(name)).length,
    async create(name) {
      const handle = await open(pathOf(name), 'ax', 0o600);
      await syncDirectory(directory);
      return {
        append: bytes => handle.appendFile(bytes),
        sync: () => handle.datasync(),
        cut: bytes => handle.truncate(bytes),
        close: () => handle.close(),
      };
    },
    read: name => readRegularFile(pathOf(name), mostFileBytes),
    remove: name => rm(pathOf(name)),
    putAside: name => rename(pathOf(name), `${pathOf(name)}.unreadable`),
  };
}

/** What cannot be looked at (a link to itself) is found when it is read. */
async function sizeOf(path: string): Promise<number> {
  return await stat(path).then(
    ({ size }) => size,
    () => 0,
  );
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
