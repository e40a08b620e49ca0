/** What stands beside the code for GitHub and Renovate names scripts, folders and packages: they have to exist. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';

const root = join(import.meta.dirname, '../..');
const textOf = (file: string) => readFileSync(join(root, file), 'utf8');
const manifest = JSON.parse(textOf('package.json'));

interface Workflow {
  readonly jobs: Record<
    string,
    { readonly steps: readonly { run?: string }[]; strategy?: { matrix: { what: string[] } } }
  >;
}

describe('files for the forge', () => {
  it.each(readdirSync(join(root, '.github/workflows')))('%s runs what there is', file => {
    const { jobs } = parse(textOf(`.github/workflows/${file}`)) as Workflow;
    const commands = Object.values(jobs).flatMap(({ steps, strategy }) => [
      ...steps.map(({ run }) => run).filter(run => run !== undefined),
      ...(strategy?.matrix.what ?? []),
    ]);
    expect(commands.length).toBeGreaterThan(0);
    for (const command of commands) {
      const script = /^npm run (\S+)/.exec(command)?.[1];
      if (script !== undefined) expect(manifest.scripts).toHaveProperty([script]);
      else if (!command.startsWith('$')) expect(command === 'npm ci' || existsSync(join(root, command))).toBe(true);
    }
  });

  it('name owners of folders that exist', () => {
    const paths = [...textOf('.github/CODEOWNERS').matchAll(/^(\/\S+)/gm)].map(([path]) => path);
    expect(paths.filter(path => !existsSync(join(root, path)))).toEqual([]);
  });

  it('have rules for packages that are there', () => {
    const { packageRules } = JSON.parse(textOf('renovate.json')) as { packageRules: { matchPackageNames: string[] }[] };
    const names = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap(kind =>
      Object.keys(manifest[kind]),
    );
    const matches = (pattern: string) =>
      names.some(name => name === pattern || (pattern.endsWith('*') && name.startsWith(pattern.slice(0, -1))));
    expect(
      packageRules.flatMap(({ matchPackageNames }) => matchPackageNames).filter(pattern => !matches(pattern)),
    ).toEqual([]);
  });
});
