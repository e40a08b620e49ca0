/** Prints the log lines of the children: unchanged, or on a terminal in the form of the supervisor's own lines. */
import { prettyFactory } from 'pino-pretty';

export function linePrinter(stream: NodeJS.WriteStream): (line: string) => void {
  if (!stream.isTTY) return line => void stream.write(`${line}\n`);
  const pretty = prettyFactory({ ignore: 'pid,hostname', colorize: true });
  return line => void stream.write(line.startsWith('{') ? pretty(line) : `${line}\n`);
}
