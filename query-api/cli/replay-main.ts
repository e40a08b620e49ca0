/**
 * `npm run replay -- --from … --to … [--apply]` is `adclicks replay` under its older name. Its exit code is 1 if the job has
 * failed, and never 3.
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
