/**
 * Starts a program of ours with whatever Node runs this file: here where it is new enough, else on the Node that `npm ci`
 * has brought, in a process of its own. Where there is neither, one line says which Node is needed. Plain JavaScript, as
 * an older Node does not run TypeScript, and Node 22, which does, does not know `await using`.
 *
 * What is loaded comes out of a cache of compiled code, which has to be named before anything is loaded: a start then takes
 * a third of the CPU, which on a busy machine are seconds. The program also starts if it cannot write there.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as module from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const neededMajor = 24;
const modules = fileURLToPath(new URL('../node_modules/', import.meta.url));
const ownNode = join(modules, 'node/bin', process.platform === 'win32' ? 'node.exe' : 'node');

/** `program`: the URL of a TypeScript file, which finds its arguments in `process.argv` from 2 on. */
export async function launch(name, program) {
  // Also for the threads of the program.
  process.env.NODE_COMPILE_CACHE ||= join(modules, '.cache/node');
  if (Number(process.versions.node.split('.')[0]) >= neededMajor) {
    module.enableCompileCache(process.env.NODE_COMPILE_CACHE);
    await import(program.href);
  } else if (existsSync(ownNode)) {
    launchOnOwnNode(name, fileURLToPath(program));
  } else {
    process.stderr.write(
      `${name}: needs Node ${neededMajor} or newer (this is ${process.version}): run npm ci once, which brings it\n`,
    );
    process.exitCode = 1;
  }
}

function launchOnOwnNode(name, program) {
  const child = spawn(ownNode, [program, ...process.argv.slice(2)], { stdio: 'inherit' });
  // A terminal sends Ctrl-C to both: the one that works decides what it means. All else is sent only here.
  const hasTerminal = [process.stdin, process.stdout, process.stderr].some(({ isTTY }) => isTTY);
  process.on('SIGINT', () => hasTerminal || child.kill('SIGINT'));
  for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', error => {
    process.stderr.write(`${name}: ${error.message}\n`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
