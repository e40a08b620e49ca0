/**
 * Parses the flags of `npm start`. There is one for each configuration key of every process that it starts, with the
 * description from the schema. A flag sets the variable of the same name for this start.
 */
import { Command, Option } from 'commander';
import type { TObject, TSchema } from 'typebox';

/** Schemas by their heading, in the order of the help. A key that several have stands in the last of them. */
export type SettingGroups = Readonly<Record<string, TObject>>;

/** The environment with the flags' values in it. Prints and exits on `--help` and on a flag that does not exist. */
export function environmentOf(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
  groups: SettingGroups,
): NodeJS.ProcessEnv {
  const given = { ...env };
  commandLine(groups, (key, text) => {
    given[key] = text;
  }).parse(argv);
  return given;
}

export function flagOf(key: string): string {
  return `--${key.toLowerCase().replaceAll('_', '-')}`;
}

function commandLine(groups: SettingGroups, onSetting: (key: string, text: string) => void): Command {
  const command = new Command('npm start --')
    .description(
      'Starts the whole pipeline on this machine. Each flag can be given as the environment variable instead.',
    )
    .helpOption('-h, --help', 'show this')
    .addHelpText(
      'after',
      `
Everything is kept under DATA_DIR; remove that directory to start afresh. Ctrl-C stops in good order.
Unless LOG_LEVEL is given, the processes print warnings only.`,
    );
  for (const { heading, key, property } of settingsIn(groups)) {
    const option = new Option(`${flagOf(key)} <value>`, describe(key, property)).helpGroup(`${heading}:`);
    command.addOption(option);
    command.on(`option:${option.name()}`, (text: string) => onSetting(key, text));
  }
  return command;
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
