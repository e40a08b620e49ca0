/**
 * The brokers of all test files in one JVM (ManyBrokers.java), for those files that need no process of their own for
 * theirs. Each file still has a broker for itself: its own ports, directory and topics, to be stopped and started again.
 * What they share is compiled code: a JVM takes 2 s of CPU time until its first broker answers, and goes on compiling for
 * minutes.
 *
 * vitest calls this once for each project, or `test/run.ts` for all of them. The JVM is started for the first broker, and
 * ends with the process that has started it. Its log is in the temporary directory of the run, with a broker's address in
 * each line, and is printed if the JVM ends by itself: a broker whose directory is removed under it, say, ends all.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync } from 'node:fs';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { ensureClassArchive } from '../../infra/embedded/broker-classes.ts';
import { loggingSettings, writeSettings } from '../../infra/embedded/broker-files.ts';
import { ensureBrokerJars } from '../../infra/embedded/broker-jars.ts';
import { findJava } from '../../infra/embedded/java.ts';
import { createLog } from '../../infra/log.ts';
import { javaProgram } from './java-program.ts';

/** The port at which brokers can be had; unset: there is no such JVM. */
const doorVariable = 'TEST_BROKERS_PORT';

const host = '127.0.0.1';

/** Returns how to end it. */
export default async function haveManyBrokers(): Promise<() => Promise<void>> {
  if (process.env[doorVariable] !== undefined) return async () => undefined;
  let jvm: Promise<Jvm> | undefined;
  const door = createServer({ allowHalfOpen: true }, async socket => {
    socket.on('error', () => socket.destroy());
    try {
      jvm ??= startJvm();
      const life = connect({ host, port: (await jvm).port, allowHalfOpen: true });
      life.on('error', () => socket.destroy()).on('close', () => socket.end());
      socket.on('close', () => life.destroy());
      socket.pipe(life).pipe(socket);
    } catch (error) {
      socket.end(`failed ${String(error).replaceAll('\n', ' ')}\n`);
    }
  });
  door.listen(0, host);
  await once(door, 'listening');
  // A run that has nothing else to do ends.
  door.unref();
  process.env[doorVariable] = `${(door.address() as AddressInfo).port}`;
  return async () => {
    delete process.env[doorVariable];
    door.close();
    const started = await jvm?.catch(() => undefined);
    if (started === undefined) return;
    started.child.kill('SIGKILL');
    await started.exited;
  };
}

/** A broker in that JVM. */
export interface SharedBroker {
  /** In good order. Resolves when its files are no longer used. */
  stop(): Promise<void>;
}

/** `settingsFile`: its `server.properties`. Undefined: there is no such JVM. */
export function sharedJvm(): ((settingsFile: string) => Promise<SharedBroker>) | undefined {
  const port = process.env[doorVariable];
  return port === undefined ? undefined : settingsFile => startSharedBroker(Number(port), settingsFile);
}

/** What ReadCommitted reads, in that JVM: a JVM of its own takes half a second of CPU time. Undefined: there is none. */
export async function readInSharedJvm(brokers: string, topic: string, header: string): Promise<string | undefined> {
  const port = process.env[doorVariable];
  if (port === undefined) return undefined;
  const socket = connect({ host, port: Number(port), allowHalfOpen: true });
  socket.write(`read\t${brokers}\t${topic}\t${header}\n`);
  const answer = await text(socket);
  socket.end();
  if (!answer.startsWith('read\n'))
    throw new Error(`reading ${topic}: ${answer || 'the JVM of the brokers has ended'}`);
  return answer.slice('read\n'.length);
}

async function startSharedBroker(port: number, settingsFile: string): Promise<SharedBroker> {
  const life = connect({ host, port, allowHalfOpen: true });
  const closed = new Promise<void>(resolve => life.once('close', () => resolve()));
  life.on('error', () => undefined);
  life.write(`${settingsFile}\n`);
  const answer = await new Promise<string>(resolve => {
    createInterface({ input: life }).once('line', resolve);
    void closed.then(() => resolve('failed: the JVM of the brokers has ended'));
  });
  if (answer !== 'started') {
    life.destroy();
    throw new Error(`the test broker of ${settingsFile}: ${answer}`);
  }
  // It keeps no test file from ending.
  life.unref();
  return {
    async stop() {
      life.ref();
      life.end();
      await closed;
    },
  };
}

interface Jvm {
  readonly child: ChildProcess;
  readonly exited: Promise<void>;
  readonly port: number;
}

/**
 * Memory enough for as many brokers as there are files at a time. The first compiler alone, as in every Java of the tests
 * (vitest.config.ts): the second one took 12 of the 29 s of CPU time of four files' brokers.
 */
const flagsOfJvm = [
  '-Xmx1536m',
  '-Xms192m',
  '-Xmn96m',
  '-XX:+UseSerialGC',
  '-XX:-UsePerfData',
  '-XX:+ExitOnOutOfMemoryError',
  '-XX:TieredStopAtLevel=1',
];

async function startJvm(): Promise<Jvm> {
  const [java, jars] = await Promise.all([findJava(), ensureBrokerJars({ onFetch: console.log })]);
  await ensureClassArchive({ java, jars, log: createLog('broker', 'warn'), onMake: console.log });
  const home = mkdtempSync(join(tmpdir(), 'test-brokers-'));
  const logFile = join(home, 'broker.log');
  const logging = join(home, 'log4j2.properties');
  writeSettings(logging, {
    ...loggingSettings(logFile),
    'appender.file.layout.pattern': '%d{HH:mm:ss,SSS} %X{broker} %p %m (%c{1})%n',
  });
  const flags = [`-Dlog4j2.configurationFile=${logging}`, '-Dlog4j2.isThreadContextMapInheritable=true'];
  const program = await javaProgram('ManyBrokers', { java, jars });
  const consoleFile = join(home, 'console.log');
  const output = openSync(consoleFile, 'w');
  const child = spawn(java, [...flagsOfJvm, ...flags, ...program], {
    env: { ...process.env, MALLOC_ARENA_MAX: '2' },
    stdio: ['pipe', 'pipe', output],
  });
  closeSync(output);
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
  child.once('exit', (code, signal) => {
    if (signal === 'SIGKILL') return;
    const said = [consoleFile, logFile].flatMap(file => (existsSync(file) ? readFileSync(file, 'utf8').trim() : []));
    console.error(`the JVM of the test brokers has ended (${code ?? signal}):\n${said.join('\n').slice(-20_000)}`);
  });
  const [line] = await Promise.race([
    once(createInterface({ input: child.stdout! }), 'line'),
    exited.then(() => Promise.reject(new Error(`the JVM of the test brokers does not start: ${home}`))),
  ]);
  console.log(`test brokers: ${logFile}`);
  return { child, exited, port: Number(line) };
}
