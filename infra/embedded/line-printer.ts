/** Prints the children's log lines: as they are, or on a terminal in the form the supervisor's own lines have. */
import { prettyFactory } from 'pino-pretty';

export function linePrinter(stream: NodeJS.WriteStream): (line: string) => void {
  if (!stream.isTTY) return line => void stream.write(`${line}\n`);
  const pretty = prettyFactory({ ignore: 'pid,hostname', colorize: true });
  return line => void stream.write(line.startsWith('{') ? pretty(line) : `${line}\n`);
}
