#!/usr/bin/env node
/**
 * `adclicks`: started by whatever Node the machine has, it runs on the one that `npm ci` has brought. Plain JavaScript,
 * as older versions do not run TypeScript.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const node = join(here, '../../node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
const major = Number(process.versions.node.split('.')[0]);

if (major < 24 && !existsSync(node)) {
  process.stderr.write(`adclicks: needs Node 24 (this is ${process.version}): run npm ci once, which brings it\n`);
  process.exit(1);
}
const child = spawn(
  major < 24 ? node : process.execPath,
  ['--disable-warning=TimeoutNegativeWarning', join(here, 'main.ts'), ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
// A terminal sends Ctrl-C to both: the one that works decides what it means. Others send signals only here.
process.on('SIGINT', () => undefined);
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
child.on('error', error => {
  process.stderr.write(`adclicks: ${error.message}\n`);
  process.exit(1);
});
child.on('exit', (code, signal) => {
  if (signal === null) process.exit(code ?? 1);
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
});
