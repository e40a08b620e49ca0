/**
 * Writes a small file of DATA_DIR so that it is there with all of its text or not at all, also when the machine loses its
 * power: beside it, to the disk, and then under its name.
 */
import { renameSync, writeFileSync } from 'node:fs';

export function writeWhole(path: string, text: string, mode = 0o644): void {
  const draft = `${path}.draft`;
  writeFileSync(draft, text, { mode, flush: true });
  renameSync(draft, path);
}
