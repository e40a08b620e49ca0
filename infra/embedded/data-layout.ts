/**
 * Checks the layout of DATA_DIR, which has a number in file `layout`.
 *
 * Layout 1 has the broker's log as Kafka keeps it, ClickHouse's tables in `clickhouse/`, the other files of its server
 * in `clickhouse-server/`, and small files of the supervisor that are gone after a stop. A release with any other
 * layout has another number, and a release that does not know the number touches nothing. (Tables change by migrations,
 * which only add: infra/migrate.ts.)
 */
import { join } from 'node:path';
import { ConfigError, messageOf } from '../errors.ts';
import { readRegularFileSync } from '../regular-file.ts';
import { release } from '../release.ts';
import { writeWhole } from './whole-file.ts';

const layout = '1';

/**
 * Must be called by the owner of the directory's lock. @throws ConfigError when a newer release has created the layout
 */
export function requireKnownLayout(dataDir: string): void {
  const path = join(dataDir, 'layout');
  const found = layoutIn(path);
  if (found === layout) return;
  if (found !== undefined) {
    throw new ConfigError(
      `DATA_DIR=${dataDir}: its layout is ${JSON.stringify(found.slice(0, 20))}, but release ${release} knows only layout ${layout}: ` +
        'start the release that created it, or choose another directory. Nothing was changed',
    );
  }
  try {
    writeWhole(path, `${layout}\n`);
  } catch (error) {
    throw new ConfigError(`DATA_DIR: ${path} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

/**
 * Returns undefined when there is no layout file, as in a new directory and in one of release 0.1.0, or an empty one, which
 * an earlier release has left when the machine lost its power.
 */
function layoutIn(path: string): string | undefined {
  try {
    return readRegularFileSync(path).toString().trim() || undefined;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw new ConfigError(`DATA_DIR: ${path} cannot be read: ${messageOf(error)}`, { cause: error });
  }
}
