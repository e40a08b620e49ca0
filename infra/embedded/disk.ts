/** A broker or a database on a full disk fails in the middle of things; a start that would run into that is refused. */
import { mkdirSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import { ConfigError } from '../errors.ts';

/** @throws ConfigError when less than `minFreeMb` is free where `dataDir` is */
export async function requireFreeDisk(dataDir: string, minFreeMb: number): Promise<void> {
  mkdirSync(dataDir, { recursive: true });
  const { bavail, bsize } = await statfs(dataDir);
  const freeMb = Math.floor((bavail * bsize) / (1 << 20));
  if (freeMb >= minFreeMb) return;
  throw new ConfigError(
    `disk full: ${freeMb} MB are free for DATA_DIR=${dataDir}, MIN_FREE_DISK_MB asks for ${minFreeMb}: free some, or choose another DATA_DIR`,
  );
}
