/** `adclicks`: the pipeline from a command line, for people and for programs. */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import { ownKeyOf } from '../../infra/keys/own-key.ts';
import { release } from '../../infra/release.ts';
import { exitCodes, failureOf } from './cli.ts';
import type { PostLines } from './quarantine-commands.ts';

/** In the order of the help. A command is loaded only if it is asked for, so that it does not wait for the modules of others. */
const commands = {
  status: async () => (await import('./counts-commands.ts')).statusCommand(),
  top: async () => (await import('./counts-commands.ts')).topCommand(),
  count: async () => (await import('./counts-commands.ts')).countCommand(),
  series: async () => (await import('./counts-commands.ts')).seriesCommand(),
  tail: async () => (await import('./counts-commands.ts')).tailCommand(),
  feed: async () => (await import('../../ingest/feed/command.ts')).feedCommand(),
  link: async () => (await import('../../ingest/links/command.ts')).linkCommand(),
  lists: async () => (await import('../../ingest/fact-finding/command.ts')).listsCommand(),
  replay: async () => (await import('./job-commands.ts')).replayCommand(),
  reconcile: async () => (await import('./job-commands.ts')).reconcileCommand(),
  jobs: async () => (await import('./job-commands.ts')).jobsCommand(),
  click: async () => (await import('./click-command.ts')).clickCommand(),
  rules: async () => (await import('./rules-commands.ts')).rulesCommand(),
  partitions: async () => (await import('./partitions-command.ts')).partitionsCommand(),
  audit: async () => (await import('./audit-command.ts')).auditCommand(),
  keys: async () => (await import('./keys-commands.ts')).keysCommand(),
  users: async () => (await import('./users-commands.ts')).usersCommand(),
  quarantine: async () => {
    const { quarantineCommand } = await import('./quarantine-commands.ts');
    const { parseMap } = await import('../../ingest/feed/mapping.ts');
    return quarantineCommand({ postLines, parseMap });
  },
} as const satisfies Readonly<Record<string, () => Promise<Command>>>;

const postLines: PostLines = async (url, lines) => {
  const { createPoster } = await import('../../ingest/feed/poster.ts');
  const post = createPoster({
    url,
    apiKey: ownKeyOf(process.env),
    giveUpAfterMs: 60_000,
    stop: new AbortController().signal,
    onRetry: (reason, pauseMs) => {
      process.stderr.write(`${reason}; the next try is in ${(pauseMs / 1_000).toFixed(1)} s\n`);
    },
  });
  return await post(lines);
};

const program = new Command('adclicks')
  .version(release, '-V, --version', 'print the version')
  .description('Ad click counts on the command line: what is counted, how final it is, and what is not counted.')
  .addHelpText(
    'after',
    `
Exit codes:
  0  all is well
  1  the command has failed
  2  the command was used in a wrong way
  3  something differs: a dry run or a reconciliation has found a difference, the status does not balance, or a partition
     has stalled
The environment variables ADCLICKS_QUERY_API_URL and ADCLICKS_INGEST_URL can be set instead of --url and --ingest-url.
ADCLICKS_API_KEY is the API key that is sent.

Examples:
  adclicks top 10 --window 60
  adclicks count ad-42 --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z --json
  adclicks click ad-42 b3c1
  adclicks tail
  adclicks quarantine retry --reason future`,
  );
for (const load of askedFor(process.argv.slice(2))) program.addCommand(await load());

// The reader of the output may stop reading, as in `adclicks tail | head`. That is not a failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
for (const command of everyCommand(program)) command.exitOverride();

let current = '';
program.hook('preAction', (_program, action) => {
  current = action.name();
});
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = await codeOf(error);
}

async function codeOf(error: unknown): Promise<number> {
  // Commander has already said what is wrong, or shown its help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (current === 'feed') {
    const { feedFailure } = await import('../../ingest/feed/command.ts');
    process.stderr.write(`adclicks ${feedFailure(error)}\n`);
    return error instanceof ConfigError ? exitCodes.usage : exitCodes.failed;
  }
  const { message, code } = failureOf(error);
  process.stderr.write(`adclicks ${current}: ${message}\n`);
  return code;
}

function everyCommand(command: Command): Command[] {
  return [command, ...command.commands.flatMap(everyCommand)];
}

/** The command that is named. If there is none of that name, all: the help lists them, or Commander suggests a similar name. */
function askedFor(words: readonly string[]): readonly (() => Promise<Command>)[] {
  const [name, subject = ''] = words.filter(word => !word.startsWith('-'));
  const asked = name === 'help' ? subject : name;
  const found = Object.entries(commands).find(([command]) => command === asked);
  return found ? [found[1]] : Object.values(commands);
}
