/** The command line of `npm run feed` and of `adclicks feed`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { ConfigError, messageOf, Retryable } from '../../infra/errors.ts';
import { parseMap } from './csv-rows.ts';
import type { FeedOptions } from './options.ts';
import { stdin } from './rows.ts';
import { feedFiles } from './run.ts';

/** Sets the process's exit code to 1 if a row was rejected. Its action throws what `feedFailure` explains. */
export function feedCommand(): Command {
  return new Command('feed')
    .description(
      'Post click logs, NDJSON or CSV, to ingest. Interrupted, it goes on where it was when it is started again.',
    )
    .argument('[files...]', 'files to read; `-`, or none: standard input')
    .addOption(
      new Option('--url, --ingest-url <url>', 'base URL of ingest')
        .env('ADCLICKS_INGEST_URL')
        .default('http://127.0.0.1:8080'),
    )
    .option(
      '--format <format>',
      'ndjson or csv (default: csv for .csv and .tsv, otherwise ndjson)',
      oneOf('ndjson', 'csv'),
    )
    .option('--map <pairs>', 'CSV: which column holds which field, ad_id=col,clicked_at=col,…')
    .option('--delimiter <char>', 'CSV: what stands between columns (default: a comma; in .tsv a tab)')
    .option(
      '--exported',
      'CSV: exported by this product, though its columns are not as they were: take off the apostrophes of the export',
      false,
    )
    .option('--follow', 'wait at the end of the file for what is appended, through rotations', false)
    .option('--rate <n>', 'at most n clicks per second', positive)
    .option(
      '--replay-speed <x>',
      'send the log at x times its own pace, with every clicked_at set to the moment of sending',
      positive,
    )
    .option('--batch <n>', 'clicks per request', positiveInteger, 500)
    .option('--concurrency <n>', 'requests at a time', positiveInteger, 4)
    .option('--state <file>', 'where to keep the resume point (default: data/feed/<name>-<hash of path>.json)')
    .option('--restart', 'begin at the first row, whatever the resume point says', false)
    .option('--rejects <file>', 'append rejected rows to this file, with the reason')
    .option('--give-up-after <s>', 'seconds without an answer until it gives up (following: never)', positive, 120)
    .action(async (files: string[], given: GivenOptions) => {
      const rejected = await feedFiles(files.length > 0 ? files : [stdin], asFeedOptions(given));
      if (rejected > 0) process.exitCode = 1;
    });
}

/** One line for what a person can mend, a stack for what is our fault. */
export function feedFailure(error: unknown): string {
  const again = error instanceof Retryable ? '; start it again to go on from the resume point' : '';
  const isExpected =
    error instanceof ConfigError || error instanceof Retryable || (error instanceof Error && 'syscall' in error);
  return `feed: ${isExpected || !(error instanceof Error) ? messageOf(error) : error.stack}${again}`;
}

interface GivenOptions {
  readonly ingestUrl: string;
  readonly format?: 'ndjson' | 'csv';
  readonly map?: string;
  readonly delimiter?: string;
  readonly exported: boolean;
  readonly follow: boolean;
  readonly rate?: number;
  readonly replaySpeed?: number;
  readonly batch: number;
  readonly concurrency: number;
  readonly state?: string;
  readonly restart: boolean;
  readonly rejects?: string;
  readonly giveUpAfter: number;
}

function asFeedOptions(given: GivenOptions): FeedOptions {
  if (!URL.canParse(given.ingestUrl))
    throw new ConfigError(`--url ${given.ingestUrl}: must be like http://127.0.0.1:8080`);
  if (given.rate && given.replaySpeed) throw new ConfigError('--rate and --replay-speed: give one of them');
  return {
    url: given.ingestUrl,
    format: given.format,
    columnOf: given.map ? parseMap(given.map) : {},
    delimiter: given.delimiter === '\\t' ? '\t' : given.delimiter,
    isExport: given.exported,
    follow: given.follow,
    clicksPerSecond: given.rate,
    replaySpeed: given.replaySpeed,
    batchItems: given.batch,
    concurrency: given.concurrency,
    statePath: given.state,
    restart: given.restart,
    rejectsPath: given.rejects,
    giveUpAfterMs: given.follow ? Number.POSITIVE_INFINITY : given.giveUpAfter * 1_000,
  };
}

function oneOf<T extends string>(...choices: readonly T[]): (text: string) => T {
  return text => {
    const choice = choices.find(known => known === text);
    if (choice === undefined) throw new InvalidArgumentError(`must be one of ${choices.join(', ')}`);
    return choice;
  };
}

function positive(text: string): number {
  const value = Number(text);
  if (!Number.isFinite(value) || value <= 0) throw new InvalidArgumentError('must be a positive number');
  return value;
}

function positiveInteger(text: string): number {
  const value = positive(text);
  if (!Number.isInteger(value)) throw new InvalidArgumentError('must be a whole number');
  return value;
}
