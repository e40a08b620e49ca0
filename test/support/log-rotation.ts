/**
 * Rotates a log as logrotate does, and by logrotate itself where it is installed; otherwise with the same system calls in
 * the same order (rename and create; copy and truncate; gzip that keeps the time of the file).
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';

export interface Rotation {
  readonly copytruncate?: boolean;
  readonly compress?: 'at once' | 'delayed';
  /** Old files that are kept. */
  readonly keep?: number;
}

export const hasLogrotate = spawnSync('logrotate', ['--version']).status === 0;

export function rotate(directory: string, log: string, rotation: Rotation = {}): void {
  if (hasLogrotate) rotateByLogrotate(directory, log, rotation);
  else rotateByCalls(log, rotation);
}

function rotateByLogrotate(directory: string, log: string, { copytruncate, compress, keep = 5 }: Rotation): void {
  const config = join(directory, 'rotation.conf');
  const directives = [
    `rotate ${keep}`,
    copytruncate ? 'copytruncate' : 'create 0644',
    ...(compress ? ['compress'] : []),
    ...(compress === 'delayed' ? ['delaycompress'] : []),
  ];
  writeFileSync(config, `${log} {\n${directives.map(each => `  ${each}\n`).join('')}}\n`, { mode: 0o600 });
  execFileSync('logrotate', ['--force', '--state', join(directory, 'rotation.state'), config]);
}

function rotateByCalls(log: string, { copytruncate, compress, keep = 5 }: Rotation): void {
  for (let i = keep; i >= 1; i--)
    for (const suffix of ['', '.gz'])
      if (existsSync(`${log}.${i}${suffix}`)) renameSync(`${log}.${i}${suffix}`, `${log}.${i + 1}${suffix}`);
  if (compress === 'delayed' && existsSync(`${log}.2`)) pack(`${log}.2`);
  if (copytruncate) {
    copyFileSync(log, `${log}.1`);
    truncateSync(log);
  } else {
    renameSync(log, `${log}.1`);
    writeFileSync(log, '');
  }
  if (compress === 'at once') pack(`${log}.1`);
  for (const suffix of ['', '.gz']) rmSync(`${log}.${keep + 1}${suffix}`, { force: true });
}

function pack(file: string): void {
  const { atime, mtime } = statSync(file);
  writeFileSync(`${file}.gz`, gzipSync(readFileSync(file)));
  utimesSync(`${file}.gz`, atime, mtime);
  rmSync(file);
}
