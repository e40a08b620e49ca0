/**
 * Feeds one file: rows → clicks → batches → ingest, recording how far it got. Rows that cannot be a click are reported
 * with file and line; they stop nothing.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Delivery } from './delivery.ts';
import type { FeedOptions } from './options.ts';
import type { Pace } from './pace.ts';
import type { Post, Verdicts } from './poster.ts';
import { createProgress } from './progress.ts';
import { createRejects, type Reject, type Rejects } from './rejects.ts';
import {
  atStart,
  defaultStatePath,
  forgetProgress,
  loadProgress,
  type Progress,
  saveProgress,
} from './resume-point.ts';
import { prepareRow, type Row, timeOf } from './row.ts';
import { rowsOf, stdin } from './rows.ts';

export interface FeedDeps {
  readonly options: FeedOptions;
  readonly post: Post;
  readonly pace: Pace;
  readonly stop: AbortSignal;
  readonly isTerminal: boolean;
  /** Given a way to print while the file is fed. */
  readonly onView: (say: (text: string) => void) => void;
}

/** Of this run, not of runs it resumes. */
export interface FeedResult {
  readonly accepted: number;
  readonly rejected: number;
  /** The byte it began at. */
  readonly resumedAt: number;
}

export async function feedFile(path: string, deps: FeedDeps): Promise<FeedResult> {
  const { options, isTerminal } = deps;
  const statePath = path === stdin ? undefined : (options.statePath ?? defaultStatePath(path));
  const totalBytes = path === stdin || options.follow ? undefined : (await stat(path)).size;
  if (statePath && options.restart) await forgetProgress(statePath);
  const begin = statePath ? await loadProgress(statePath, path) : atStart;
  using view = createProgress(basename(path), totalBytes, isTerminal);
  deps.onView(text => view.say(text));
  await using rejects = createRejects(options.rejectsPath, text => view.say(text));
  await using recorder = createRecorder(begin, statePath, path);
  view.update(begin.offset, 0, 0);
  const delivery = new Delivery<FeedItem>({
    post: deps.post,
    batchItems: options.batchItems,
    concurrency: options.concurrency,
    onDelivered(items, posted, verdicts) {
      const { offset, accepted, rejected } = recorder.add(
        items,
        verdicts,
        reportRejects(path, rejects, items, posted, verdicts),
      );
      view.update(offset, accepted - begin.accepted, rejected - begin.rejected);
    },
  });
  await feedRows(path, begin, delivery, deps);
  const { accepted, rejected } = recorder.progress();
  return { accepted: accepted - begin.accepted, rejected: rejected - begin.rejected, resumedAt: begin.offset };
}

async function feedRows(path: string, from: Progress, delivery: Delivery<FeedItem>, deps: FeedDeps): Promise<void> {
  const { options, pace, stop } = deps;
  let inode = 0;
  const onOpen = (opened: number) => {
    inode = opened;
  };
  try {
    for await (const row of rowsOf({ path, from, options, stop, onOpen })) {
      await pace(timeOf(row));
      if (stop.aborted) break;
      await delivery.add(itemOf(row, inode, path, options));
    }
  } finally {
    // Also when the source cannot be read on: what was read before counts.
    await delivery.finish();
  }
}

interface FeedItem {
  readonly json: string | undefined;
  readonly row: Row;
  readonly inode: number;
  readonly reject?: Omit<Reject, 'row'>;
}

function itemOf(row: Row, inode: number, path: string, { replaySpeed }: FeedOptions): FeedItem {
  // A replayed click happens now; one without a time of its own stays without, and is rejected.
  const clickedAt = replaySpeed === undefined || timeOf(row) === undefined ? undefined : Date.now();
  const fileName = path === stdin ? 'stdin' : basename(path);
  const prepared = prepareRow(row, { fileName, clickedAt });
  return prepared.ok ? { json: prepared.json, row, inode } : { json: undefined, row, inode, reject: prepared };
}

/** In the order of the file. Returns how many there are. */
function reportRejects(
  path: string,
  rejects: Rejects,
  items: readonly FeedItem[],
  posted: readonly FeedItem[],
  verdicts: Verdicts,
): number {
  const refused = new Map(verdicts.rejected.map(verdict => [posted[verdict.index], verdict]));
  let count = 0;
  for (const item of items) {
    const reject = item.reject ?? refused.get(item);
    if (!reject) continue;
    rejects.add(path, { row: item.row, code: reject.code, message: reject.message });
    count++;
  }
  return count;
}

interface Recorder extends AsyncDisposable {
  add(items: readonly FeedItem[], verdicts: Verdicts, rejected: number): Progress;
  progress(): Progress;
}

/** Saving more often would cost more than feeding a few rows twice. */
const saveIntervalMs = 500;

/** Saves now and then, and when disposed. */
function createRecorder(begin: Progress, statePath: string | undefined, path: string): Recorder {
  let progress = begin;
  let saved = begin;
  let inode = 0;
  let saving: Promise<void> = Promise.resolve();
  let lastMs = performance.now();
  const save = () => {
    if (!statePath || saved === progress) return;
    const [current, of] = [progress, inode];
    saved = current;
    lastMs = performance.now();
    saving = saving.then(() => saveProgress(statePath, path, of, current));
    saving.catch(() => undefined);
  };
  return {
    add(items, verdicts, rejected) {
      const last = items.at(-1)!;
      inode = last.inode;
      progress = {
        offset: last.row.end,
        line: last.row.line,
        accepted: progress.accepted + verdicts.accepted,
        rejected: progress.rejected + rejected,
      };
      if (performance.now() - lastMs >= saveIntervalMs) save();
      return progress;
    },
    progress: () => progress,
    async [Symbol.asyncDispose]() {
      save();
      await saving;
    },
  };
}
