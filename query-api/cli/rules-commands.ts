/** `adclicks rules list`, `show`, `propose`, `announce`: the rules by which clicks are invalid. */
import { readFileSync } from 'node:fs';
import { text } from 'node:stream/consumers';
import { Command } from 'commander';
import { ConfigError, messageOf } from '../../infra/errors.ts';
import type { AnswerOf } from '../client/client.ts';
import { clientOf, exitCodes, minuteOf, type ServiceOptions, show, wholeNumber, withService } from './cli.ts';
import { printed } from './printed.ts';
import { counted, type Style, shortTime } from './style.ts';
import { textPairs, textTable } from './text-table.ts';

type Rules = AnswerOf<'listRules'>;
type Version = Rules['versions'][number];

export function rulesCommand(): Command {
  return new Command('rules')
    .description('The rules by which clicks are invalid: lists, shows and announces their versions.')
    .addHelpText(
      'after',
      `
To see what rules would change before anybody is billed by them:
  adclicks rules propose > rules.json
  adclicks replay --from … --to … --draft-rules rules.json --price-per-click 0.25
To announce them for a minute to come, and to make a draft that replays can name:
  adclicks rules announce rules.json --from 2026-01-01T00:00Z --note "to begin with"
  adclicks rules announce rules.json --draft --note "stricter caps"`,
    )
    .addCommand(listCommand())
    .addCommand(showCommand())
    .addCommand(proposeCommand())
    .addCommand(announceCommand());
}

function listCommand(): Command {
  return withService(new Command('list'))
    .description('List the versions, the newest first.')
    .option('--limit <n>', 'versions to show', wholeNumber(1, 1_000), 100)
    .action(async (given: ServiceOptions & { readonly limit: number }) => {
      show(await clientOf(given).ask('listRules', { query: { limit: given.limit } }), given, rulesText);
    });
}

function showCommand(): Command {
  return withService(new Command('show'))
    .description('Show what a version says. Without a number, the version by which clicks of now are judged.')
    .argument('[version]', 'the number of the version', wholeNumber(1, 2 ** 31))
    .action(async (asked: number | undefined, given: ServiceOptions) => {
      const { versions, in_force } = await clientOf(given).ask('listRules', { query: { limit: 1_000 } });
      const number = asked ?? in_force;
      const version = versions.find(({ version }) => version === number);
      if (version) return show(version, given, versionText);
      process.stderr.write(
        number === 0 ? 'no rules are in force: every click is valid\n' : `there is no version ${number} of the rules\n`,
      );
      process.exitCode = exitCodes.failed;
    });
}

function proposeCommand(): Command {
  return withService(new Command('propose'))
    .description('Print the rules that are proposed to whoever begins with them, as JSON for `announce`.')
    .action(async (given: ServiceOptions) => {
      const { recommended } = await clientOf(given).ask('listRules', { query: { limit: 1 } });
      process.stdout.write(`${JSON.stringify(recommended, null, 2)}\n`);
    });
}

interface AnnounceOptions extends ServiceOptions {
  readonly from?: string;
  readonly draft: boolean;
  readonly note: string;
}

function announceCommand(): Command {
  return withService(new Command('announce'))
    .description('Announce a version: for a minute to come, or as a draft. It cannot be taken back, only replaced.')
    .argument('[file]', 'a file with the rules as JSON, or - for standard input', '-')
    .option('--from <minute>', 'the first minute of event time that is judged by it', minuteOf('--from'))
    .option('--draft', 'make a draft, which no minute takes by itself', false)
    .requiredOption('--note <text>', 'why, for whoever looks at it later')
    .action(async (file: string, given: AnnounceOptions) => {
      const { from, draft, note } = given;
      if ((from === undefined) !== draft) throw new ConfigError('either --from or --draft must be given');
      const rules = await rulesIn(file);
      show(await clientOf(given).ask('announceRules', { body: { rules, from, note } }), given, versionText);
    });
}

/** The service checks what they say. @throws ConfigError */
export async function rulesIn(file: string): Promise<Rules['recommended']> {
  try {
    return JSON.parse(file === '-' ? await text(process.stdin) : readFileSync(file, 'utf8'));
  } catch (error) {
    throw new ConfigError(`${file}: must be a file with rules as JSON: ${messageOf(error)}`);
  }
}

/** Pure. */
export function rulesText({ versions, in_force, soonest_from, total }: Rules, style: Style): string {
  const head = textPairs([
    ['now', in_force === 0 ? 'no rules: every click is valid' : `version ${in_force}`],
    ['next', `rules that are announced now can hold from ${shortTime(soonest_from)} on`],
  ]);
  const table = textTable(
    [
      { title: 'version', isNumber: true },
      { title: 'state' },
      { title: 'from' },
      { title: 'announced' },
      { title: 'note' },
    ],
    versions.map(({ version, state, from, announced_at, note }) => [
      `${version}`,
      state === 'in_force' ? style.good(state) : state === 'too_late' ? style.bad(state) : state,
      shortTime(from),
      shortTime(announced_at),
      printed(note),
    ]),
  );
  const rest = total > versions.length ? `${counted(total - versions.length, 'older version')}, with --limit\n` : '';
  return `${head}${table}${rest}`;
}

/** Pure. */
export function versionText({ version, state, from, rules, note, announced_at, announced_by }: Version): string {
  return textPairs([
    ['version', `${version}`],
    ['state', state],
    ['from', from === null ? 'a draft, which only replays use' : `${shortTime(from)} (event time)`],
    ['note', printed(note)],
    ['announced', `${shortTime(announced_at)}${announced_by === null ? '' : ` by ${announced_by}`}`],
    ...Object.entries(rules).map(([name, value]): [string, string] => [name, saidOf(value)]),
  ]);
}

function saidOf(value: boolean | number): string {
  if (typeof value === 'boolean') return value ? 'invalid' : 'no rule';
  return value === 0 ? 'no rule' : `${value}`;
}
