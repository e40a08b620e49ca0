/** Defines the options of `npm run feed`, which `command.ts` parses. */
import type { FormatName } from './format.ts';
import type { MappingOptions } from './mapping.ts';

export interface FeedOptions {
  readonly url: string;
  /** Undefined means that the first line decides. */
  readonly format: FormatName | undefined;
  readonly mapping: MappingOptions;
  readonly csv: {
    /** Undefined means the most frequent one in the header. */
    readonly delimiter: string | undefined;
    /** The file is one of our own exports, whatever its columns. */
    readonly isExport: boolean;
    /** Records may continue in the next line. */
    readonly multiline: boolean;
  };
  /** Accept a last line without newline. */
  readonly lastLine: boolean;
  readonly follow: boolean;
  /** A rotated file is read until nothing was written to it for this long. */
  readonly rotatedQuietMs: number;
  readonly clicksPerSecond: number | undefined;
  readonly replaySpeed: number | undefined;
  readonly batchItems: number;
  readonly concurrency: number;
  /** Undefined means one file per source under `data/feed/`. */
  readonly statePath: string | undefined;
  readonly restart: boolean;
  readonly rejectsPath: string | undefined;
  readonly giveUpAfterMs: number;
}
