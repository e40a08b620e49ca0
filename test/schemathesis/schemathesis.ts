/**
 * Schemathesis, a program in Python that makes requests from an OpenAPI document and holds the answers to it. It is
 * installed once, in a version that stands here, into an environment of its own under `node_modules/.cache`.
 */
import { execFile, spawn } from 'node:child_process';
import { existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import type { KnownValues } from './known-values.ts';

export const version = '4.32.5';

/** The exit code of a run that was not possible on this machine. */
export const couldNotRun = 77;

/** Why it cannot run here. */
export class NotAvailable extends Error {
  override readonly name = 'NotAvailable';
}

export interface RunOptions {
  /** Of the service, whose document is at `/openapi.json`. */
  readonly url: string;
  readonly examples: number;
  readonly seed: number;
  /** Operations that are left out. */
  readonly without: readonly string[];
  readonly known: KnownValues;
  /** With scope admin. */
  readonly apiKey: string;
}

/** Runs it over all operations of a service, with its words on stdout. Resolves to whether every check held. */
export async function runSchemathesis(program: string, options: RunOptions): Promise<boolean> {
  const child = spawn(program, [...argumentsOf(options)], {
    // It leaves a cache where it runs.
    cwd: dirname(program),
    env: {
      ...process.env,
      PYTHONPATH: import.meta.dirname,
      PYTHONDONTWRITEBYTECODE: '1',
      SCHEMATHESIS_HOOKS: 'real_values',
      ADCLICKS_VALUES: JSON.stringify(options.known),
    },
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | null>();
  child.once('error', reject);
  child.once('exit', resolve);
  return (await promise) === 0;
}

/**
 * The path of the program. @throws NotAvailable where Python 3 with venv and pip is missing, or the packages cannot be
 * fetched
 */
export async function ensureSchemathesis(onFetch: (message: string) => void): Promise<string> {
  const directory = join(import.meta.dirname, `../../node_modules/.cache/schemathesis-${version}`);
  const program = join(directory, process.platform === 'win32' ? 'Scripts' : 'bin', 'schemathesis');
  if (existsSync(program)) return program;
  const python = await findPython();
  onFetch(`fetching schemathesis ${version} (once)`);
  try {
    mkdirSync(directory, { recursive: true });
    await run(python, ['-m', 'venv', directory]);
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '--no-input'];
    await run(join(program, '../python'), [...pip, `schemathesis==${version}`]);
    return program;
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw new NotAvailable(`schemathesis ${version} could not be installed: ${lastLineOf(error)}`);
  }
}

const run = promisify(execFile);

async function findPython(): Promise<string> {
  for (const python of ['python3', 'python']) {
    try {
      await run(python, ['-c', 'import sys, venv, ensurepip; assert sys.version_info >= (3, 10)'], { timeout: 20_000 });
      return python;
    } catch {}
  }
  throw new NotAvailable('there is no Python 3.10 or newer with venv and pip');
}

function lastLineOf(error: unknown): string {
  const { stderr = '', message = '' } = error as { stderr?: string; message?: string };
  return (stderr || message).trim().split('\n').at(-1) ?? '';
}

/** 503 is a server error, too: while Kafka and ClickHouse are up there is no reason for it. */
const checks = [
  'not_a_server_error',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
  'negative_data_rejection',
  'missing_required_header',
];

function* argumentsOf({ url, examples, seed, without, apiKey }: RunOptions): Generator<string> {
  yield* ['run', `${url}/openapi.json`, '--url', url, '--header', `Authorization: Bearer ${apiKey}`];
  yield* ['--checks', checks.join(','), '--continue-on-failure', '--max-failures', '20'];
  yield* ['--phases', 'examples,coverage,fuzzing', '--max-examples', `${examples}`, '--seed', `${seed}`];
  yield* ['--generation-database', 'none', '--suppress-health-check', 'all', '--warnings', 'off'];
  yield* ['--request-timeout', '30', '--workers', '1', '--no-color'];
  for (const operation of without) yield* ['--exclude-operation-id', operation];
}
