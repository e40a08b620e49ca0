/**
 * Parses the flags of `npm start`. There is one for each configuration key of every process that it starts, with the
 * description from the schema. A flag sets the variable of the same name for this start.
 */
import { type Command, CommanderError, Option } from 'commander';
import type { TObject, TSchema } from 'typebox';
import { ConfigError } from './errors.ts';

/** Schemas by their heading, in the order of the help. A key that several have stands in the last of them. */
export type SettingGroups = Readonly<Record<string, TObject>>;

/**
 * Reads the arguments of this process: the environment with the values of the options in it. Prints and exits on `--help`.
 * @throws ConfigError where an option is unknown or has no value
 */
export function environmentOf(
  command: Command,
  groups: SettingGroups,
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): NodeJS.ProcessEnv {
  const given = { ...env };
  for (const { heading, key, property } of settingsIn(groups)) {
    const option = new Option(`${optionOf(key)} <value>`, describe(key, property)).helpGroup(`${heading}:`);
    command.addOption(option);
    command.on(`option:${option.name()}`, (text: string) => {
      given[key] = text;
    });
  }
  command
    .helpOption('-h, --help', 'show this')
    .exitOverride()
    .configureOutput({ writeErr: () => undefined });
  try {
    command.parse(argv);
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.exitCode === 0) process.exit(0);
    throw new ConfigError(`${error.message.replace(/^error: /, '')}: --help lists all options`, { cause: error });
  }
  return given;
}

export function optionOf(key: string): string {
  return `--${key.toLowerCase().replaceAll('_', '-')}`;
}

function settingsIn(groups: SettingGroups) {
  const all = Object.entries(groups).flatMap(([heading, schema]) => {
    return Object.entries(schema.properties).map(([key, property]) => ({ heading, key, property }));
  });
  return all.filter((setting, index) => all.findLastIndex(({ key }) => key === setting.key) === index);
}

function describe(key: string, property: TSchema & { description?: string; default?: unknown }): string {
  const byDefault = property.default === '' ? 'empty' : property.default;
  return `${property.description} (${key}, default ${byDefault})`;
}
