/**
 * `npm run feed -- FILE…`: posts click logs to ingest. It can be stopped at any time and started again: it goes on
 * where it was, and what is posted twice counts once. Exit code 1 if a row was rejected or ingest could not be reached.
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
