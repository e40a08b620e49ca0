/**
 * Rows on their way into the embedded engine: a file that it reads, gone again before the system would write it to the
 * disk. Rows that stand behind the statement are scanned for its end first, at more than the cost of parsing them.
 */
import { rmSync, writeFile } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { formatOf, insertSettingsOf } from './insert.ts';

/** `dataDir` is ours alone: what an insert has left behind that was killed goes. */
export async function openInserts(dataDir: string) {
  const directory = await emptyDirectory(dataDir);
  let inserts = 0;
  return {
    /** `run` gets the statement once the rows are there for it to read. */
    async insert(table: string, rows: Buffer, run: (sql: string) => Promise<unknown>): Promise<void> {
      const path = join(directory, `${inserts++}.rows`);
      try {
        await writeWhole(path, rows);
        await run(
          `INSERT INTO ${table} SELECT * FROM file('${quoted(path)}', '${formatOf(rows)}') SETTINGS ${insertSettingsOf(table)}, ${oneThread}`,
        );
      } finally {
        await rm(path, { force: true });
      }
    },
    close: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** Other than that of `fs/promises` it writes in one go. */
const writeWhole = promisify(writeFile);

/** More threads than one parse faster, at more cost: there are others that want the processor. */
const oneThread = 'max_threads=1, max_insert_threads=1, input_format_parallel_parsing=0';

async function emptyDirectory(dataDir: string): Promise<string> {
  // In a path that the engine takes for a pattern or an archive it would look for others.
  if (/[*?{]|::/.test(dataDir)) return await mkdtemp(join(tmpdir(), 'adclicks-inserts-'));
  const directory = join(dataDir, 'inserts');
  await rm(directory, { recursive: true, force: true });
  await mkdir(directory, { recursive: true });
  return directory;
}

function quoted(path: string): string {
  return path.replace(/[\\']/g, '\\$&');
}
