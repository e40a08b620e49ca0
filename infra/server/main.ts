/**
 * `adclicks-server COMMAND`: runs the program of that name in this process, so that signals and exit codes are its own. What
 * stands behind the name is the program's, `--help` too.
 */
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { exitCodes } from '../exit-codes.ts';
import { release } from '../release.ts';
import { commands, isCommand } from './commands.ts';

const [name, ...behind] = process.argv.slice(2);
if (isCommand(name)) {
  process.argv.splice(2, process.argv.length, ...behind);
  await import(pathToFileURL(join(import.meta.dirname, '../..', commands[name].program)).href);
} else if (name === '--help' || name === '-h') {
  process.stdout.write(help());
} else if (name === '--version') {
  process.stdout.write(`${release}\n`);
} else {
  const asked = name === undefined ? 'no command is given' : `there is no command ${JSON.stringify(name)}`;
  const names = Object.keys(commands).join(', ');
  process.stderr.write(`adclicks-server: ${asked}; give one of ${names}, or --help\n`);
  process.exitCode = exitCodes.config;
}

function help(): string {
  const width = Math.max(...Object.keys(commands).map(({ length }) => length));
  const lines = Object.entries(commands).map(([command, { does }]) => `  ${command.padEnd(width)}  ${does}\n`);
  return `Usage: adclicks-server <command> [options]

${lines.join('')}
adclicks-server <command> --help lists the settings of a command: each is a variable of the environment, and an option.
Exit codes: ${exitCodes.ok} ended as it was asked to, ${exitCodes.config} what was configured or given cannot work, ${exitCodes.failure} anything else.
`;
}
