/** What `npm run feed` can be told; its command line (`command.ts`) ends up here. */
import type { ClickField } from './csv-rows.ts';

export interface FeedOptions {
  readonly url: string;
  /** Undefined: by the file's name. */
  readonly format: 'ndjson' | 'csv' | undefined;
  readonly columnOf: Readonly<Partial<Record<ClickField, string>>>;
  /** Undefined: a comma, or a tab in `.tsv`. */
  readonly delimiter: string | undefined;
  /** CSV: an export of ours, whatever its columns are. */
  readonly isExport: boolean;
  readonly follow: boolean;
  readonly clicksPerSecond: number | undefined;
  readonly replaySpeed: number | undefined;
  readonly batchItems: number;
  readonly concurrency: number;
  /** Undefined: one per file under `data/feed/`. */
  readonly statePath: string | undefined;
  readonly restart: boolean;
  readonly rejectsPath: string | undefined;
  readonly giveUpAfterMs: number;
}
