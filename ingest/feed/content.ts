/**
 * Reads the content of a file name in pieces: a file that may grow, a gz file (offsets then refer to the unpacked
 * content), or stdin.
 *
 * A growing file is read together with the end of what was read before. This shows when the file was truncated, even if
 * it has since grown past the old place, and new content is never taken for the old.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline, Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { ConfigError, messageOf } from '../../infra/errors.ts';

/** Used instead of a file name. */
export const stdin = '-';

export interface Content extends AsyncDisposable {
  /**
   * Returns undefined when there is no more at present, and for content that cannot grow, no more at all. `rewritten`:
   * what was read is no longer there.
   */
  read(): Promise<Buffer | 'rewritten' | undefined>;
  readonly grows: boolean;
  /** Identifies the file on its machine. Undefined when there is none. */
  readonly inode: string | undefined;
  /** When the content was last written, if everything written up to then has been read. Whole ms. */
  readonly seenMs: number;
}

const unreadable = { Parquet: 'PAR1', zip: 'PK\x03\x04', zstd: '\x28\xb5\x2f\xfd', bzip2: 'BZh', xz: '\xfd7zXZ' };

const pieceBytes = 256 * 1024;
const overlapBytes = 1024;

export async function openContent(path: string, offset: number, stop: AbortSignal): Promise<Content> {
  if (path === stdin) return await stdinContent(stop);
  const file = await open(path, 'r');
  try {
    const found = await file.stat();
    const [inode, seenMs] = [inodeOf(found), Math.floor(found.mtimeMs)];
    const first = await readAt(file, 0, 6);
    const packing = Object.entries(unreadable).find(([, magic]) => first.toString('latin1').startsWith(magic));
    if (packing)
      throw new ConfigError(
        `${path}: is ${packing[0]}, which cannot be read. Give it as NDJSON, CSV or an access log, plain or packed with gzip`,
      );
    if (isGzip(first)) {
      const bytes = file.createReadStream({ start: 0, autoClose: false });
      return streamContent(path, skipping(gunzipped(bytes), offset), { inode, seenMs }, () => file.close());
    }
    return await growingContent(file, offset, { inode, seenMs });
  } catch (error) {
    await file.close();
    throw error;
  }
}

export function inodeOf({ ino, dev }: { readonly ino: number; readonly dev: number }): string {
  return `${dev}:${ino}`;
}

type Known = Pick<Content, 'inode' | 'seenMs'>;

async function growingContent(file: FileHandle, offset: number, known: Known): Promise<Content> {
  let position = offset;
  let { seenMs } = known;
  let overlap = await readAt(file, Math.max(0, offset - overlapBytes), Math.min(offset, overlapBytes));
  return {
    grows: true,
    inode: known.inode,
    get seenMs() {
      return seenMs;
    },
    async read() {
      const { mtimeMs } = await file.stat();
      const read = await readAt(file, position - overlap.length, overlap.length + pieceBytes);
      const fresh = read.subarray(overlap.length);
      if (!read.subarray(0, overlap.length).equals(overlap)) return 'rewritten';
      if (fresh.length === 0) {
        seenMs = Math.floor(mtimeMs);
        return undefined;
      }
      position += fresh.length;
      overlap = Buffer.from(read.subarray(-overlapBytes));
      return fresh;
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

async function stdinContent(stop: AbortSignal): Promise<Content> {
  const onStop = () => process.stdin.destroy();
  stop.addEventListener('abort', onStop, { once: true });
  async function* bytes(): AsyncGenerator<Buffer> {
    try {
      for await (const piece of process.stdin) yield Buffer.from(piece);
    } catch (error) {
      if (!stop.aborted) throw error;
    }
  }
  const pieces = bytes();
  let first = Buffer.alloc(0);
  while (first.length < 2) {
    const { done, value } = await pieces.next();
    if (done) break;
    first = Buffer.concat([first, value]);
  }
  async function* all(): AsyncGenerator<Buffer> {
    yield first;
    yield* pieces;
  }
  return streamContent(
    'stdin',
    isGzip(first) ? gunzipped(Readable.from(all())) : all(),
    { inode: undefined, seenMs: 0 },
    () => {
      stop.removeEventListener('abort', onStop);
      return Promise.resolve();
    },
  );
}

function streamContent(
  name: string,
  pieces: AsyncGenerator<Buffer>,
  known: Known,
  close: () => Promise<void>,
): Content {
  return {
    ...known,
    grows: false,
    async read() {
      try {
        const { done, value } = await pieces.next();
        return done ? undefined : value;
      } catch (error) {
        throw new ConfigError(`${name}: cannot be read any further: ${messageOf(error)}`, { cause: error });
      }
    },
    async [Symbol.asyncDispose]() {
      await pieces.return(undefined);
      await close();
    },
  };
}

async function* gunzipped(packed: Readable): AsyncGenerator<Buffer> {
  // The loop throws any error.
  for await (const piece of pipeline(packed, createGunzip(), () => undefined)) yield piece;
}

async function* skipping(pieces: AsyncGenerator<Buffer>, bytes: number): AsyncGenerator<Buffer> {
  let left = bytes;
  for await (const piece of pieces) {
    if (left < piece.length) yield piece.subarray(left);
    left = Math.max(0, left - piece.length);
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(length), 0, length, position);
  return buffer.subarray(0, bytesRead);
}

function isGzip(first: Buffer): boolean {
  return first[0] === 0x1f && first[1] === 0x8b;
}
