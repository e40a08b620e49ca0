/** Runs the suites against one planted bug, and says which of their checks noticed it. */
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Mutation } from './mutations.ts';

export interface Finding {
  readonly suite: 'unit' | 'simulation' | 'integration';
  readonly what: string;
}

/** One planted bug, as written into a file. */
export interface MutationResult {
  readonly name: string;
  readonly bug: string;
  readonly noticedBy: readonly Finding[];
}

const root = join(import.meta.dirname, '../..');
/** Longer than `eventually` waits for what a planted bug prevents (test/support/wait.ts). */
const longestMs = 600_000;

export async function noticedBy(mutation: Mutation, seeds: number, scratch: string): Promise<Finding[]> {
  const { name, integration, unit } = mutation;
  if (integration !== undefined) return await byTests(name, 'integration', integration, scratch);
  if (unit !== undefined) return await byTests(name, 'unit', unit, scratch);
  return [...(await bySimulation(name, seeds)), ...(await byTests(name, 'unit', 'test/unit/aggregator', scratch))];
}

/** @throws if it fails in another way than by a check */
export async function bySimulation(name: string, seeds: number): Promise<Finding[]> {
  const preload = join(import.meta.dirname, 'preload.ts');
  const { code, output } = await run(name, [
    '--import',
    preload,
    'test/simulation/simulate.ts',
    '--seeds',
    String(seeds),
    '--bail',
  ]);
  if (code === 0) return [];
  const [, seed, check] = /^seed (\d+):.*\n {2}([^:\n]+):/m.exec(output) ?? [];
  if (check === undefined) throw new Error(`mutation ${name}: the simulation did not run\n${output}`);
  return [{ suite: 'simulation', what: `${check} (seed ${seed})` }];
}

async function byTests(name: string, suite: Finding['suite'], path: string, scratch: string): Promise<Finding[]> {
  const report = join(scratch, `${name}.json`);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const config = join(import.meta.dirname, 'vitest.config.ts');
  const { code, output } = await run(name, [
    vitest,
    'run',
    '--config',
    config,
    path,
    // One failed check is enough. Those after it may wait for minutes for what never comes.
    ...(suite === 'integration' ? ['--bail=1'] : []),
    '--reporter=json',
    `--outputFile=${report}`,
  ]);
  if (code === 0) return [];
  const failed = failedIn(report);
  if (failed.length === 0) throw new Error(`mutation ${name}: the tests did not run\n${output}`);
  return failed.map(what => ({ suite, what }));
}

function failedIn(report: string): string[] {
  try {
    const { testResults } = JSON.parse(readFileSync(report, 'utf8')) as {
      testResults: { assertionResults: { status: string; fullName: string }[] }[];
    };
    return testResults.flatMap(file => file.assertionResults.filter(r => r.status === 'failed').map(r => r.fullName));
  } catch {
    return [];
  }
}

function run(mutation: string, args: readonly string[]): Promise<{ code: number; output: string }> {
  const env = { ...process.env, MUTATION: mutation };
  return new Promise(resolve => {
    execFile(
      process.execPath,
      [...args],
      { cwd: root, env, maxBuffer: 1 << 28, timeout: longestMs },
      (error, out, err) => resolve({ code: error === null ? 0 : 1, output: out + err }),
    );
  });
}
