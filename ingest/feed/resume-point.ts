/**
 * How far a file has been fed, kept in a small JSON file. It stands behind the last row whose outcome is known, so
 * feeding on from it leaves nothing out; what is posted twice carries the same event_ids and counts once.
 */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ConfigError } from '../../infra/errors.ts';

const ResumePoint = Type.Object({
  file: Type.String(),
  /** The next byte to read. */
  offset: Type.Integer({ minimum: 0 }),
  /** Lines before it. */
  line: Type.Integer({ minimum: 0 }),
  accepted: Type.Integer({ minimum: 0 }),
  rejected: Type.Integer({ minimum: 0 }),
  /** Digest of the file's beginning, up to `offset`: tells whether it is still the same file. */
  headBytes: Type.Integer({ minimum: 0 }),
  head: Type.String(),
});
export type ResumePoint = Static<typeof ResumePoint>;
export type Progress = Omit<ResumePoint, 'file' | 'headBytes' | 'head'>;

export const atStart: Progress = { offset: 0, line: 0, accepted: 0, rejected: 0 };

export function defaultStatePath(path: string): string {
  const digest = createHash('sha256').update(resolve(path)).digest('hex').slice(0, 12);
  return join('data', 'feed', `${basename(path)}-${digest}.json`);
}

/** The start, if nothing is recorded or another file bears the name now. */
export async function loadProgress(statePath: string, path: string): Promise<Progress> {
  const text = await readFile(statePath, 'utf8').catch(() => undefined);
  if (text === undefined) return atStart;
  const point = parsePoint(text);
  if (!point) throw new ConfigError(`${statePath}: is not a resume point; remove it, or give --restart`);
  return (await headOf(path, point.headBytes)) === point.head ? point : atStart;
}

/**
 * Whole or not at all: written beside it and renamed. Does nothing when `path` no longer names the file `inode` that was
 * fed: the place would mean nothing in the file that has replaced it.
 */
export async function saveProgress(statePath: string, path: string, inode: number, progress: Progress): Promise<void> {
  const now = await stat(path).catch(() => undefined);
  if (now?.ino !== inode || now.size < progress.offset) return;
  const headBytes = Math.min(progress.offset, maxHeadBytes);
  const head = await headOf(path, headBytes);
  if (head === undefined) return;
  const { offset, line, accepted, rejected } = progress;
  const point: ResumePoint = { file: resolve(path), offset, line, accepted, rejected, headBytes, head };
  await mkdir(dirname(statePath), { recursive: true });
  await writeFile(`${statePath}.new`, `${JSON.stringify(point)}\n`);
  await rename(`${statePath}.new`, statePath);
}

export async function forgetProgress(statePath: string): Promise<void> {
  await rm(statePath, { force: true });
}

const maxHeadBytes = 4_096;

/** Undefined if the file is gone or shorter. */
async function headOf(path: string, headBytes: number): Promise<string | undefined> {
  try {
    await using file = await open(path, 'r');
    const { bytesRead, buffer } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    return bytesRead < headBytes ? undefined : createHash('sha256').update(buffer).digest('hex');
  } catch {
    return undefined;
  }
}

function parsePoint(text: string): ResumePoint | undefined {
  try {
    const json: unknown = JSON.parse(text);
    return Value.Check(ResumePoint, json) ? json : undefined;
  } catch {
    return undefined;
  }
}
