/**
 * Stores how far a file has been fed, in a small JSON file.
 *
 * For each file that is still read (the one with the name, and those that had it before) it stores the place behind the
 * last row with a known outcome. Continuing from there leaves nothing out. What is posted twice has the same event_ids
 * and counts once. A file is identified by its content, not by its name.
 */
import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { type Static, Type } from 'typebox';
import { Value } from 'typebox/value';
import { ConfigError } from '../../infra/errors.ts';
import { formatNames } from './format.ts';

const count = Type.Integer({ minimum: 0 });
const digestOfBytes = Type.Object({ start: count, bytes: count, digest: Type.String() });

const Point = Type.Object({
  /** The next byte to read. In a gz file it refers to the unpacked content. */
  offset: count,
  /** Lines before it. */
  line: count,
  /** The beginning of the file up to `offset`, and the line before `offset`. By these the file is recognized. */
  head: digestOfBytes,
  last: Type.Optional(digestOfBytes),
  encoding: Type.Optional(Type.Enum(['utf-8', 'utf-16le', 'utf-16be'])),
  /** The line that names the columns. */
  header: Type.Optional(Type.String()),
  /** Rows before `offset` got generated ids, so they are counted when new ones are generated. */
  madeIds: Type.Optional(Type.Boolean()),
  /** Digest of the row at `offset`, if it has been fed although its line had no end. */
  taken: Type.Optional(Type.String()),
});
export type Point = Static<typeof Point>;

const ResumePoint = Type.Object({
  file: Type.String(),
  format: Type.Optional(Type.Enum([...formatNames])),
  /** When the newest of the files was last written. What is not older may not have been seen. */
  seenMs: Type.Number(),
  /** Oldest first. */
  points: Type.Array(Point),
});
export type ResumePoint = Static<typeof ResumePoint>;

/** The form that releases up to 0.2 wrote. */
const OldResumePoint = Type.Object({ offset: count, line: count, headBytes: count, head: Type.String() });

export function defaultStatePath(path: string): string {
  return join('data', 'feed', `${basename(path)}-${digestOf(resolve(path)).slice(0, 12)}.json`);
}

export async function loadResumePoint(statePath: string): Promise<ResumePoint | undefined> {
  const text = await readFile(statePath, 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const json = parsed(text);
  if (Value.Check(ResumePoint, json)) return json;
  if (!Value.Check(OldResumePoint, json))
    throw new ConfigError(`${statePath}: is not a resume point: remove the file, or give --restart`);
  const { offset, line, headBytes, head } = json;
  // Read again from the beginning, which provides the names of the columns.
  const point = { offset, line, head: { start: 0, bytes: headBytes, digest: head }, madeIds: true };
  return { file: '', seenMs: Date.now(), points: [point] };
}

/** Writes all or nothing: the file is written under another name and renamed. */
export async function saveResumePoint(statePath: string, point: ResumePoint): Promise<void> {
  await mkdir(dirname(statePath), { recursive: true });
  await writeFile(`${statePath}.new`, `${JSON.stringify(point)}\n`);
  await rename(`${statePath}.new`, statePath);
}

export async function forgetResumePoint(statePath: string): Promise<void> {
  await rm(statePath, { force: true });
}

export function digestOf(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
