/**
 * `npm run client:package`: the typed client as a package of its own, compiled, as a tarball in the directory it is run in:
 * for `npm install` or `npm publish`. Its version, and the ranges of what it needs, are those of this repository's package.json.
 */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';

const root = join(import.meta.dirname, '../..');
const client = join(root, 'query-api/client');

interface Manifest {
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
}

/** The path of the tarball, in `directory`. */
export function packedClient(directory: string): string {
  const built = mkdtempSync(join(tmpdir(), 'client-package-'));
  try {
    execFileSync(join(root, 'node_modules/.bin/tsc'), ['-p', join(client, 'tsconfig.json'), '--outDir', built], {
      stdio: ['ignore', 'inherit', 'inherit'],
    });
    for (const file of ['LICENSE', 'query-api/client/README.md'])
      copyFileSync(join(root, file), join(built, file.split('/').at(-1) ?? ''));
    writeFileSync(join(built, 'package.json'), `${JSON.stringify(manifest(), null, 2)}\n`);
    return packed(built, directory);
  } finally {
    rmSync(built, { recursive: true });
  }
}

/** The tarball of a package that lies in a directory. */
export function packed(packageDirectory: string, directory: string): string {
  const args = ['pack', packageDirectory, '--pack-destination', directory, '--json', '--ignore-scripts'];
  const told = JSON.parse(execFileSync('npm', args, { cwd: directory }).toString());
  const { filename }: { filename: string } = Array.isArray(told) ? told[0] : Object.values(told)[0];
  return resolve(directory, filename);
}

function manifest(): object {
  const whole: Manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const own: Manifest = JSON.parse(readFileSync(join(client, 'package.json'), 'utf8'));
  const dependencies = Object.keys(own.dependencies).map(name => [name, whole.dependencies[name]]);
  return { ...own, version: whole.version, dependencies: Object.fromEntries(dependencies) };
}

if (import.meta.main) console.log(packedClient(process.cwd()));
