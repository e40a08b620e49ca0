/** How a process ends: by a signal, by a failure, and within its limit. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { expect, it } from 'vitest';

const infra = join(import.meta.dirname, '../../infra');

/** Exit code of a process that hangs when it is closed. */
async function exitOf(main: string): Promise<number | null> {
  const script = `
    import { createCrash, runProcess, aborted } from '${infra}/process.ts';
    import { createLog } from '${infra}/log.ts';
    const log = createLog('test', 'silent');
    await runProcess(log, async stop => {
      const { crash, promise: crashed } = createCrash(log);
      setInterval(() => undefined, 1_000);
      await using hanging = { [Symbol.asyncDispose]: () => new Promise(() => undefined) };
      ${main}
    });`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: 'inherit' });
  return await new Promise(resolve => child.once('exit', resolve));
}

it('ends a process that crashes from within though what it closes hangs', async () => {
  expect(await exitOf("setTimeout(() => crash(new Error('stalled')), 10); await crashed;")).toBe(1);
});
