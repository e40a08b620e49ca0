/**
 * The tests' own programs in Java, compiled once and kept beside the broker's jars. `java Source.java` compiles at each
 * start, which is more than half of what a short program takes.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { sharedClasses } from '../../infra/embedded/broker-files.ts';

export interface Programs {
  readonly java: string;
  /** The directory that holds Kafka's jars. */
  readonly jars: string;
}

/** The arguments with which `java` runs it, before those of the program. `name`: a class of this directory. */
export async function javaProgram(
  name: 'ReadCommitted' | 'ClusterControl' | 'ManyBrokers',
  programs: Programs,
): Promise<string[]> {
  const { jars } = programs;
  const compiled = await ensureCompiled(name, programs);
  return ['-XX:+UseSerialGC', ...sharedClasses(jars), '-cp', [join(jars, '*'), compiled].join(delimiter), name];
}

/** A jar and no directory: the archive of classes is not used for a class path with a directory in it. */
async function ensureCompiled(name: string, { java, jars }: Programs): Promise<string> {
  const source = join(import.meta.dirname, `${name}.java`);
  const hash = createHash('sha256');
  // Of all of them, as one may use another.
  for (const file of globSync(join(import.meta.dirname, '*.java')).sort()) hash.update(readFileSync(file));
  const home = join(jars, 'programs');
  const jar = join(home, `${name}-${hash.digest('hex').slice(0, 12)}.jar`);
  if (existsSync(jar)) return jar;
  mkdirSync(home, { recursive: true });
  const draft = mkdtempSync(join(home, 'draft-'));
  const run = (module: string, ...args: string[]) => promisify(execFile)(java, ['-m', module, ...args]);
  const classes = join(draft, 'classes');
  const classPath = globSync(join(jars, '*.jar')).join(delimiter);
  const paths = ['-cp', classPath, '-sourcepath', import.meta.dirname];
  await run('jdk.compiler/com.sun.tools.javac.Main', '-d', classes, ...paths, source);
  // Under its name only when it is whole: several test files may make it at the same time.
  await run('jdk.jartool/sun.tools.jar.Main', '--create', '--file', join(draft, 'program.jar'), '-C', classes, '.');
  renameSync(join(draft, 'program.jar'), jar);
  rmSync(draft, { recursive: true });
  return jar;
}
