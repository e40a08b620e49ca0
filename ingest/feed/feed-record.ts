/** Records how far the files of a name have been fed, from time to time and at the end. */
import { resolve } from 'node:path';
import type { FormatName } from './format.ts';
import type { ReadEntry } from './read-entries.ts';
import { digestOf, type Point, saveResumePoint } from './resume-point.ts';
import type { Tail } from './tail.ts';

export interface FeedRecord extends AsyncDisposable {
  open(tail: Tail): void;
  /** The outcome of this entry, and so of all before it, is known. */
  reach(read: ReadEntry, hasMadeId: boolean): void;
  /** Nothing more will come from this file. */
  end(tail: Tail): void;
}

/** Saving more often would cost more than feeding a few rows twice. */
const saveIntervalMs = 500;

export function createRecord(
  statePath: string | undefined,
  path: string,
  format: () => FormatName | undefined,
): FeedRecord {
  const points = new Map<Tail, Point>();
  const reached = new Map<Tail, ReadEntry>();
  const madeIds = new Set<Tail>();
  const ended = new Set<Tail>();
  let isSaved = true;
  let lastMs = performance.now();
  let saving: Promise<void> = Promise.resolve();

  const pointOf = (tail: Tail): Point => {
    const read = reached.get(tail);
    const before = points.get(tail) ?? tail.beginning;
    return read ? pointAfter(read, before, madeIds.has(tail)) : before;
  };
  const save = () => {
    if (!statePath || isSaved) return;
    isSaved = true;
    lastMs = performance.now();
    for (const tail of [...points.keys()]) {
      points.set(tail, pointOf(tail));
      reached.delete(tail);
      if (!ended.has(tail) || (points.get(tail)?.offset ?? 0) < tail.point.offset) continue;
      points.delete(tail);
    }
    // The file has just gone. What was saved before is still valid.
    if (points.size === 0) return;
    const seenMs = Math.max(...points.keys().map(tail => tail.content.seenMs));
    const named = format();
    const state = { file: resolve(path), ...(named && { format: named }), seenMs, points: [...points.values()] };
    saving = saving.then(() => saveResumePoint(statePath, state));
    saving.catch(() => undefined);
  };
  return {
    open(tail) {
      points.set(tail, tail.beginning);
    },
    reach(read, hasMadeId) {
      const { tail } = read;
      // The place of a row without an end stays before that row.
      const before = reached.get(tail);
      if (!read.entry.last.isEnded && before?.entry.last.isEnded) points.set(tail, pointOf(tail));
      reached.set(tail, read);
      if (hasMadeId) madeIds.add(tail);
      isSaved = false;
      if (performance.now() - lastMs >= saveIntervalMs) save();
    },
    end(tail) {
      ended.add(tail);
      isSaved = false;
    },
    async [Symbol.asyncDispose]() {
      save();
      await saving;
    },
  };
}

function pointAfter(read: ReadEntry, before: Point, hasMadeId: boolean): Point {
  const isOpen = !read.entry.last.isEnded;
  const point = isOpen ? { ...before, taken: digestOf(read.entry.text) } : read.tail.pointAfter(read);
  return before.madeIds === true || hasMadeId ? { ...point, madeIds: true } : point;
}
