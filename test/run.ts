/**
 * `npm test`: checks first what the tests need beyond Node and npm, then format and lint, types, and the tests, and ends
 * with the tests that failed, what each suite has cost and one line that counts all. Every step runs even if one before
 * has failed.
 *
 * The integration tests mostly wait, so all other suites run beside them, one after the other; what those print comes when
 * they have ended. What each of them costs is in test/COSTS.md.
 */
import { spawn, spawnSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { ensureClassArchive } from '../infra/embedded/broker-classes.ts';
import { ensureBrokerJars } from '../infra/embedded/broker-jars.ts';
import { findJava } from '../infra/embedded/java.ts';
import { exitCodes } from '../infra/exit-codes.ts';
import { createLog } from '../infra/log.ts';
import { couldNotRun } from './schemathesis/schemathesis.ts';
import haveManyBrokers from './support/many-brokers.ts';
import useMemoryScratch from './support/memory-scratch.ts';

interface Result {
  readonly title: string;
  readonly passed: number;
  readonly failed: number;
  readonly seconds: number;
  /** A line for each test that failed. */
  readonly failures?: readonly string[];
}

/** The parts of Vitest's JSON report that are used. */
interface Report {
  readonly numPassedTests: number;
  readonly numTotalTests: number;
  readonly testResults: readonly {
    readonly name: string;
    readonly message: string;
    readonly status: string;
    readonly assertionResults: readonly {
      readonly fullName: string;
      readonly status: string;
      readonly failureMessages?: readonly string[];
    }[];
  }[];
}

/** Where a step prints: at once, or when it has ended. */
type Output = 'at once' | 'at the end';

const root = join(import.meta.dirname, '..');
const removeMemoryScratch = useMemoryScratch();
const scratch = mkdtempSync(join(tmpdir(), 'adclicks-test-'));
const results: Result[] = [];
/** What could not run on this machine: neither passed nor failed. */
const notRun: string[] = [];

try {
  const java = await findJava();
  const jars = await ensureBrokerJars({ onFetch: message => console.log(message) });
  // Here, once: on a clean clone each of the files that run at a time would make it.
  await ensureClassArchive({ java, jars, log: createLog('test', 'silent'), onMake: message => console.log(message) });
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exit(exitCodes.config);
}

await check('format and lint', 'biome', ['check', '.']);
await check('types', 'tsc', ['--noEmit']);
await check('types of the dashboard', 'tsc', ['--noEmit', '-p', 'query-api/dashboard']);
await checkAlerts();
await tests('unit', 'at once');
const endBrokers = await haveManyBrokers();
await Promise.all([tests('integration', 'at once'), besideThem()]);
await endBrokers();
rmSync(scratch, { recursive: true, force: true });
removeMemoryScratch();

for (const failure of results.flatMap(({ failures = [] }) => failures)) console.log(`FAILED: ${failure}`);
for (const what of notRun) console.log(`NOT RUN: ${what}`);
for (const { title, passed, failed, seconds } of results) {
  console.log(`${title.padEnd(24)} ${String(seconds).padStart(4)} s  ${passed} passed, ${failed} failed`);
}
const sum = (of: 'passed' | 'failed') => results.reduce((all, result) => all + result[of], 0);
console.log(`${sum('passed')} passed, ${sum('failed')} failed`);
process.exit(sum('failed') === 0 ? exitCodes.ok : exitCodes.failure);

async function besideThem(): Promise<void> {
  for (const project of ['browser', 'processes', 'simulation']) await tests(project, 'at the end');
  await proxy();
  await schemathesis();
}

/** One step that passes or fails as a whole. */
async function check(title: string, program: string, args: readonly string[]): Promise<void> {
  const { status, seconds } = await run(title, program, args, 'at once');
  results.push({ title, passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, seconds });
}

/** Prometheus' own tool, where it is at hand. What needs no tool of the alerts is in the tests. */
async function checkAlerts(): Promise<void> {
  if (spawnSync('promtool', ['--version']).status !== 0) {
    notRun.push('promtool on the alert rules (it is not at hand; Debian: apt-get install prometheus)');
    return;
  }
  await check('alert rules', 'promtool', ['test', 'rules', 'infra/prometheus/alerts.test.yml']);
  for (const file of ['prometheus.yml', 'local.yml']) {
    await check(`scraping, ${file}`, 'promtool', ['check', 'config', `infra/prometheus/${file}`]);
  }
}

/** The example of a reverse proxy, with the real one, where it is at hand. */
async function proxy(): Promise<void> {
  if (spawnSync('nginx', ['-v']).status === 0) await tests('proxy', 'at the end');
  else notRun.push('the reverse proxy of infra/proxy (nginx is not at hand; Debian: apt-get install nginx)');
}

async function tests(project: string, output: Output): Promise<void> {
  const report = join(scratch, `${project}.json`);
  const reporters = ['--reporter=default', '--reporter=json', `--outputFile=${report}`];
  const title = `${project} tests`;
  const { status, seconds } = await run(title, 'vitest', ['run', '--project', `${project}*`, ...reporters], output);
  const { numPassedTests, numTotalTests, testResults } = readReport(report);
  // Skipped is not passed; and a run that failed without a failed test (a broken file) counts as one.
  const failed = Math.max(numTotalTests - numPassedTests, status === 0 ? 0 : 1);
  results.push({ title, passed: numPassedTests, failed, seconds, failures: testResults.flatMap(failuresIn) });
}

/** A short form of `npm run schemathesis`, which needs Python. */
async function schemathesis(): Promise<void> {
  const title = 'schemathesis';
  const args = ['test/schemathesis/run.ts', '--examples', '10', '--seed', '1'];
  const { status, seconds } = await run(title, process.execPath, args, 'at the end');
  if (status === couldNotRun) notRun.push('schemathesis (see above; it needs Python 3.10 or newer)');
  else results.push({ title, passed: status === 0 ? 1 : 0, failed: status === 0 ? 0 : 1, seconds });
}

function readReport(report: string): Report {
  try {
    return JSON.parse(readFileSync(report, 'utf8'));
  } catch {
    return { numPassedTests: 0, numTotalTests: 0, testResults: [] };
  }
}

/** The tests of a file that did not pass, and the file itself where it could not be run or set up. */
function failuresIn({ name, status, message, assertionResults }: Report['testResults'][number]): string[] {
  const file = relative(root, name);
  const failed = assertionResults.filter(test => test.status !== 'passed');
  const isFailed = failed.some(test => test.status === 'failed');
  return [
    // What a set-up says ends with the log of the process that did not start, whose last lines say why.
    ...(status === 'failed' && !isFailed ? [`${file}: ${endsOf(message)}`] : []),
    ...failed.map(test => `${file} > ${test.fullName}: ${firstLine(test.failureMessages?.[0] ?? test.status)}`),
  ];
}

function firstLine(text: string): string {
  return stripVTControlCharacters(text).trimStart().split('\n', 1)[0]!.slice(0, 300);
}

function endsOf(text: string): string {
  const line = stripVTControlCharacters(text).trim().replaceAll(/\s+/g, ' ');
  return line.length <= 1_500 ? line : `${line.slice(0, 300)} … ${line.slice(-1_200)}`;
}

async function run(
  title: string,
  program: string,
  args: readonly string[],
  output: Output,
): Promise<{ readonly status: number | null; readonly seconds: number }> {
  const startedAt = performance.now();
  const env = { ...process.env, PATH: [join(root, 'node_modules/.bin'), process.env['PATH']].join(delimiter) };
  const printed = join(scratch, `${title}.txt`);
  const file = output === 'at once' ? undefined : openSync(printed, 'w');
  if (file === undefined) console.log(`\n— ${title}`);
  const child = spawn(program, args, {
    cwd: root,
    stdio: file === undefined ? 'inherit' : ['ignore', file, file],
    env,
  });
  const status = await new Promise<number | null>(resolve => {
    child.once('exit', resolve).once('error', error => {
      console.error(`${title}: ${error.message}`);
      resolve(null);
    });
  });
  if (file !== undefined) {
    closeSync(file);
    console.log(`\n— ${title}\n${readFileSync(printed, 'utf8')}`);
  }
  return { status, seconds: Math.round((performance.now() - startedAt) / 1_000) };
}
