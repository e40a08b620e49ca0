/**
 * Feeds one file: it turns entries into clicks and batches, posts them to ingest, and records how far it got. Rows that
 * cannot be a click are reported with file and line, and stop nothing. Every row must have exactly one outcome, which
 * feed-books.ts checks.
 */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type ClickOfRow, clickOfRow, withValue } from './click-of-row.ts';
import { stdin } from './content.ts';
import { Delivery } from './delivery.ts';
import { clickColumns, quarantineColumns } from './exported-columns.ts';
import type { FeedBooks } from './feed-books.ts';
import { createRecord, type FeedRecord } from './feed-record.ts';
import { formatOf, mappingOf, openFormat } from './formats.ts';
import type { Mapping } from './mapping.ts';
import type { FeedOptions } from './options.ts';
import type { Pace } from './pace.ts';
import type { Post, Verdicts } from './poster.ts';
import { createProgress } from './progress.ts';
import { type ReadEntry, readEntries } from './read-entries.ts';
import { createRejects, type Rejects } from './rejects.ts';
import { defaultStatePath, digestOf, forgetResumePoint, loadResumePoint, type ResumePoint } from './resume-point.ts';

export interface FeedDeps {
  readonly options: FeedOptions;
  readonly post: Post;
  readonly pace: Pace;
  readonly stop: AbortSignal;
  readonly isTerminal: boolean;
  /** Is called with a function that prints while the file is fed. */
  readonly onView: (say: (text: string) => void) => void;
}

/**
 * `books` counts this run, not the runs that it resumes. Returns the line behind which it began, or 0 for the
 * beginning.
 */
export async function feedFile(path: string, books: FeedBooks, deps: FeedDeps): Promise<number> {
  const { options, isTerminal, stop } = deps;
  const statePath = path === stdin ? undefined : (options.statePath ?? defaultStatePath(path));
  const totalBytes = path === stdin || options.follow || path.endsWith('.gz') ? undefined : (await stat(path)).size;
  if (statePath && options.restart) await forgetResumePoint(statePath);
  const from = statePath === undefined ? undefined : await loadResumePoint(statePath);
  using view = createProgress(basename(path), totalBytes, isTerminal);
  const say = (text: string) => view.say(text);
  const sayOnce = once(say);
  deps.onView(say);
  const reading = createReading(path, from, options, sayOnce);
  await using rejects = createRejects(options.rejectsPath, say);
  await using record = createRecord(statePath, path, reading.format);
  let resumedAt = 0;
  let doneBytes = 0;
  const delivery = new Delivery<FeedItem>({
    post: deps.post,
    batchItems: options.batchItems,
    concurrency: options.concurrency,
    onDelivered(items, posted, verdicts) {
      enter(items, posted, verdicts, { books, rejects, record });
      for (const { read } of items) doneBytes += read.entry.last.end - read.entry.first.start;
      view.update(doneBytes, books.accepted, books.rejected);
      for (const { field, message } of verdicts.warnings ?? []) sayOnce(`warning: ${field}`, `: ${message}`);
    },
  });
  const entries = readEntries({
    ...{ path, from, options, stop, say: sayOnce, openFormat: reading.openFormat },
    onOpen(tail) {
      record.open(tail);
      books.open(tail, tail.beginning);
      if (!tail.isReplaced) resumedAt = Math.max(resumedAt, tail.beginning.line);
      doneBytes += tail.isReplaced ? 0 : tail.beginning.offset;
    },
    onEnd: tail => record.end(tail),
  });
  const opened = new Set<ReadEntry['tail']>();
  try {
    for await (const read of entries) {
      opened.add(read.tail);
      const click = reading.clickOf(read);
      if (click.kind === 'click') await deps.pace(click.timeMs);
      if (stop.aborted) break;
      await delivery.add({
        json: click.kind === 'click' ? click.json : undefined,
        read,
        click,
        mapping: reading.mapping,
      });
    }
  } finally {
    // Also done when the source cannot be read further, because what was read before counts.
    await delivery.finish();
  }
  if (!stop.aborted) for (const tail of opened) books.close(tail, tail.readTo);
  return resumedAt;
}

interface FeedItem {
  readonly json: string | undefined;
  readonly read: ReadEntry;
  readonly click: ClickOfRow;
  readonly mapping: () => Mapping;
}

/** Finds out what must be known about the file before its rows have a meaning. */
function createReading(path: string, from: ResumePoint | undefined, options: FeedOptions, say: SayOnce) {
  let { format } = options;
  let mapping: Mapping | undefined;
  const unused = new Set<string>();
  const tellUnused = (names: readonly string[]) => {
    for (const name of names) {
      if (unused.size >= maxUnusedTold || mapping?.isUsed(name) || unused.has(name) || ours.has(name)) continue;
      unused.add(name);
      say(`${path}: "${name}" is not a field of a click and is left out`);
    }
  };
  return {
    format: () => format,
    mapping: () => mapping ?? mappingOf('ndjson', options),
    openFormat(line: string, header: string | undefined, isInMiddle: boolean) {
      if (isInMiddle) format ??= from?.format;
      if (format === undefined) {
        format = formatOf(line);
        if (format !== 'ndjson' || !/\.(ndjson|jsonl)$/.test(path)) say(`${path}: read as ${format}`);
      }
      mapping ??= mappingOf(format, options);
      return openFormat(format, mapping, header, options);
    },
    clickOf({ entry, tail }: ReadEntry): ClickOfRow {
      const { row, text, first } = entry;
      const isFed = tail.beginning.taken !== undefined && first.start === tail.beginning.offset;
      // In CSV each row has the same columns. Access logs have many columns that are not used.
      const mayHaveMore = format === 'ndjson' || (format === 'csv' && unused.size === 0);
      if (mayHaveMore && row !== undefined && 'columns' in row) tellUnused(Object.keys(row.columns));
      if (mapping === undefined) return { kind: 'none' };
      const click = clickOfRow(entry, {
        mapping,
        ids: tail.ids,
        // A replayed click happens now. A click without a time of its own gets none, and is rejected.
        now: options.replaySpeed === undefined ? undefined : Date.now,
        onUnit: (unit, time) =>
          say(
            `${path}: clicked_at is in ${unit}`,
            `: line ${first.number} is of ${new Date(Number(time)).toISOString()}`,
          ),
      });
      return isFed && row && digestOf(text) === tail.beginning.taken ? { kind: 'skipped', rule: 'already fed' } : click;
    },
  };
}

const maxUnusedTold = 20;
const ours: ReadonlySet<string> = new Set([...clickColumns, ...quarantineColumns]);

/** Is called in the order of the file. */
function enter(
  items: readonly FeedItem[],
  posted: readonly FeedItem[],
  verdicts: Verdicts,
  { books, rejects, record }: { readonly books: FeedBooks; readonly rejects: Rejects; readonly record: FeedRecord },
): void {
  const refused = new Map(verdicts.rejected.map(verdict => [posted[verdict.index], verdict]));
  books.accept(verdicts.accepted);
  for (const item of items) {
    const { read, click } = item;
    const verdict = refused.get(item);
    const reject = click.kind === 'rejected' ? click : verdict && refusal(verdict, item);
    if (click.kind === 'skipped') books.enter(read.tail, read.entry, click);
    else
      books.enter(read.tail, read.entry, { kind: reject ? 'rejected' : click.kind === 'none' ? 'none' : 'accepted' });
    const { entry, header, tail } = read;
    if (reject) {
      const { code, message } = reject;
      rejects.add({ file: tail.path, line: entry.first.number, code, message, text: entry.text, header });
    }
    record.reach(read, click.kind === 'click' && click.hasMadeId);
  }
}

function refusal({ code, message }: Verdicts['rejected'][number], { read, click, mapping }: FeedItem) {
  const columns = read.entry.row && 'columns' in read.entry.row ? read.entry.row.columns : {};
  const fields = click.kind === 'click' ? click.fields : {};
  return { code, message: withValue(message, { ...columns, ...fields }, mapping()) };
}

type SayOnce = (text: string, detail?: string) => void;

/** Prints the same text once, with the detail of the first time. */
function once(say: (text: string) => void): SayOnce {
  const said = new Set<string>();
  return (text, detail = '') => {
    if (said.has(text)) return;
    said.add(text);
    say(`${text}${detail}`);
  };
}
