/**
 * `npm run replay -- --from … --to … [--apply]`: `adclicks replay` under the name it always had. Exit code 1 if the job
 * did not end well.
 */
import { cacheCompiledCode } from '../../infra/compile-cache.ts';

cacheCompiledCode();
const { exitCodes, failureOf } = await import('./cli.ts');
const { replayCommand } = await import('./job-commands.ts');

try {
  await replayCommand(exitCodes.ok).parseAsync();
} catch (error) {
  process.stderr.write(`replay: ${failureOf(error).message}\n`);
  process.exitCode = exitCodes.failed;
}
