/** Parses the command line of `npm run feed` and of `adclicks feed`. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { ConfigError, messageOf, Retryable } from '../../infra/errors.ts';
import { stdin } from './content.ts';
import { type FormatName, formatNames } from './format.ts';
import { parseMap } from './mapping.ts';
import type { FeedOptions } from './options.ts';
import { feedFiles } from './run.ts';

/**
 * Sets the process's exit code to 1 if a row was rejected, or if the rows do not add up. Its action throws the errors
 * that `feedFailure` explains.
 */
export function feedCommand(): Command {
  return new Command('feed')
    .description(
      'Post click logs to ingest: NDJSON, CSV, access logs, gz or not. Interrupted, it goes on where it was when it is started again. Every row is accepted, rejected, or skipped by a rule, and the sum is checked; exit code 1 if one was rejected.',
    )
    .argument('[files...]', 'files to read; `-`, or none: standard input')
    .addOption(
      new Option('--url, --ingest-url <url>', 'base URL of ingest')
        .env('ADCLICKS_INGEST_URL')
        .default('http://127.0.0.1:8080'),
    )
    .option('--format <format>', `${formatNames.join(', ')} (default: by the first line)`, oneOf(...formatNames))
    .option(
      '--map <pairs>',
      'which column (CSV), field (NDJSON: also a.b) or column of the log holds what: ad_id=col,clicked_at=col,…; of event_id, user_id, ip, country and, for --ad-id, --method, --status, --path: url, method, status. query:NAME is a parameter of the URL',
    )
    .option('--ad-id <source>', 'the ad id: `path` (last part of the URL), `query:NAME` (a parameter), or a column')
    .option('--method <list>', 'requests that are clicks, where a row tells its method', 'GET,POST')
    .addOption(
      new Option('--status <list>', 'requests that are clicks, where a row tells its status')
        .argParser(parseStatuses)
        .default([[200, 399]], '200-399'),
    )
    .option('--path <prefix>', 'requests that are clicks: those whose path begins so (default: all)')
    .option('--delimiter <char>', 'CSV: what stands between columns (default: as in the header)', character)
    .option('--multiline', 'CSV: a text in quotes may go on in the next line', false)
    .option(
      '--exported',
      'CSV: exported by this product, though its columns are not as they were: take off the apostrophes of the export',
      false,
    )
    .addOption(
      new Option('--last-line', 'take a last line that has no newline').default(
        false,
        'once it stood still for a minute',
      ),
    )
    .option('--follow', 'wait at the end of the file for what is appended, through rotations', false)
    .option('--rotated-quiet <s>', 'following: read a rotated file until it was quiet for so long', positive, 600)
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
    .option('--rejects <file>', 'append rejected rows to this file, as they are, and why to <file>.reasons')
    .option('--give-up-after <s>', 'seconds without an answer until it gives up (following: never)', positive, 120)
    .addHelpText('after', examples)
    .action(async (files: string[], given: GivenOptions) => {
      if (!(await feedFiles(files.length > 0 ? files : [stdin], asFeedOptions(given)))) process.exitCode = 1;
    });
}

const examples = `
Exit codes: 0 all rows were accepted or skipped, 1 a row was rejected, or it could not go on (wrong usage of adclicks feed: 2).

Examples:
  feed clicks.ndjson more.csv.gz --map ad_id=banner,clicked_at=time,user_id=uid
  feed access.log --follow --ad-id query:ad --path /click
  zcat old.ndjson.gz | feed - --replay-speed 60`;

/** Returns one line for an error that a person can correct, and a stack for an error of the program. */
export function feedFailure(error: unknown): string {
  const again = error instanceof Retryable ? '; start it again to go on from the resume point' : '';
  const isExpected =
    error instanceof ConfigError || error instanceof Retryable || (error instanceof Error && 'syscall' in error);
  return `feed: ${isExpected || !(error instanceof Error) ? messageOf(error) : error.stack}${again}`;
}

interface GivenOptions {
  readonly ingestUrl: string;
  readonly format?: FormatName;
  readonly map?: string;
  readonly adId?: string;
  readonly method: string;
  readonly status: readonly (readonly [number, number])[];
  readonly path?: string;
  readonly delimiter?: string;
  readonly multiline: boolean;
  readonly exported: boolean;
  readonly lastLine: boolean;
  readonly follow: boolean;
  readonly rotatedQuiet: number;
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
    mapping: {
      columnOf: given.map ? parseMap(given.map) : {},
      adId: given.adId,
      methods: given.method.toUpperCase().split(','),
      statuses: given.status,
      path: given.path,
    },
    csv: { delimiter: given.delimiter, isExport: given.exported, multiline: given.multiline },
    lastLine: given.lastLine,
    follow: given.follow,
    rotatedQuietMs: given.rotatedQuiet * 1_000,
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

/** `200-399,304` */
function parseStatuses(text: string): [number, number][] {
  return text.split(',').map(part => {
    const [, from, to = from] = /^([1-5]\d\d)(?:-([1-5]\d\d))?$/.exec(part.trim()) ?? [];
    if (from === undefined) throw new InvalidArgumentError('must be like 200-399 or 200,302');
    return [Number(from), Number(to)];
  });
}

function character(text: string): string {
  const found = text === '\\t' ? '\t' : text;
  if (found.length !== 1 || found === '"' || /[\r\n]/.test(found))
    throw new InvalidArgumentError('must be one character');
  return found;
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
