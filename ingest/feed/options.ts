/** Defines the options of `npm run feed`, which `command.ts` parses. */
import type { FormatName } from './format.ts';
import type { MappingOptions } from './mapping.ts';

export interface FeedOptions {
  readonly url: string;
  /** Undefined: by the first line. */
  readonly format: FormatName | undefined;
  readonly mapping: MappingOptions;
  readonly csv: {
    /** Undefined: what the header has most of. */
    readonly delimiter: string | undefined;
    /** An export of ours, whatever its columns are. */
    readonly isExport: boolean;
    /** Records may go on in the next line. */
    readonly multiline: boolean;
  };
  /** Take a last line that has no newline. */
  readonly lastLine: boolean;
  readonly follow: boolean;
  /** A rotated file is read until nothing was written to it for so long. */
  readonly rotatedQuietMs: number;
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
