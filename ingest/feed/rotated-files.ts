/**
 * Finds the files that had a name before, as rotation renames, copies and packs them (logrotate: `d.log.1`,
 * `d.log.2.gz`, `d.log-20261129`, with `extension` also `d-20261129.log`), and the one of them that holds what was
 * already read.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { inodeOf, openContent } from './content.ts';
import { digestOf, type Point } from './resume-point.ts';

export interface RotatedFile {
  readonly path: string;
  readonly inode: string;
  /** In whole ms, because a program that packs a file may keep no finer time. */
  readonly writtenMs: number;
}

/** Oldest first. */
export async function rotatedFiles(path: string): Promise<RotatedFile[]> {
  const name = basename(path);
  const [stem, extension] = [basename(name, extname(name)), extname(name)].map(escaped);
  // `clicks-2.csv` is not an earlier `clicks.csv`.
  const [number, date] = [String.raw`[.-]\d[\d._T-]*`, String.raw`[.-]\d{8}[\d._T-]*`];
  const pattern = new RegExp(`^(${escaped(name)}${number}|${stem}${date}${extension})(\\.gz)?$`);
  const found: RotatedFile[] = [];
  const names = await readdir(dirname(path));
  for (const other of names) {
    // A file that is being packed exists twice.
    if (!pattern.test(other) || other === name || (other.endsWith('.gz') && names.includes(other.slice(0, -3))))
      continue;
    const file = await fileAt(join(dirname(path), other));
    if (file) found.push(file);
  }
  return found.sort((a, b) => a.writtenMs - b.writtenMs);
}

/** Returns undefined when no file has the name, which may be only for a moment. */
export async function fileAt(path: string): Promise<RotatedFile | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? { path, inode: inodeOf(found), writtenMs: Math.floor(found.mtimeMs) } : undefined;
}

/**
 * Returns whether this file contains everything before the point: its beginning and the line before the point match.
 */
export async function holds(path: string, { offset, head, last }: Point): Promise<boolean> {
  if (offset === 0) return true;
  for (const part of [head, last])
    if (part && digestOf(await bytesAt(path, part.start, part.bytes)) !== part.digest) return false;
  return true;
}

async function bytesAt(path: string, start: number, length: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  let left = length;
  try {
    await using content = await openContent(path, start, new AbortController().signal);
    while (left > 0) {
      const piece = await content.read();
      if (!(piece instanceof Buffer)) break;
      pieces.push(piece.subarray(0, left));
      left -= piece.length;
    }
  } catch {
    // It is gone, or not a complete gz file, so it contains nothing that can be read.
  }
  return Buffer.concat(pieces);
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
