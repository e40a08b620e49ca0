/**
 * Reads a file that a setting names, or that we keep for ourselves, and refuses what is no plain file, and one that is
 * larger than its reader allows.
 *
 * Whoever opens a named pipe waits until somebody writes into it, perhaps for ever, and a device may have no end. To read
 * a file of gigabytes by mistake ends the process. So the file is opened without waiting, and looked at before it is read.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';

/** Far more than a key, a certificate or a description of nodes has. */
const smallFileBytes = 1 << 20;

/** It does not wait for who writes into a named pipe. For plain files it changes nothing. */
const withoutWaiting = constants.O_RDONLY | constants.O_NONBLOCK;

/** Links are followed. @throws Error that says what is wrong, without the path where it is not the system's */
export async function readRegularFile(path: string, mostBytes: number): Promise<Buffer> {
  await using file = await open(path, withoutWaiting);
  const size = readableSize(await file.stat(), mostBytes);
  const pieces = new Pieces(mostBytes, size);
  while (pieces.add(await readInto(file, pieces.next())));
  return pieces.whole();
}

/** The same at a start, where nothing else waits. */
export function readRegularFileSync(path: string, mostBytes: number = smallFileBytes): Buffer {
  const file = openSync(path, withoutWaiting);
  try {
    const pieces = new Pieces(mostBytes, readableSize(fstatSync(file), mostBytes));
    while (pieces.add(readSync(file, pieces.next())));
    return pieces.whole();
  } finally {
    closeSync(file);
  }
}

async function readInto(file: FileHandle, into: Buffer): Promise<number> {
  return (await file.read(into)).bytesRead;
}

function readableSize(stats: Stats, mostBytes: number): number {
  if (!stats.isFile()) throw new Error(`must be a file, and is ${kindOf(stats)}`);
  if (stats.size > mostBytes) throw tooLarge(stats.size, mostBytes);
  return stats.size;
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a directory';
  if (stats.isFIFO()) return 'a named pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

function tooLarge(bytes: number, mostBytes: number): Error {
  return new Error(`has ${bytes} bytes, but may have ${mostBytes}`);
}

/** What was read of a file, which may grow meanwhile, or have told no size (as files of /proc). */
class Pieces {
  readonly #mostBytes: number;
  #bytes: Buffer;
  #length = 0;

  constructor(mostBytes: number, size: number) {
    this.#mostBytes = mostBytes;
    // With room for one more, so that the end is seen.
    this.#bytes = Buffer.allocUnsafe(size + 1);
  }

  /** Where to read into. */
  next(): Buffer {
    if (this.#length === this.#bytes.length) {
      const larger = Buffer.allocUnsafe(Math.min(2 * this.#length + 4_096, this.#mostBytes + 1));
      this.#bytes.copy(larger, 0, 0, this.#length);
      this.#bytes = larger;
    }
    return this.#bytes.subarray(this.#length);
  }

  /** Returns false at the end. */
  add(length: number): boolean {
    this.#length += length;
    if (this.#length > this.#mostBytes) throw tooLarge(this.#length, this.#mostBytes);
    return length > 0;
  }

  whole(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }
}
