/**
 * Fetches the embedded broker's jars: Apache Kafka as published, resolved once by Maven from `kafka/pom.xml`.
 *
 * Maven fills a separate directory, which then gets its final name, made from the pom's hash. So a directory of that
 * name is always complete, an interrupted fetch leaves nothing half done, two starts at once do no harm, and a changed
 * pom never touches the jars that a running broker has open.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError } from '../errors.ts';

export interface JarsOptions {
  /** Is called before a fetch, with a line for the user. */
  readonly onFetch: (message: string) => void;
  readonly env?: NodeJS.ProcessEnv;
  /** The directory in which the directories of jars are kept. */
  readonly cacheDir?: string;
}

const projectDir = join(import.meta.dirname, 'kafka');

/** Returns the directory of jars. @throws ConfigError when Maven is missing or cannot fetch */
export async function ensureBrokerJars(options: JarsOptions): Promise<string> {
  const { onFetch, env = process.env, cacheDir = join(projectDir, 'target') } = options;
  const pom = readFileSync(join(projectDir, 'pom.xml'), 'utf8');
  const jars = join(cacheDir, `jars-${createHash('sha256').update(pom).digest('hex').slice(0, 12)}`);
  if (existsSync(jars)) return jars;

  const kafka = `Apache Kafka ${/<artifactId>kafka_[\d.]+<\/artifactId>\s*<version>([^<]+)/.exec(pom)?.[1]}`;
  await requireMaven(kafka, env);
  onFetch(`fetching ${kafka} (once, about 43 MB)…`);
  mkdirSync(cacheDir, { recursive: true });
  const draft = mkdtempSync(join(cacheDir, 'fetch-'));
  try {
    await runMaven(kafka, draft, env);
    moveTo(jars, draft);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  return jars;
}

async function requireMaven(kafka: string, env: NodeJS.ProcessEnv): Promise<void> {
  try {
    await promisify(execFile)('mvn', ['--version'], { env });
  } catch (error) {
    const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    throw new ConfigError(
      `Maven is needed once to download ${kafka}, but \`mvn\` ${missing ? 'is not on PATH' : 'does not run'}: install it ` +
        '(`apt install maven`, `brew install maven`), or set KAFKA_BROKERS to a broker of your own',
      { cause: error },
    );
  }
}

async function runMaven(kafka: string, outputDir: string, env: NodeJS.ProcessEnv): Promise<void> {
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${outputDir}`];
  try {
    await promisify(execFile)('mvn', ['-q', '-B', ...goal], { cwd: projectDir, env });
  } catch (error) {
    const output = error instanceof Error && 'stdout' in error ? `${error.stdout}` : '';
    const reason = /^\[ERROR\] (.*)$/m.exec(output)?.[1] ?? `${error}`;
    throw new ConfigError(`Maven could not fetch ${kafka}: ${reason}`, { cause: error });
  }
}

function moveTo(jars: string, draft: string): void {
  try {
    renameSync(draft, jars);
  } catch (error) {
    // Another start was faster. Its directory is as complete as this one.
    if (!existsSync(jars)) throw error;
  }
}
