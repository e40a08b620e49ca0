/** The command line as it is started by people: its launcher, as a process. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';

export interface Ended {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const launcher = join(import.meta.dirname, '../../query-api/cli/adclicks.js');

export async function adclicks(env: Readonly<Record<string, string>>, ...args: readonly string[]): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const options = { env: { PATH: process.env['PATH'], ...env }, maxBuffer: 1 << 28 };
  execFile(process.execPath, [launcher, ...args], options, (error, stdout, stderr) => {
    resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr });
  });
  return await promise;
}
