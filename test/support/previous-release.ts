/**
 * The release before this one, taken whole out of the repository's history: for tests that run the two side by side. Its
 * dependencies are this checkout's, which have to be the ones it asks for.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** To be changed with each release: the one that was published before. */
export const previousRelease = { version: '0.1.0', commit: '1663ced33835de18aa9523981efc1ed6054be4b9' } as const;

/** It asks for them, and loads them only where nothing names a ClickHouse server: the tests name one. */
const neverLoaded: ReadonlySet<string> = new Set(['chdb']);

const root = join(import.meta.dirname, '../..');

export interface Release extends Disposable {
  /** Where `aggregator/main.ts` and the others lie. */
  readonly directory: string;
}

/** @throws where the history does not reach back so far, or its dependencies are others */
export function openPreviousRelease({ version, commit } = previousRelease): Release {
  requireHistory(version, commit);
  const directory = mkdtempSync(join(tmpdir(), `adclicks-${version}-`));
  try {
    const archive = join(directory, 'release.tar');
    const parts = ['aggregator', 'infra', 'ingest', 'query-api', 'package.json'];
    execFileSync('git', ['archive', '--format=tar', `--output=${archive}`, commit, ...parts], { cwd: root });
    execFileSync('tar', ['-xf', archive], { cwd: directory });
    rmSync(archive);
    requireSame(version, directory);
    symlinkSync(join(root, 'node_modules'), join(directory, 'node_modules'));
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  return { directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true, force: true }) };
}

function requireHistory(version: string, commit: string): void {
  try {
    execFileSync('git', ['cat-file', '-e', `${commit}^{commit}`], { cwd: root, stdio: 'ignore' });
  } catch (error) {
    throw new Error(
      `release ${version} (commit ${commit}) is not in the history of ${root}: get it with \`git fetch --unshallow\`, ` +
        'or clone the repository with its history',
      { cause: error },
    );
  }
}

function requireSame(version: string, directory: string): void {
  const asked = (from: string) => JSON.parse(readFileSync(join(from, 'package.json'), 'utf8'));
  const [before, now] = [asked(directory), asked(root)];
  if (before.version !== version) throw new Error(`the commit of release ${version} is one of ${before.version}`);
  // What it alone needs is here for development.
  const here = { ...now.devDependencies, ...now.dependencies };
  const others = Object.entries(before.dependencies).filter(
    ([name, range]) => here[name] !== range && !neverLoaded.has(name),
  );
  if (others.length === 0) return;
  throw new Error(
    `release ${version} asks for other dependencies than are installed: ${others.map(([name]) => name).join(', ')}. ` +
      'Install its own beside it, in test/support/previous-release.ts',
  );
}
