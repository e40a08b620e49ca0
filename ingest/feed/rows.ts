/** The rows of a file or of stdin, as their format says, from a resume point on. */

import { readFileBytes, readStdinBytes } from './byte-source.ts';
import { csvRows, readHeader } from './csv-rows.ts';
import { ndjsonRows, type Place } from './ndjson-rows.ts';
import type { FeedOptions } from './options.ts';
import type { Row } from './row.ts';

export interface RowSource {
  readonly path: string;
  readonly from: Place;
  readonly options: FeedOptions;
  readonly stop: AbortSignal;
  /** Told before the first row of each file that bears the name. */
  readonly onOpen: (inode: number) => void;
}

export async function* rowsOf(source: RowSource): AsyncGenerator<Row> {
  const { path, options, stop } = source;
  let place = source.from;
  do {
    try {
      yield* rowsOnce(source, place);
    } catch (error) {
      // Stopped within a row, a reader may take the rest of the file for missing.
      if (!stop.aborted) throw error;
    }
    // A followed file ended: another one has taken its place, and is read from its beginning.
    place = { offset: 0, line: 0 };
  } while (options.follow && path !== stdin && !stop.aborted);
}

/** In place of a file name. */
export const stdin = '-';

export function formatOf(path: string, { format }: FeedOptions): 'ndjson' | 'csv' {
  return format ?? (/\.(csv|tsv)$/i.test(path) ? 'csv' : 'ndjson');
}

async function* rowsOnce({ path, options, stop, onOpen }: RowSource, from: Place): AsyncGenerator<Row> {
  const { follow } = options;
  const bytes =
    path === stdin ? readStdinBytes(stop) : readFileBytes(path, { start: from.offset, follow, stop, onOpen });
  if (formatOf(path, options) === 'ndjson') {
    yield* ndjsonRows(bytes, from);
    return;
  }
  const delimiter = options.delimiter ?? (/\.tsv$/i.test(path) ? '\t' : ',');
  const header =
    from.offset > 0 ? await readHeader(readFileBytes(path, { start: 0, follow: false, stop }), delimiter) : undefined;
  yield* csvRows(bytes, from, { delimiter, columnOf: options.columnOf, isExport: options.isExport }, header);
}
