/**
 * The storage of a broker, formatted and not yet used, for every broker that a test starts: it is formatted once, which
 * takes a JVM half a second of CPU time, and copied. All of them have the same cluster id, and none ever meets another.
 */
import { cpSync, existsSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { brokerFiles } from '../../infra/embedded/broker-files.ts';
import { formatOnce } from '../../infra/embedded/broker-storage.ts';
import { findJava } from '../../infra/embedded/java.ts';

/** `dataDir`: of a broker that was never started. Java is looked for, which starts one, only where it is needed. */
export async function copyFormattedStorage(dataDir: string, jars: string): Promise<void> {
  const { logs } = brokerFiles(dataDir);
  cpSync(await ensureFormatted(jars), logs, { recursive: true });
}

/** Kept beside the jars, so that another version of Kafka formats anew. */
async function ensureFormatted(jars: string): Promise<string> {
  const kept = join(jars, 'formatted');
  if (existsSync(kept)) return kept;
  const draft = mkdtempSync(join(jars, 'draft-'));
  const files = brokerFiles(draft);
  await formatOnce({ java: await findJava(), jars }, files);
  try {
    renameSync(files.logs, kept);
  } catch (error) {
    // Another test file was faster.
    if (!existsSync(kept)) throw error;
  }
  rmSync(draft, { recursive: true });
  return kept;
}
