/** `adclicks quarantine list`, `export`, `retry`. */
import { Command, Option } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import { clientOf, exitCodes, ingestUrlOption, type ServiceOptions, show, wholeNumber, withService } from './cli.ts';
import { fixedLines } from './fix-command.ts';
import { outcomeWords, placeOf, quarantineText, type RetryResult, retryText } from './quarantine-text.ts';
import { inBatches, type LineFilter, type QuarantinedLine, quarantinedLines } from './quarantined-lines.ts';
import { type FieldMap, type Retried, retriedClick } from './retried-click.ts';

/** Posts lines to ingest until each has a verdict; undefined if it was stopped before. */
export type PostLines = (
  ingestUrl: string,
  lines: readonly string[],
) => Promise<
  | { readonly accepted: number; readonly rejected: readonly { readonly index: number; readonly message: string }[] }
  | undefined
>;

export interface QuarantineDeps {
  readonly postLines: PostLines;
  /** `a=b,c=d` → fields. */
  readonly parseMap: (text: string) => FieldMap;
}

export function quarantineCommand(deps: QuarantineDeps): Command {
  return new Command('quarantine')
    .description('Lines that were not counted when they came: look at them, take them out, try them again.')
    .addCommand(listCommand())
    .addCommand(exportCommand())
    .addCommand(retryCommand(deps));
}

interface FilterOptions extends ServiceOptions, LineFilter {}

function listCommand(): Command {
  return withFilter(new Command('list'))
    .description('How many lines by reason and by what has become of them, and the newest of them.')
    .option('--limit <n>', 'lines to show', wholeNumber(1, 1_000), 20)
    .action(async (given: FilterOptions & { readonly limit: number }) => {
      const { reason, ad: ad_id, outcome, limit } = given;
      show(
        await clientOf(given).ask('getQuarantine', { query: { reason, ad_id, outcome, limit } }),
        given,
        quarantineText,
      );
    });
}

function exportCommand(): Command {
  return withFilter(new Command('export'))
    .description('The lines whole, with their place, reason and outcome, as one JSON object a line.')
    .addHelpText('after', '\nExample:\n  adclicks quarantine export --outcome not_counted > lines.ndjson')
    .action(async (given: FilterOptions) => {
      for await (const line of quarantinedLines(clientOf(given), given)) {
        process.stdout.write(`${JSON.stringify(line)}\n`);
      }
    });
}

interface RetryOptions extends FilterOptions {
  readonly ingestUrl: string;
  readonly reason: string;
  readonly fix?: string;
  readonly map?: string;
  readonly dryRun: boolean;
}

function retryCommand({ postLines, parseMap }: QuarantineDeps): Command {
  return withService(new Command('retry'))
    .description(
      'Posts lines to ingest again, mended where told how. What it accepts counts once, however often it is retried.',
    )
    .requiredOption('--reason <reason>', 'lines with this reason: future, malformed or refused')
    .option('--ad <id>', 'only of this ad')
    .addOption(
      new Option('--fix <command>', 'a shell command that mends the lines: as many lines out as in').conflicts('map'),
    )
    .option('--map <pairs>', 'which field of the line holds which of the click: ad_id=banner,clicked_at=time')
    .option('--dry-run', 'show what would be posted, as NDJSON', false)
    .addOption(ingestUrlOption())
    .addHelpText('after', retryHelp)
    .action(async (given: RetryOptions) => {
      if (given.reason === 'too_late') throw new ConfigError(tooLate);
      const map = given.map === undefined ? {} : parseMap(given.map);
      let result: RetryResult = { reason: given.reason, lines: 0, accepted: 0, refused: [] };
      for await (const lines of inBatches(quarantinedLines(clientOf(given), given), linesPerBatch)) {
        const clicks = await clicksOf(lines, given.fix, map);
        if (given.dryRun) printClicks(clicks);
        else result = sumOf(result, await retried(lines, clicks, given, postLines));
      }
      if (given.dryRun) return;
      show(result, given, retryText);
      if (result.refused.length > 0) process.exitCode = exitCodes.failed;
    });
}

const tooLate =
  'lines that came too late need no retry: they are in raw, and their minutes are recounted and restated by themselves';

const retryHelp = `
A line keeps its own event_id; one without gets one from its place in the log. Lines that came too late are not
retried: their minutes are restated by themselves.

Examples:
  adclicks quarantine retry --reason future
  adclicks quarantine retry --reason malformed --map ad_id=banner,clicked_at=time
  adclicks quarantine retry --reason malformed --fix "sed s/'/\\"/g" --dry-run`;

/** In the order of `lines`. */
async function clicksOf(lines: readonly QuarantinedLine[], fix: string | undefined, map: FieldMap): Promise<Retried[]> {
  const raws = lines.map(({ raw }) => raw);
  const mended = fix === undefined ? raws : await fixedLines(fix, raws);
  return lines.map((line, at) => retriedClick(line, mended[at] ?? line.raw, map));
}

function sumOf(before: RetryResult, { lines, accepted, refused }: RetryResult): RetryResult {
  return {
    reason: before.reason,
    lines: before.lines + lines,
    accepted: before.accepted + accepted,
    refused: [...before.refused, ...refused],
  };
}

function printClicks(clicks: readonly Retried[]): void {
  for (const click of clicks) {
    if (click.ok) process.stdout.write(`${click.json}\n`);
    else process.stderr.write(`not posted: ${click.problem}\n`);
  }
}

async function retried(
  lines: readonly QuarantinedLine[],
  clicks: readonly Retried[],
  { ingestUrl, reason }: RetryOptions,
  postLines: PostLines,
): Promise<RetryResult> {
  const refused: { place: string; problem: string }[] = [];
  const postable: { place: string; json: string }[] = [];
  for (const [at, line] of lines.entries()) {
    const click = clicks[at];
    if (click?.ok) postable.push({ place: placeOf(line), json: click.json });
    else refused.push({ place: placeOf(line), problem: click?.problem ?? '' });
  }
  let accepted = 0;
  for (let start = 0; start < postable.length; start += linesPerRequest) {
    const batch = postable.slice(start, start + linesPerRequest);
    const verdicts = await postLines(
      ingestUrl,
      batch.map(({ json }) => json),
    );
    if (verdicts === undefined) throw new ConfigError('stopped: start it again, what was accepted counts once');
    accepted += verdicts.accepted;
    for (const { index, message } of verdicts.rejected) {
      refused.push({ place: batch[index]?.place ?? '', problem: message });
    }
  }
  return { reason, lines: lines.length, accepted, refused };
}

const linesPerRequest = 500;
/** A `--fix` command gets so many at a time. */
const linesPerBatch = 5_000;

function withFilter(command: Command): Command {
  return withService(command)
    .option('--reason <reason>', 'only lines with this reason: malformed, future, too_late or refused')
    .option('--ad <id>', 'only of this ad')
    .addOption(
      new Option(
        '--outcome <outcome>',
        `only lines of which this has become: ${Object.entries(outcomeWords)
          .map(([outcome, words]) => (outcome === words ? outcome : `${outcome} (${words})`))
          .join(', ')}`,
      ).choices(Object.keys(outcomeWords)),
    );
}
