/**
 * The settings of the programs that `npm start` runs, as each program's own schema states them. `npm run docs` copies
 * them from the rooms into settings.json. So whoever starts a program can list its settings and check them before
 * anything runs, and imports no code of the rooms.
 */
import { type TObject, type TSchema, Type } from 'typebox';
import type { CommandName } from './commands.ts';
import stated from './settings.json' with { type: 'json' };

/** Without those of `ProcessConfig`, `KafkaConfig` and `ClickHouseConfig`, which are infra's own. */
export function settingsOf(command: CommandName & keyof typeof stated): TObject {
  const properties: Readonly<Record<string, TSchema>> = stated[command];
  return Type.Object(properties);
}
