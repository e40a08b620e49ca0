/**
 * Creates the logger. There is one structured line for each decision that an operator could act on: the message is
 * constant, and the values are fields.
 */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

export type { Logger } from 'pino';

/** `service` names the process. On a terminal the lines are formatted for people, otherwise they are JSON. */
export function createLog(service: string, level: string): Logger {
  const options = { level, base: { service }, formatters: { level: (label: string) => ({ level: label }) } };
  if (!process.stdout.isTTY) return pino(options);
  // Lines are written at once. The last line before the process ends must not be lost in a worker.
  return pino({ level, base: { service } }, pretty({ sync: true, ignore: 'pid,hostname' }));
}
