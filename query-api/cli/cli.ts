/** What all commands of `adclicks` share: the addresses of the services, how answers are printed, and the exit codes. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import { ownKeyOf } from '../../infra/keys/own-key.ts';
import { type Client, createClient, defaultUrls, InvalidInput, ProblemError, Unreachable } from '../client/client.ts';
import { type Style, styleFor } from './style.ts';

/** `differs`: the command has worked, and what it compared is not equal. */
export const exitCodes = { ok: 0, failed: 1, usage: 2, differs: 3 } as const;

export interface ServiceOptions {
  readonly url: string;
  readonly json: boolean;
}

export function withService(command: Command): Command {
  return command
    .addOption(
      new Option('--url <url>', 'base URL of the query API')
        .env('ADCLICKS_QUERY_API_URL')
        .default(defaultUrls['query-api'])
        .argParser(httpUrl),
    )
    .option('--json', 'print the answer as JSON, for programs', false);
}

export function ingestUrlOption(): Option {
  return new Option('--ingest-url <url>', 'base URL of ingest')
    .env('ADCLICKS_INGEST_URL')
    .default(defaultUrls.ingest)
    .argParser(httpUrl);
}

export function withRange(command: Command): Command {
  return command
    .option(
      '--from <time>',
      'beginning of the range, included: RFC 3339 (seconds are optional) or epoch ms; rounded down to the minute',
      minuteOf('--from'),
    )
    .option('--to <time>', 'end of the range, not included; rounded up to the minute', minuteOf('--to'));
}

/**
 * Rounds a time to a whole minute, because clicks are counted by the minute while these commands print times with seconds.
 * The range never gets smaller by it, and a message on standard error says what was rounded. A text that is not a time is
 * passed on: the service refuses it.
 */
export function minuteOf(option: '--from' | '--to', say = sayOnStderr): (text: string) => string {
  return text => {
    const time = timeOf(text);
    const at = /^\d+$/.test(time)
      ? Number(time)
      : /^\d{4}-\d\d-\d\dT.*(Z|[+-]\d\d:\d\d)$/i.test(time)
        ? Date.parse(time)
        : Number.NaN;
    if (!(Math.abs(at) <= lastTimeMs) || at % minuteMs === 0) return time;
    const whole = new Date((option === '--from' ? Math.floor(at / minuteMs) : Math.ceil(at / minuteMs)) * minuteMs);
    const rounded = whole.toISOString().replace('.000Z', 'Z');
    say(`adclicks: ${option} ${text} is rounded ${option === '--from' ? 'down' : 'up'} to ${rounded}\n`);
    return rounded;
  };
}

const minuteMs = 60_000;
/** The last time that a `Date` can hold, less a minute. */
const lastTimeMs = 8_640_000_000_000_000 - minuteMs;

function sayOnStderr(line: string): void {
  process.stderr.write(line);
}

/** Adds the seconds that people leave out and RFC 3339 requires: `2025-11-22T08:26Z` becomes `2025-11-22T08:26:00Z`. */
export function timeOf(text: string): string {
  return text.replace(/^(\d{4}-\d\d-\d\dT\d\d:\d\d)(Z|[+-]\d\d:\d\d)$/i, '$1:00$2');
}

export function clientOf({ url }: ServiceOptions): Client {
  return createClient({ queryApiUrl: url, apiKey: ownKeyOf(process.env), fetch: tellingTenant(fetch, sayOnStderr) });
}

/** Says once for whose ads alone the answers are, if the key is that of a tenant. */
export function tellingTenant(ask: typeof fetch, say: (line: string) => void): typeof fetch {
  let told: string | undefined;
  return async (...asked) => {
    const response = await ask(...asked);
    const tenant = response.headers.get('x-tenant') ?? undefined;
    if (tenant !== undefined && tenant !== told) say(`adclicks: the key sees the ads of tenant ${tenant} alone\n`);
    told = tenant ?? told;
    return response;
  };
}

/** Prints the whole answer as JSON, or as text for people. */
export function show<T>(answer: T, { json }: ServiceOptions, textOf: (answer: T, style: Style) => string): void {
  process.stdout.write(json ? `${JSON.stringify(answer)}\n` : textOf(answer, terminalStyle()));
}

export function terminalStyle(): Style {
  return styleFor({ isTerminal: process.stdout.isTTY === true, hasColour: process.stdout.hasColors?.() === true });
}

/** One line that says what is wrong, and the exit code for it. */
export function failureOf(error: unknown): { message: string; code: number } {
  if (error instanceof ProblemError) {
    const { status, message } = error;
    if (status === 400) return { message, code: exitCodes.usage };
    return { message: `${status} ${message}`, code: exitCodes.failed };
  }
  if (error instanceof InvalidInput) return { message: error.message, code: exitCodes.usage };
  if (error instanceof Unreachable) {
    const advice = error.message.includes('certificate') ? '' : ': is it running?';
    return { message: error.message + advice, code: exitCodes.failed };
  }
  const code = error instanceof ConfigError ? exitCodes.usage : exitCodes.failed;
  const isOurFault = error instanceof Error && !(error instanceof ConfigError) && !('syscall' in error);
  return { message: isOurFault ? (error.stack ?? error.message) : messageOf(error), code };
}

/** Parses a whole number from `min` to `max`. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return text => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It must be a whole number from ${min} to ${max}.`);
  };
}

function httpUrl(text: string): string {
  if (/^https?:\/\//.test(text) && URL.canParse(text)) return text;
  throw new InvalidArgumentError('It must be a URL like http://127.0.0.1:8081.');
}
