/** One structured line per decision an operator could act on; the message is constant, the values are fields. */
import { type Logger, pino } from 'pino';

export type { Logger } from 'pino';

/** `service` names the process; on a terminal lines are printed for people, otherwise as JSON. */
export function createLog(service: string, level: string): Logger {
  const options = { level, base: { service }, formatters: { level: (label: string) => ({ level: label }) } };
  if (!process.stdout.isTTY) return pino(options);
  return pino({ level, base: { service }, transport: { target: 'pino-pretty', options: { ignore: 'pid,hostname' } } });
}
