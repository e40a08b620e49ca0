/** Finds the Java runtime for the embedded broker: that of JAVA_HOME if it is new enough, otherwise the one on PATH. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ConfigError } from '../errors.ts';

const minMajor = 17;
/** A JVM that takes this long to print its version still exists. The machine is busy. */
const versionTimeoutMs = 300_000;

/** @throws ConfigError that says what was found, and how to get what is needed */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const home = env['JAVA_HOME'];
  const found: string[] = [];
  for (const java of home ? [join(home, 'bin', 'java'), 'java'] : ['java']) {
    const version = await versionOf(java, env);
    if (version !== undefined && javaMajorOf(version) >= minMajor) return java;
    if (version !== undefined) found.push(`${java} is version ${version}`);
  }
  throw new ConfigError(
    `the embedded Kafka broker needs Java ${minMajor} or newer, found ${found.join(', ') || 'none'}: install it ` +
      `(\`apt install openjdk-${minMajor}-jre-headless\`, \`brew install openjdk\`), or set KAFKA_BROKERS to a broker of your own`,
  );
}

/** Returns 17 for `17.0.15`, 8 for `1.8.0_402`, and 0 for anything that is not a version. */
export function javaMajorOf(version: string): number {
  const [, major] = /^(?:1\.)?(\d+)/.exec(version) ?? [];
  return Number(major ?? 0);
}

/** The version in what `java -version` prints. */
export function javaVersionIn(output: string): string | undefined {
  return /version "([^"]+)"/.exec(output)?.[1];
}

async function versionOf(java: string, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  try {
    const { stdout, stderr } = await promisify(execFile)(java, ['-version'], { env, timeout: versionTimeoutMs });
    return javaVersionIn(`${stderr}${stdout}`);
  } catch {
    return undefined;
  }
}
