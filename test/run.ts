/**
 * `npm test`: checks first what the tests need beyond Node and npm, then format and lint, types, and the tests, and ends
 * with one line that counts them. Every step runs even if one before has failed.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { ensureBrokerJars } from '../infra/embedded/broker-jars.ts';
import { findJava } from '../infra/embedded/java.ts';
import { exitCodes } from '../infra/exit-codes.ts';
import { couldNotRun } from './schemathesis/schemathesis.ts';

const root = join(import.meta.dirname, '..');
const scratch = mkdtempSync(join(tmpdir(), 'adclicks-test-'));
let passed = 0;
let failed = 0;
/** What could not run on this machine: neither passed nor failed. */
const notRun: string[] = [];

try {
  await findJava();
  await ensureBrokerJars({ onFetch: message => console.log(message) });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(exitCodes.config);
}

check('format and lint', 'biome', ['check', '.']);
check('types', 'tsc', ['--noEmit']);
check('types of the dashboard', 'tsc', ['--noEmit', '-p', 'query-api/dashboard']);
checkAlerts();
for (const project of ['unit', 'integration', 'browser']) tests(project);
schemathesis();
rmSync(scratch, { recursive: true, force: true });
for (const what of notRun) console.log(`NOT RUN: ${what}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? exitCodes.ok : exitCodes.failure);

/** One step that passes or fails as a whole. */
function check(title: string, program: string, args: readonly string[]): void {
  console.log(`\n— ${title}`);
  if (run(program, args)) passed++;
  else failed++;
}

/** Prometheus' own tool, where it is at hand. What needs no tool of the alerts is in the tests. */
function checkAlerts(): void {
  if (spawnSync('promtool', ['--version']).status !== 0) {
    notRun.push('promtool on the alert rules (it is not at hand; Debian: apt-get install prometheus)');
    return;
  }
  check('alert rules', 'promtool', ['test', 'rules', 'infra/prometheus/alerts.test.yml']);
  for (const file of ['prometheus.yml', 'local.yml']) {
    check(`scraping, ${file}`, 'promtool', ['check', 'config', `infra/prometheus/${file}`]);
  }
}

function tests(project: string): void {
  console.log(`\n— ${project} tests`);
  const report = join(scratch, `${project}.json`);
  const ok = run('vitest', [
    'run',
    '--project',
    project,
    '--reporter=default',
    '--reporter=json',
    `--outputFile=${report}`,
  ]);
  const { numPassedTests, numTotalTests } = totals(report);
  passed += numPassedTests;
  // Skipped is not passed; and a run that failed without a failed test (a broken file) counts as one.
  failed += Math.max(numTotalTests - numPassedTests, ok ? 0 : 1);
}

/** A short form of `npm run schemathesis`, which needs Python. */
function schemathesis(): void {
  console.log('\n— schemathesis');
  const status = statusOf(process.execPath, ['test/schemathesis/run.ts', '--examples', '40', '--seed', '1']);
  if (status === couldNotRun) notRun.push('schemathesis (see above; it needs Python 3.10 or newer)');
  else if (status === 0) passed++;
  else failed++;
}

function totals(report: string): { numPassedTests: number; numTotalTests: number } {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { numPassedTests: 0, numTotalTests: 0 };
  }
}

function run(program: string, args: readonly string[]): boolean {
  return statusOf(program, args) === 0;
}

function statusOf(program: string, args: readonly string[]): number | null {
  const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) };
  return spawnSync(program, args, { cwd: root, stdio: 'inherit', env }).status;
}
