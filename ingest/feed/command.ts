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
  const command = new Command('feed')
    .description(
      'Posts click logs to ingest: NDJSON, CSV and access logs, plain or packed with gzip. If it is interrupted, start it again, and it continues where it was. Every row is accepted, rejected, or skipped by a rule, and the sum is checked. The exit code is 1 if a row was rejected.',
    )
    .argument('[files...]', 'files to read; `-`, or no file, means standard input');
  for (const addOptions of [addSourceOptions, addCsvOptions, addReadingOptions, addPostingOptions]) addOptions(command);
  return command.addHelpText('after', examples).action(async (files: string[], given: GivenOptions) => {
    if (!(await feedFiles(files.length > 0 ? files : [stdin], asFeedOptions(given)))) process.exitCode = 1;
  });
}

/** Which rows are clicks, and where their fields are. */
function addSourceOptions(command: Command): void {
  command
    .option(
      '--format <format>',
      `${formatNames.join(', ')} (default: recognised by the first line)`,
      oneOf(...formatNames),
    )
    .option(
      '--map <pairs>',
      'where each field is: ad_id=col,clicked_at=col,…, also for event_id, user_id, ip, country, user_agent, referrer, purpose and facts, and for url, method and status, which --ad-id, --method, --status and --path use. A col is a column of a CSV file or a log, a field of NDJSON (also a.b), or query:NAME for a parameter of the URL',
    )
    .option(
      '--ad-id <source>',
      'where the ad id is: `path` (the last part of the URL), `query:NAME` (a parameter of it), or a column',
    )
    .option('--method <list>', 'methods of requests that are clicks, if rows contain the method', 'GET,POST')
    .addOption(
      new Option('--status <list>', 'statuses of requests that are clicks, if rows contain the status')
        .argParser(parseStatuses)
        .default([[200, 399]], '200-399'),
    )
    .option('--path <prefix>', 'only requests whose path begins with this are clicks (default: all requests)');
}

/** How CSV is written. */
function addCsvOptions(command: Command): void {
  command
    .option('--delimiter <char>', 'CSV: the character between columns (default: as in the header)', character)
    .option('--multiline', 'CSV: a text in quotes may continue on the next line', false)
    .option(
      '--exported',
      'CSV: the file is an export of this product with changed columns, so remove the apostrophes that the export added',
      false,
    );
}

/** How far a file is read, and where reading begins. */
function addReadingOptions(command: Command): void {
  command
    .addOption(
      new Option('--last-line', 'read a last line that has no newline').default(
        false,
        'once it stood still for a minute',
      ),
    )
    .option('--follow', 'wait at the end of the file for new lines, also when the file is rotated', false)
    .option(
      '--rotated-quiet <s>',
      'with --follow: read a rotated file until nothing was written to it for this time',
      positive,
      600,
    )
    .option('--state <file>', 'file for the resume point (default: data/feed/<name>-<hash of path>.json)')
    .option('--restart', 'begin at the first row and ignore the resume point', false);
}

/** Where and how fast clicks are posted, and what happens to those that are rejected. */
function addPostingOptions(command: Command): void {
  command
    .addOption(
      new Option('--url, --ingest-url <url>', 'base URL of ingest')
        .env('ADCLICKS_INGEST_URL')
        .default('http://127.0.0.1:8080'),
    )
    .option('--rate <n>', 'at most n clicks per second', positive)
    .option(
      '--replay-speed <x>',
      'send the log at x times its original speed, and set every clicked_at to the moment of sending',
      positive,
    )
    .option('--batch <n>', 'clicks per request', positiveInteger, 500)
    .option('--concurrency <n>', 'number of requests at the same time', positiveInteger, 4)
    .option('--rejects <file>', 'append rejected rows unchanged to this file, and the reasons to <file>.reasons')
    .option(
      '--give-up-after <s>',
      'give up after this many seconds without an answer (with --follow: never)',
      positive,
      120,
    );
}

const examples = `
Exit codes: 0 all rows were accepted or skipped, 1 a row was rejected, or the feed could not continue (wrong usage of adclicks feed: 2).

Examples:
  feed clicks.ndjson more.csv.gz --map ad_id=banner,clicked_at=time,user_id=uid
  feed access.log --follow --ad-id query:ad --path /click
  zcat old.ndjson.gz | feed - --replay-speed 60`;

/** Returns one line for an error that a person can correct, and a stack for an error of the program. */
export function feedFailure(error: unknown): string {
  const again = error instanceof Retryable ? '; start it again to continue from the resume point' : '';
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
    throw new ConfigError(`--url ${given.ingestUrl}: must be a URL such as http://127.0.0.1:8080`);
  if (given.rate && given.replaySpeed) throw new ConfigError('--rate and --replay-speed: give only one of them');
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
    if (from === undefined) throw new InvalidArgumentError('must be a range such as 200-399 or a list such as 200,302');
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
