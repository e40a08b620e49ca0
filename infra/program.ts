/**
 * How every program of ours begins: by its command line and its settings. Without arguments the settings are those of the
 * environment; an option stands for the variable of its name. `--help` says them all, and which name is wrong is said in
 * one line, with the exit code for what cannot work.
 */
import type { Command } from 'commander';
import type { Static, TObject } from 'typebox';
import { ClickHouseConfig, KafkaConfig, loadConfig, ProcessConfig, printable } from './config.ts';
import { createLog, type Logger } from './log.ts';
import { reportFatal } from './process.ts';
import { type CommandName, commands } from './server/commands.ts';

export interface Program<T extends TObject, Options> {
  readonly config: Static<T>;
  readonly options: Options;
  readonly log: Logger;
}

export interface ProgramOptions {
  /** Where LOG_LEVEL is not given. */
  readonly logLevel?: 'info' | 'warn';
  /** Adds what the command takes beside its settings. */
  readonly takes?: (command: Command) => Command;
}

/** Ends the process where it was asked for help, or given what cannot work. */
export async function beginProgram<T extends TObject, Options = unknown>(
  name: CommandName,
  schema: T,
  { logLevel = 'info', takes }: ProgramOptions = {},
): Promise<Program<T, Options>> {
  try {
    const options = await optionsOf<Options>(name, schema, takes);
    process.env['LOG_LEVEL'] ||= logLevel;
    const config = loadConfig(schema);
    const log = createLog(name, process.env['LOG_LEVEL']);
    log.info({ config: printable(config) }, 'configuration');
    return { config, options, log };
  } catch (error) {
    process.exit(reportFatal(createLog(name, logLevel), error));
  }
}

/** Where nothing is given, nothing is loaded that could read it: a process would have it for all its life. */
async function optionsOf<Options>(name: CommandName, schema: TObject, takes: ProgramOptions['takes']) {
  if (process.argv.length <= 2 && !takes) return {} as Options;
  const { Command } = await import('commander');
  const { environmentOf } = await import('./settings-options.ts');
  const command = new Command(`adclicks-server ${name}`).description(commands[name].does);
  takes?.(command);
  // Whatever reads a variable beside the schema, and whatever is started from here, finds what was given.
  Object.assign(process.env, environmentOf(command, groupsOf(schema), process.argv, process.env));
  return command.opts() as Options;
}

const shared = { Kafka: KafkaConfig, ClickHouse: ClickHouseConfig, 'All processes': ProcessConfig };

function groupsOf(schema: TObject) {
  const isWithin = ([, group]: [string, TObject]) =>
    Object.keys(group.properties).every(key => key in schema.properties);
  return { Settings: schema, ...Object.fromEntries(Object.entries(shared).filter(isWithin)) };
}
