/** Refuses a start on a nearly full disk, because a broker or a database would fail there in the middle of its work. */
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
    `disk full: only ${freeMb} MB are free for DATA_DIR=${dataDir}, but MIN_FREE_DISK_MB requires ${minFreeMb}: free some space, or choose another DATA_DIR`,
  );
}
