/** `adclicks`: the pipeline from a command line, for people and for programs. */
import { Command, CommanderError } from 'commander';
import { ConfigError } from '../../infra/errors.ts';
import { feedCommand, feedFailure } from '../../ingest/feed/command.ts';
import { parseMap } from '../../ingest/feed/mapping.ts';
import { createPoster } from '../../ingest/feed/poster.ts';
import { exitCodes, failureOf } from './cli.ts';
import { countCommand, seriesCommand, statusCommand, tailCommand, topCommand } from './counts-commands.ts';
import { jobsCommand, reconcileCommand, replayCommand } from './job-commands.ts';
import { partitionsCommand } from './partitions-command.ts';
import { type PostLines, quarantineCommand } from './quarantine-commands.ts';

const stop = new AbortController();

const postLines: PostLines = async (url, lines) => {
  const post = createPoster({
    url,
    giveUpAfterMs: 60_000,
    stop: stop.signal,
    onRetry: (reason, pauseMs) => {
      process.stderr.write(`${reason}; again in ${(pauseMs / 1_000).toFixed(1)} s\n`);
    },
  });
  return await post(lines);
};

const program = new Command('adclicks')
  .description('Ad click counts from the command line: what is counted, how final it is, and what was not.')
  .addCommand(statusCommand())
  .addCommand(topCommand())
  .addCommand(countCommand())
  .addCommand(seriesCommand())
  .addCommand(tailCommand())
  .addCommand(feedCommand())
  .addCommand(replayCommand())
  .addCommand(reconcileCommand())
  .addCommand(jobsCommand())
  .addCommand(partitionsCommand())
  .addCommand(quarantineCommand({ postLines, parseMap }))
  .addHelpText(
    'after',
    `
Exit codes: 0 well, 1 failed, 2 wrong usage, 3 differs (a dry replay, a reconciliation, a status that does not balance).
ADCLICKS_QUERY_API_URL and ADCLICKS_INGEST_URL stand for --url and --ingest-url.

Examples:
  adclicks top 10 --window 60
  adclicks count ad-42 --from 2026-01-01T00:00Z --to 2026-01-02T00:00Z --json
  adclicks tail
  adclicks quarantine retry --reason future`,
  );

// Whoever reads may have heard enough: `adclicks tail | head`.
process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1));
for (const command of everyCommand(program)) command.exitOverride();

let current = '';
program.hook('preAction', (_program, action) => {
  current = action.name();
});
try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = codeOf(error);
}

function codeOf(error: unknown): number {
  // Commander has already said what is wrong, or shown its help.
  if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
  if (current === 'feed') {
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
