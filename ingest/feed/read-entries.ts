/**
 * Reads all entries of a file name from its resume point on.
 *
 * It first reads the rest of the files that had this name before, then the file that has it now. With `--follow` it
 * then reads what is written to any of them.
 *
 * Rotation takes away the name (`create`) or the content (`copytruncate`). A file that has lost its name stays open and
 * is read until it has been quiet for long, because writers may notice the rotation late. Content that was truncated is
 * searched in the copies (rotated-files.ts). They also contain what was written between the last look and the
 * truncation.
 */
import { pause } from '../../infra/pause.ts';
import { stdin } from './content.ts';
import type { FeedOptions } from './options.ts';
import type { Point, ResumePoint } from './resume-point.ts';
import { fileAt, holds, rotatedFiles } from './rotated-files.ts';
import { RowIds } from './row-ids.ts';
import { type OpenFormat, Tail, type TailEntry } from './tail.ts';

export interface ReadEntry extends TailEntry {
  readonly tail: Tail;
}

export interface ReadOptions {
  readonly path: string;
  readonly from: ResumePoint | undefined;
  readonly options: Pick<FeedOptions, 'follow' | 'lastLine' | 'rotatedQuietMs'>;
  readonly stop: AbortSignal;
  readonly openFormat: OpenFormat;
  readonly say: (text: string) => void;
  /** Is called for each file before its first entry, and again when nothing more will come from it. */
  readonly onOpen: (tail: Tail) => void;
  readonly onEnd: (tail: Tail) => void;
}

/** How often a followed file is examined. File system events are not reliable on network and container mounts. */
const pollMs = 250;
/** A last line without an end counts as complete if its file was not written to for this long. */
const stillMs = 60_000;

export async function* readEntries(read: ReadOptions): AsyncGenerator<ReadEntry> {
  const { path, options, stop } = read;
  const reading: Reading = { ...read, follow: options.follow && path !== stdin, files: createOpenFiles(read) };
  const { files } = reading;
  try {
    const ids = newIds(read);
    for (const { file, point, isReplaced } of await sources(read))
      await files.open(file, point, isReplaced, point ? ids : newIds(read));
    while (!stop.aborted) {
      for (const tail of files.tails) yield* drained(reading, tail);
      if (!reading.follow || stop.aborted) break;
      for (const tail of files.tails)
        if (tail.isReplaced && Date.now() - tail.readMs >= options.rotatedQuietMs) yield* finished(reading, tail);
      const named = await fileAt(path);
      if (named && !files.isKnown(named.inode)) {
        await openSuccessors(reading);
      } else if (files.tails.every(({ content }) => !content.grows)) {
        break;
      } else {
        await pause(pollMs, stop);
      }
    }
    if (!stop.aborted) for (const tail of files.tails) yield* finished(reading, tail);
  } finally {
    for (const tail of files.tails) await tail[Symbol.asyncDispose]();
  }
}

interface Reading extends ReadOptions {
  readonly follow: boolean;
  readonly files: OpenFiles;
}

/** The files that are being read. */
interface OpenFiles {
  /** A copy, oldest first: files may be opened and closed while it is gone through. */
  readonly tails: readonly Tail[];
  isKnown(inode: string): boolean;
  open(
    file: string,
    from: Point | undefined,
    isReplaced: boolean,
    ids: RowIds,
    of?: { readonly header?: string | undefined; readonly areCounted?: boolean },
  ): Promise<Tail>;
  close(tail: Tail): Promise<void>;
  /**
   * Returns files that came and went since the tail was last read, which may be long ago if ingest was away. Files that
   * are being read are left out.
   */
  missed(last: Tail): Promise<string[]>;
}

function createOpenFiles({ path, stop, openFormat, onOpen }: ReadOptions): OpenFiles {
  const known = new Set<string>();
  let tails: Tail[] = [];
  return {
    get tails() {
      return [...tails];
    },
    isKnown: inode => known.has(inode),
    async open(file, from, isReplaced, ids, { header, areCounted = false } = {}) {
      const tail = await Tail.open({ path: file, from, stop, header, openFormat, ids, areCounted });
      tail.isReplaced = isReplaced;
      if (tail.content.inode) known.add(tail.content.inode);
      tails.push(tail);
      onOpen(tail);
      return tail;
    },
    async close(tail) {
      tails = tails.filter(each => each !== tail);
      // Another file may get its inode number next.
      if (tail.content.inode) known.delete(tail.content.inode);
      await tail[Symbol.asyncDispose]();
    },
    async missed(last) {
      const files: string[] = [];
      const held = [last, ...tails].filter(({ point }) => point.offset > 0);
      for (const { path: file, inode, writtenMs } of await rotatedFiles(path))
        if (writtenMs >= last.content.seenMs && !known.has(inode))
          if (!(await firstThat(held, ({ point }) => holds(file, point)))) files.push(file);
      return files;
    },
  };
}

function newIds({ path, say }: ReadOptions): RowIds {
  return new RowIds(() =>
    say(
      `${path}: equal rows without event_id are far apart in the file and may be counted as one click: sort the file`,
    ),
  );
}

/** The name belongs to another file now. It is read next, after those that had the name in between. */
async function openSuccessors(reading: Reading): Promise<void> {
  const { path, files } = reading;
  const last = files.tails.at(-1);
  const between = last ? await files.missed(last) : [];
  for (const tail of files.tails) tail.isReplaced = true;
  for (const file of between) await files.open(file, undefined, true, newIds(reading), last);
  await files.open(path, undefined, false, last?.ids ?? newIds(reading), last);
}

async function* drained(reading: Reading, tail: Tail): AsyncGenerator<ReadEntry> {
  while (!reading.stop.aborted) {
    const entries = await tail.read();
    if (entries === undefined) return;
    if (entries === 'rewritten') {
      yield* rewritten(reading, tail);
      return;
    }
    for (const entry of entries) yield { ...entry, tail };
  }
}

/** The rest of its content is in its copy. The file with its name has other content. */
async function* rewritten(reading: Reading, tail: Tail): AsyncGenerator<ReadEntry> {
  const { path, files, say, onEnd } = reading;
  const { point, header, ids } = tail;
  const [copy, between] = [await copyOf(path, point), await files.missed(tail)];
  if (copy === undefined) {
    say(`${path} was truncated, and no copy has its former content: rows after line ${point.line} may be missing`);
    const entries = tail.rest({ problem: 'cut off: the file was truncated within this row' });
    for (const entry of entries) yield { ...entry, tail };
  }
  await files.close(tail);
  onEnd(tail);
  if (copy) yield* drained(reading, await files.open(copy, point, true, ids, { areCounted: true }));
  for (const file of between)
    yield* drained(reading, await files.open(file, undefined, true, newIds(reading), { header }));
  // The file itself, which may have lost its name meanwhile.
  const candidates = [await fileAt(path), ...(await rotatedFiles(path))];
  const itself = candidates.find(file => file?.inode === tail.content.inode);
  if (itself) yield* drained(reading, await files.open(itself.path, undefined, itself.path !== path, ids, { header }));
}

async function* finished(reading: Reading, tail: Tail): AsyncGenerator<ReadEntry> {
  const { follow, files, options, onEnd } = reading;
  const isLeft = yield* restOf(reading, tail);
  const isQuiet = follow || Date.now() - (await writtenMs(tail)) >= options.rotatedQuietMs;
  await files.close(tail);
  if (tail.isReplaced && isQuiet && !isLeft) onEnd(tail);
}

/** Reads what is at the end without a line end. Returns whether it is left for another run. */
async function* restOf({ path, options, follow, say }: Reading, tail: Tail): AsyncGenerator<ReadEntry, boolean> {
  if (tail.problem !== undefined) {
    for (const entry of tail.rest({ problem: tail.problem })) yield { ...entry, tail };
    return false;
  }
  if (!tail.hasRest) return false;
  // A packed file is finished. The end of stdin may be any end.
  const isStill = path !== stdin && (!tail.content.grows || Date.now() - (await writtenMs(tail)) >= stillMs);
  const isTaken = options.lastLine || (follow && tail.isReplaced) || isStill;
  const entries = tail.rest(isTaken ? 'taken' : 'if-whole');
  for (const entry of entries) yield { ...entry, tail };
  if (isTaken || entries.length > 0) return false;
  if (path === stdin) {
    const problem = 'the input ends within this row, without a newline (--last-line reads it as it is)';
    for (const entry of tail.rest({ problem })) yield { ...entry, tail };
    return false;
  }
  tail.isLeft = true;
  say(
    `${tail.path}:${tail.point.line + 1}: the line is not finished, so it is left for the next run (--last-line reads it now)`,
  );
  return true;
}

interface Source {
  readonly file: string;
  readonly point: Point | undefined;
  readonly isReplaced: boolean;
}

/** Oldest first. The file that has the name is the last. */
async function sources({ path, from, say }: ReadOptions): Promise<Source[]> {
  const named: Source = { file: path, point: undefined, isReplaced: false };
  if (path === stdin || from === undefined) return [named];
  const rotated = await rotatedFiles(path);
  const found: Source[] = [];
  const isIn = async (point: Point) =>
    (await firstThat([...found], ({ file }) => holds(file, point))) !== undefined && point.offset > 0;
  for (const point of from.points) {
    const candidates = [path, ...rotated.map(each => each.path).reverse()];
    const isOther = (file: string) => found.every(each => each.file !== file);
    const file = await firstThat(candidates.filter(isOther), candidate => holds(candidate, point));
    if (file !== undefined) found.push({ file, point, isReplaced: file !== path });
    else if (!(await isIn(point)))
      say(`${path}: no file contains what was fed up to line ${point.line} any more; rows after it may be missing`);
  }
  // An empty file would match every other.
  const isRotated = !found.some(({ file, point }) => file === path && point && point.offset > 0);
  for (const { path: file, writtenMs } of rotated) {
    if (!isRotated || writtenMs < from.seenMs) continue;
    const isKnown = await firstThat(from.points, async point => point.offset > 0 && (await holds(file, point)));
    if (!isKnown) found.push({ file, point: undefined, isReplaced: true });
  }
  const before = found.filter(({ file }) => file !== path);
  for (const { file } of before) say(`${path} was rotated: ${file} is read first`);
  return [...before, found.find(({ file }) => file === path) ?? named];
}

/** Returns the youngest file that holds what was read before the point. */
async function copyOf(path: string, point: Point): Promise<string | undefined> {
  if (point.offset === 0) return undefined;
  const rotated = await rotatedFiles(path);
  return (await firstThat(rotated.reverse(), file => holds(file.path, point)))?.path;
}

async function writtenMs({ path }: Tail): Promise<number> {
  return (await fileAt(path))?.writtenMs ?? 0;
}

async function firstThat<T>(items: readonly T[], isIt: (item: T) => Promise<boolean>): Promise<T | undefined> {
  for (const item of items) if (await isIt(item)) return item;
  return undefined;
}
