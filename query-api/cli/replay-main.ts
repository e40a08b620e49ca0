/**
 * `npm run replay -- --from … --to … [--apply]`: `adclicks replay` under the name it always had. Exit code 1 if the job
 * did not end well.
 */
import { exitCodes, failureOf } from './cli.ts';
import { replayCommand } from './job-commands.ts';

try {
  await replayCommand(exitCodes.ok).parseAsync();
} catch (error) {
  process.stderr.write(`replay: ${failureOf(error).message}\n`);
  process.exitCode = exitCodes.failed;
}
