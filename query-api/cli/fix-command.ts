/**
 * `--fix 'command'`: a command of the user that reads lines on standard input and prints as many corrected lines, in the same
 * order. It runs in the user's shell, once for each batch of lines.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { ConfigError } from '../../infra/errors.ts';

/** No line may contain a newline. @throws ConfigError if the command fails, or prints another number of lines */
export async function fixedLines(command: string, lines: readonly string[]): Promise<string[]> {
  const child = spawn(command, { shell: true, stdio: ['pipe', 'pipe', 'inherit'] });
  const exited = once(child, 'close') as Promise<[number | null]>;
  const input = lines.map(line => `${line}\n`).join('');
  const output: Buffer[] = [];
  let outputBytes = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    outputBytes += chunk.length;
    if (outputBytes > maxOutputBytes) child.kill();
    else output.push(chunk);
  });
  // A command may end before it has read all lines: its exit code and the number of its lines decide.
  await pipeline([input], child.stdin).catch(() => undefined);
  const [code] = await exited;
  if (outputBytes > maxOutputBytes)
    throw new ConfigError(`--fix: the command printed more than ${maxOutputBytes} bytes`);
  if (code !== 0) throw new ConfigError(`--fix: the command ended with code ${code}`);
  const fixed = Buffer.concat(output).toString().replace(/\n$/, '').split('\n');
  if (fixed.length !== lines.length) {
    throw new ConfigError(
      `--fix: the command must print one line for each line that it reads (it printed ${fixed.length} for ${lines.length})`,
    );
  }
  return fixed;
}

const maxOutputBytes = 256 * 1_024 * 1_024;
