#!/usr/bin/env node
/**
 * `adclicks`: started by whatever Node the machine has, it runs on the one that `npm ci` has brought, in a process of its
 * own only where the one that is here is too old. Plain JavaScript, as older versions do not run TypeScript.
 *
 * What it loads comes out of a cache of compiled code, which has to be named before anything is loaded: a start then takes
 * a third of the CPU, which on a busy machine are seconds. Who cannot write there starts all the same.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as module from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const node = join(here, '../../node_modules/node/bin', process.platform === 'win32' ? 'node.exe' : 'node');
const major = Number(process.versions.node.split('.')[0]);

const cache = process.env.NODE_COMPILE_CACHE || join(here, '../../node_modules/.cache/node');

if (major >= 24) {
  module.enableCompileCache(cache);
  await import('./main.ts');
} else if (existsSync(node)) {
  startNewer();
} else {
  process.stderr.write(`adclicks: needs Node 24 (this is ${process.version}): run npm ci once, which brings it\n`);
  process.exit(1);
}

function startNewer() {
  const child = spawn(node, [join(here, 'main.ts'), ...process.argv.slice(2)], {
    stdio: 'inherit',
    env: { ...process.env, NODE_COMPILE_CACHE: cache },
  });
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
}
