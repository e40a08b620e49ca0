/** What is started by hand: out of the cache of compiled code, with a version, and with help. */
import { execFile } from 'node:child_process';
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { release } from '../../infra/release.ts';
import { scriptHelp } from '../support/script-options.ts';
import { startService } from '../support/service.ts';

const root = join(import.meta.dirname, '../..');
/** Where a bug is planted, what is started has it too. */
const planted = process.env['MUTATION'] ? ['--import', join(root, 'test/mutations/preload.ts')] : [];
const run = async (...given: readonly string[]) => {
  const args = [...planted, ...given];
  const { NODE_COMPILE_CACHE: _, ...env } = process.env;
  return await promisify(execFile)(process.execPath, [...args], { cwd: root, env });
};
/** Where a process has kept compiled code, on standard error as it ends. */
const tellsCache = `data:text/javascript,import{getCompileCacheDir as dir}from'node:module';process.on('exit',()=>console.error('cache',dir()))`;

describe('a command', () => {
  it.each(['ingest/feed/main.ts', 'query-api/cli/replay-main.ts', 'query-api/cli/adclicks.js'])(
    'is started out of the cache of compiled code, and tells how it is used: %s',
    async program => {
      const { stdout, stderr } = await run('--import', tellsCache, program, '--help');
      expect(stderr).toMatch(/cache .*node_modules[/\\]\.cache[/\\]node/);
      expect(stdout).toMatch(/^Usage: /);
    },
  );

  it('adclicks tells its version, which is that of the package', async () => {
    for (const flag of ['--version', '-V'])
      expect((await run('query-api/cli/adclicks.js', flag)).stdout).toBe(`${release}\n`);
  });
});

describe('a process that serves', () => {
  it('has kept what it compiled, though it is killed', async () => {
    const kept = mkdtempSync(join(tmpdir(), 'compiled-'));
    try {
      await using service = await startService('test/support/slow-server.ts', 'PORT', { NODE_COMPILE_CACHE: kept });
      await service.ready();
      await service.kill();
      expect(globSync('**/*', { cwd: kept }).length).toBeGreaterThan(100);
    } finally {
      rmSync(kept, { recursive: true, force: true });
    }
  });
});

describe('a script that takes options', () => {
  it('has --help, whichever it is', () => {
    const scripts = globSync('test/{bench,faults,mutations,schemathesis,simulation}/*.ts', { cwd: root });
    const withOptions = scripts
      .map(file => ({ file, source: readFileSync(join(root, file), 'utf8') }))
      .filter(({ source }) => /\b(parseArgs|scriptOptions)\(/.test(source));
    expect(withOptions.length).toBeGreaterThan(15);
    const without = withOptions.filter(
      ({ source }) => !/scriptOptions\(import\.meta\.filename, |\bhelp: \{/.test(source),
    );
    expect(without.map(({ file }) => file)).toEqual([]);
  });

  it('tells what stands at its beginning, and what each option is where it is not given', () => {
    const source =
      "#!/usr/bin/env node\n/**\n * What it does:\n *\n *     node it.ts\n */\nimport 'x';\n/** Not this. */\n";
    const options = {
      runs: { type: 'string', default: '3' },
      json: { type: 'string' },
      quick: { type: 'boolean' },
    } as const;
    expect(scriptHelp(source, { options })).toBe(
      'What it does:\n\n    node it.ts\n\n  --runs VALUE (3)\n  --json VALUE\n  --quick',
    );
  });
});
