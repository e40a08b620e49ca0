/** `adclicks quarantine list`, `export`, `retry`. */
import { Command, Option } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import { clientOf, exitCodes, ingestUrlOption, type ServiceOptions, show, wholeNumber, withService } from './cli.ts';
import { fixedLines } from './fix-command.ts';
import { outcomeWords, placeOf, quarantineText, type RetryResult, retryText } from './quarantine-text.ts';
import { inBatches, type LineFilter, type QuarantinedLine, quarantinedLines } from './quarantined-lines.ts';
import { type FieldMap, type Retried, retriedClick } from './retried-click.ts';

/** Posts lines to ingest until each one is accepted or rejected. Undefined if it was stopped before. */
export type PostLines = (
  ingestUrl: string,
  lines: readonly string[],
) => Promise<
  | { readonly accepted: number; readonly rejected: readonly { readonly index: number; readonly message: string }[] }
  | undefined
>;

export interface QuarantineDeps {
  readonly postLines: PostLines;
  /** Parses `a=b,c=d`. */
  readonly parseMap: (text: string) => FieldMap;
}

export function quarantineCommand(deps: QuarantineDeps): Command {
  return new Command('quarantine')
    .description('Lists, exports and retries lines that were not counted when they arrived.')
    .addCommand(listCommand())
    .addCommand(exportCommand())
    .addCommand(retryCommand(deps));
}

interface FilterOptions extends ServiceOptions, LineFilter {}

function listCommand(): Command {
  return withFilter(new Command('list'))
    .description('Shows how many lines are in quarantine, by reason and by outcome, and the newest lines.')
    .option('--limit <n>', 'how many lines to show', wholeNumber(1, 1_000), 20)
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
    .description('Prints the whole lines as JSON, one object a line, with partition, offset, reason and outcome.')
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
      'Posts lines to ingest again, corrected by --map or --fix. A line that ingest accepts counts once, however often it is retried.',
    )
    .requiredOption('--reason <reason>', 'only lines with this reason: future, malformed or refused')
    .option('--ad <id>', 'only lines of this ad')
    .addOption(
      new Option(
        '--fix <command>',
        'a shell command that reads the lines and prints as many corrected lines',
      ).conflicts('map'),
    )
    .option(
      '--map <pairs>',
      'fields of the click and the fields of the line that hold them: ad_id=banner,clicked_at=time',
    )
    .option('--dry-run', 'print the clicks that would be posted as NDJSON, and post nothing', false)
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
  'lines that arrived too late need no retry: they are in the raw clicks, and their minutes are recounted and restated by themselves';

const retryHelp = `
A line keeps its own event_id. A line without one gets an event_id made of its partition, offset and line. Lines that
arrived too late are not retried: their minutes are restated by themselves.

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
    if (verdicts === undefined) throw new ConfigError('stopped: run it again, lines that were accepted count once');
    accepted += verdicts.accepted;
    for (const { index, message } of verdicts.rejected) {
      refused.push({ place: batch[index]?.place ?? '', problem: message });
    }
  }
  return { reason, lines: lines.length, accepted, refused };
}

const linesPerRequest = 500;
/** How many lines a `--fix` command gets at a time. */
const linesPerBatch = 5_000;

function withFilter(command: Command): Command {
  return withService(command)
    .option('--reason <reason>', 'only lines with this reason: malformed, future, too_late or refused')
    .option('--ad <id>', 'only lines of this ad')
    .addOption(
      new Option(
        '--outcome <outcome>',
        `only lines with this outcome: ${Object.entries(outcomeWords)
          .map(([outcome, words]) => (outcome === words ? outcome : `${outcome} (${words})`))
          .join(', ')}`,
      ).choices(Object.keys(outcomeWords)),
    );
}
