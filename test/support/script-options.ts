/**
 * Options of a script that is run by hand: `--help` prints the comment at its beginning, which says what it does, and what
 * each option is where it is not given. An option that there is not is told in one line.
 */
import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';

/** `file`: the script. Ends the process where it was asked for help, or given what it does not know. */
export function scriptOptions<T extends ParseArgsConfig>(file: string, config: T): ReturnType<typeof parseArgs<T>> {
  if (process.argv.slice(2).includes('--help')) {
    process.stdout.write(`${scriptHelp(readFileSync(file, 'utf8'), config)}\n`);
    process.exit(0);
  }
  try {
    return parseArgs(config);
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)} (--help tells all options)\n`);
    process.exit(2);
  }
}

/** Pure. */
export function scriptHelp(source: string, { options = {} }: ParseArgsConfig): string {
  const [, comment = ''] = /^(?:#!.*\n)?\/\*\*([\s\S]*?)\*\//.exec(source) ?? [];
  const text = comment
    .split('\n')
    .map(line => line.replace(/^ ?\* ?/, '').trimEnd())
    .join('\n')
    .trim();
  const told = Object.entries(options).map(([name, { type, default: value }]) => {
    const shown = value === undefined || value === false || value === '' ? '' : ` (${String(value)})`;
    return `  --${name}${type === 'string' ? ' VALUE' : ''}${shown}`;
  });
  return [text, '', ...told].join('\n');
}
