/**
 * Runs `npm run feed -- FILE…`, which posts click logs to ingest. It can be stopped at any time and started again: it
 * continues where it was, and what is posted twice counts once. Its exit code is 1 if a row was rejected or ingest
 * could not be reached.
 */
import { cacheCompiledCode } from '../../infra/compile-cache.ts';

cacheCompiledCode();
const { feedCommand, feedFailure } = await import('./command.ts');

try {
  await feedCommand().parseAsync();
} catch (error) {
  process.stderr.write(`${feedFailure(error)}\n`);
  process.exitCode = 1;
}
