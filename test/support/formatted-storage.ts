/**
 * The storage of a broker, formatted and not yet used, for every broker that a test starts: it is formatted once, which
 * takes a JVM half a second of CPU time, and copied. All of them have the same cluster id, and none ever meets another.
 */
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { brokerFiles } from '../../infra/embedded/broker-files.ts';
import { formatOnce } from '../../infra/embedded/broker-storage.ts';
import type { Programs } from './java-program.ts';

/** `dataDir`: of a broker that was never started. */
export async function copyFormattedStorage(dataDir: string, programs: Programs): Promise<void> {
  const { logs } = brokerFiles(dataDir);
  cpSync(await ensureFormatted(programs), logs, { recursive: true });
}

/** Kept beside the jars, so that another version of Kafka formats anew. */
async function ensureFormatted(programs: Programs): Promise<string> {
  const kept = join(programs.jars, 'formatted');
  if (existsSync(kept)) return kept;
  const draft = mkdtempSync(join(programs.jars, 'draft-'));
  const files = brokerFiles(draft);
  await formatOnce(programs, files);
  try {
    renameSync(files.logs, kept);
  } catch (error) {
    // Another test file was faster.
    if (!existsSync(kept)) throw error;
  }
  rmSync(draft, { recursive: true });
  return kept;
}
