/**
 * `--fix 'command'`: a command of the user that gets the lines on standard input and gives as many back, mended, in the
 * same order. It runs in the user's shell, once for all lines.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { pipeline } from 'node:stream/promises';
import { ConfigError } from '../../infra/errors.ts';

/** No line may hold a newline. @throws ConfigError where it fails, or gives another number of lines */
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
  // A command that ends without reading all that it is given is judged by its code and its lines.
  await pipeline([input], child.stdin).catch(() => undefined);
  const [code] = await exited;
  if (outputBytes > maxOutputBytes) throw new ConfigError(`--fix: gave more than ${maxOutputBytes} bytes`);
  if (code !== 0) throw new ConfigError(`--fix: ended with code ${code}`);
  const fixed = Buffer.concat(output).toString().replace(/\n$/, '').split('\n');
  if (fixed.length !== lines.length) {
    throw new ConfigError(`--fix: must give one line for each (got ${fixed.length} for ${lines.length})`);
  }
  return fixed;
}

const maxOutputBytes = 256 * 1_024 * 1_024;
