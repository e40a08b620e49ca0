/** `adclicks status`, `top`, `count`, `series`, `tail`. */
import { Argument, Command, Option } from 'commander';
import type { AnswerOf } from '../client/client.ts';
import { countsText, seriesText, statusText, topText } from './answers-text.ts';
import {
  clientOf,
  exitCodes,
  type ServiceOptions,
  show,
  terminalStyle,
  timeOf,
  wholeNumber,
  withRange,
  withService,
} from './cli.ts';
import { liveText } from './live-text.ts';

interface RangeOptions extends ServiceOptions {
  readonly from?: string;
  readonly to?: string;
  readonly country?: string;
  readonly user?: string;
  readonly ip?: string;
  readonly filter?: string;
  readonly gross?: boolean;
}

interface SeriesOptions extends RangeOptions {
  readonly by: 'minute' | 'hour' | 'day';
  readonly timezone?: string;
}

export function statusCommand(): Command {
  return withService(new Command('status'))
    .description(
      'Shows how far each partition is counted, and whether every line is accounted for. Exit code 3: a line is not accounted for, or a partition has stalled.',
    )
    .action(async (given: ServiceOptions) => {
      const status = await clientOf(given).ask('getStatus');
      show(status, given, statusText);
      const { balanced, rows } = status.conservation;
      const isStalled = status.partitions.some(({ stalled_since }) => stalled_since !== null);
      if (!balanced || (rows?.difference ?? 0) > 0 || isStalled) process.exitCode = exitCodes.differs;
    });
}

export function topCommand(): Command {
  return withFilters(withRange(withService(new Command('top'))))
    .description(
      'Lists the ads with the most clicks: in the last full minute, in the last --window minutes, or between --from and --to.',
    )
    .argument('[count]', 'how many ads to list', wholeNumber(1, 1_000), 20)
    .option('--window <minutes>', 'count the clicks of this many last full minutes', wholeNumber(1, 600_000))
    .addHelpText('after', '\nExamples:\n  adclicks top 10 --window 60\n  adclicks top --country KR --json | jq .ads[0]')
    .action(async (count: number, given: RangeOptions & { readonly window?: number }) => {
      const { from, to, window } = given;
      const query = { count, window, from, to, ...filtersOf(given) };
      show(await clientOf(given).ask('getPopularAds', { query }), given, topText);
    });
}

export function countCommand(): Command {
  return withFilters(withRange(withService(new Command('count'))))
    .description(
      'Counts the clicks of ads between --from and --to, or in the last full minute: net clicks, which are those to bill, with gross and invalid ones beside them.',
    )
    .addArgument(new Argument('<ads...>', 'ids of ads'))
    .option('--as-of <time>', 'give the count as it was at this time, before later restatements', timeOf)
    .option('--reasons', 'show why clicks are invalid, and by which version of the rules')
    .addHelpText('after', '\nExample:\n  adclicks count ad-42 --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z')
    .action(
      async (ads: readonly string[], given: RangeOptions & { readonly asOf?: string; readonly reasons?: boolean }) => {
        const { from, to, asOf, reasons } = given;
        const client = clientOf(given);
        const answers: AnswerOf<'getAggregatedCount'>[] = [];
        for (const ad_id of ads) {
          const query = { from, to, as_of: asOf, reasons, ...filtersOf(given) };
          answers.push(await client.ask('getAggregatedCount', { params: { ad_id }, query }));
        }
        // One ad is one answer, as from the API. Several ads are a list.
        if (given.json) show(answers.length === 1 ? answers[0] : answers, given, () => '');
        else show(answers, given, countsText);
      },
    );
}

export function seriesCommand(): Command {
  return withFilters(withRange(withService(new Command('series'))))
    .description('Shows clicks over time: of all ads together, or of several ads side by side.')
    .addArgument(new Argument('[ads...]', 'ids of ads, at most 20'))
    .addOption(
      new Option('--by <granularity>', 'the time that each line covers')
        .choices(['minute', 'hour', 'day'])
        .default('minute'),
    )
    .option(
      '--timezone <name>',
      'begin hours and days by the clock of this time zone, for example Asia/Seoul (default: UTC)',
    )
    .addHelpText('after', '\nExample:\n  adclicks series ad-42 ad-7 --by hour --timezone Asia/Seoul')
    .action(async (ads: readonly string[], given: SeriesOptions) => {
      const { from, to, by, timezone } = given;
      const shape = { granularity: by, timezone, from, to };
      const query = { ...(ads.length > 0 ? { ad_id: ads } : {}), ...shape, ...filtersOf(given) };
      show(await clientOf(given).ask('getAllSeries', { query }), given, seriesText);
    });
}

export function tailCommand(): Command {
  return withService(new Command('tail'))
    .description(
      'Prints a line each second with what happens now, until Ctrl-C. With --json each line is a JSON object.',
    )
    .option('--events <n>', 'end after this many lines', wholeNumber(1, 1_000_000_000))
    .action(async (given: ServiceOptions & { readonly events?: number }) => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      process.once('SIGTERM', () => stop.abort());
      let left = given.events ?? Number.POSITIVE_INFINITY;
      for await (const message of clientOf(given).listen({ signal: stop.signal })) {
        if (message.kind === 'event') {
          show(message.data, given, event => liveText(event, terminalStyle()));
          if (--left <= 0) break;
        } else if (message.kind === 'unavailable') process.stderr.write(`adclicks: ${message.detail}\n`);
      }
    });
}

function withFilters(command: Command): Command {
  return command
    .option('--country <code>', 'only clicks from this country (ISO 3166-1 alpha-2; ZZ: unknown)')
    .option('--user <id>', 'only clicks of this user')
    .option('--ip <address>', 'only clicks from this address')
    .option('--filter <id>', 'only clicks that fit this stored filter')
    .option('--gross', 'count duplicates and invalid clicks too');
}

function filtersOf({ country, user, ip, filter, gross }: RangeOptions) {
  return { country, user_id: user, ip, filter, clicks: gross ? ('gross' as const) : undefined };
}
