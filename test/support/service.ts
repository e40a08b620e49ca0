/** A process of ours under test: started as in production, killed as in life. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { compileCache } from '../../infra/compile-cache.ts';
import { stallSignal } from '../../infra/watchdog.ts';
import { endWithUs } from './ends-with-us.ts';
import { quietPort } from './quiet-port.ts';
import { pollPauseMs } from './wait.ts';

const root = join(import.meta.dirname, '../..');
/** Where a bug is planted, processes have it too. */
export const planted = process.env['MUTATION'] ? ['--import', join(root, 'test/mutations/preload.ts')] : [];

export interface Service extends AsyncDisposable {
  readonly url: string;
  readonly pid: number;
  /** Everything it has logged, for failure messages. */
  logs(): string;
  ready(timeoutMs?: number): Promise<void>;
  signal(name: NodeJS.Signals): void;
  /** SIGKILL, and waits for the end. */
  kill(): Promise<void>;
  /** SIGTERM, and waits for the end; resolves to the exit code. */
  stop(): Promise<number | null>;
}

/** `main` is a path in the repository, or one of another release, `portKey` the variable that takes its port: that of `env`, or a free one. */
export async function startService(
  main: string,
  portKey: string,
  env: Readonly<Record<string, string>>,
): Promise<Service> {
  const port = Number(env[portKey] ?? (await quietPort()));
  let log = '';
  const keep = (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-200_000);
  };
  let child: ChildProcess;
  const ended = Promise.withResolvers<number | null>();
  // As its supervisor would: a process that ends by itself (a watchdog, say) is started again.
  const launch = () => {
    child = spawn(process.execPath, [...planted, '--disable-warning=TimeoutNegativeWarning', resolve(root, main)], {
      env: {
        PATH: process.env['PATH'],
        MUTATION: process.env['MUTATION'],
        NODE_COMPILE_CACHE: compileCache,
        LOG_LEVEL: 'info',
        // Nobody here has to learn that it leaves.
        DRAIN_DELAY_MS: '0',
        [portKey]: String(port),
        ...env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    // A test that has run out of time disposes of nothing.
    endWithUs(child.pid, new Promise(resolve => child.once('exit', resolve)));
    child.stdout?.on('data', keep);
    child.stderr?.on('data', keep);
    child.once('exit', (code, signal) => {
      const endedItself = signal === stallSignal || (code === 1 && log.includes('stalled: '));
      if (endedItself) launch();
      else ended.resolve(code);
    });
  };
  launch();
  const url = `http://127.0.0.1:${port}`;
  const exited = ended.promise;
  return {
    url,
    get pid() {
      return child.pid ?? 0;
    },
    logs: () => log,
    ready: (timeoutMs = 240_000) =>
      untilReady(
        () => child,
        url,
        () => log,
        timeoutMs,
      ),
    signal: name => {
      child.kill(name);
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      return await exited;
    },
    async [Symbol.asyncDispose]() {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await exited;
    },
  };
}

async function untilReady(
  current: () => ChildProcess,
  url: string,
  logs: () => string,
  timeoutMs: number,
): Promise<void> {
  const startedAt = Date.now();
  let last = '';
  while (Date.now() < startedAt + timeoutMs) {
    const child = current();
    if (child.exitCode !== null || child.signalCode !== null) throw new Error(`exited before it was ready:\n${logs()}`);
    try {
      const response = await fetch(`${url}/readyz`);
      last = await response.text();
      if (response.ok) return;
    } catch (error) {
      last = String(error);
    }
    await sleep(pollPauseMs(startedAt));
  }
  throw new Error(`not ready within ${timeoutMs} ms: ${last}\n${logs()}`);
}
