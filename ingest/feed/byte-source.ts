/** Reads a file or stdin in pieces, from a given byte on. Following, it waits at the end for what is appended. */
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ByteSourceOptions {
  readonly start: number;
  readonly follow: boolean;
  readonly stop: AbortSignal;
  /** Told the number that tells this file from another of the same name. */
  readonly onOpen?: (inode: number) => void;
}

const chunkBytes = 256 * 1024;
/** How often a followed file is looked at; file system events are not reliable on network and container mounts. */
const pollMs = 250;

/** Ends at the end of the file; following, when told to stop or when another file has taken its place. */
export async function* readFileBytes(
  path: string,
  { start, follow, stop, onOpen }: ByteSourceOptions,
): AsyncGenerator<Buffer> {
  await using file = await open(path, 'r');
  onOpen?.((await file.stat()).ino);
  let position = start;
  while (!stop.aborted) {
    const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(chunkBytes), 0, chunkBytes, position);
    if (bytesRead > 0) {
      position += bytesRead;
      yield buffer.subarray(0, bytesRead);
    } else if (!follow || (await wasReplaced(file, path, position))) {
      return;
    } else {
      await sleep(pollMs, undefined, { signal: stop }).catch(() => undefined);
    }
  }
}

export async function* readStdinBytes(stop: AbortSignal): AsyncGenerator<Buffer> {
  const onStop = () => process.stdin.destroy();
  stop.addEventListener('abort', onStop, { once: true });
  try {
    for await (const chunk of process.stdin) yield Buffer.from(chunk);
  } catch (error) {
    if (!stop.aborted) throw error;
  } finally {
    stop.removeEventListener('abort', onStop);
  }
}

/** A log was rotated (another file bears its name) or truncated. A name that is missing for a moment is neither. */
async function wasReplaced(file: FileHandle, path: string, position: number): Promise<boolean> {
  const [mine, named] = await Promise.all([file.stat(), stat(path).catch(() => undefined)]);
  return mine.size < position || (named !== undefined && (named.ino !== mine.ino || named.dev !== mine.dev));
}
