/**
 * Runs the embedded ClickHouse: a server as a child process, over HTTP and the native protocol, on loopback. It lives
 * as long as its parent holds the pipe to it (clickhouse-program.ts), so none is left behind, however the parent ends.
 */
import { spawn } from 'node:child_process';
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { compileCache } from '../compile-cache.ts';
import { ConfigError, messageOf } from '../errors.ts';
import {
  type ClickHouseFiles,
  clickHouseFiles,
  clickHouseUser,
  passwordOf,
  type ServerSettings,
  serverSettings,
  startStatements,
  writeServerSettings,
} from './clickhouse-files.ts';
import { requireFreePort, withFreePort } from './ports.ts';
import type { Exit, Running } from './service.ts';
import { type StartLimits, untilStarted } from './start-wait.ts';
import { openTcpRelay } from './tcp-relay.ts';

/** `signal` cancels the start: the server is ended, and the promise rejects. */
export interface ClickHouseOptions extends StartLimits {
  readonly dataDir: string;
  readonly httpPort: number;
  readonly tcpPort: number;
  readonly memoryMb: number;
  /** When it is empty, the password in DATA_DIR is used, which is created at the first start. */
  readonly password?: string;
  /** Returns the server's settings, from the default ones. */
  readonly settings?: (ours: ServerSettings) => ServerSettings;
  /** Settings of statements that do not set them themselves. */
  readonly ofStatements?: ServerSettings;
}

export interface ClickHouseServer extends Running, AsyncDisposable {
  /** For the processes that use it. */
  readonly env: ClickHouseEnv;
}

export interface ClickHouseEnv {
  readonly CLICKHOUSE_URL: string;
  readonly CLICKHOUSE_USER: string;
  readonly CLICKHOUSE_PASSWORD: string;
}

export const clickHouseHost = '127.0.0.1';

/** Returns the `env` of a server on this directory and port, also while it does not run. */
export function clickHouseEnv(dataDir: string, httpPort: number, password = ''): ClickHouseEnv {
  return {
    CLICKHOUSE_URL: `http://${clickHouseHost}:${httpPort}`,
    CLICKHOUSE_USER: clickHouseUser,
    CLICKHOUSE_PASSWORD: passwordOf(clickHouseFiles(dataDir), password),
  };
}

const stopTimeoutMs = 15_000;

/**
 * Resolves when the server answers. @throws ConfigError when a port is taken or the directory cannot be used; Error
 * with the server's last output when it does not start
 */
export function startClickHouse(options: ClickHouseOptions): Promise<ClickHouseServer> {
  return withFreePort(nativePort => startWith(nativePort, options));
}

async function startWith(nativePort: number, options: ClickHouseOptions): Promise<ClickHouseServer> {
  const { dataDir, httpPort, tcpPort, memoryMb, password = '' } = options;
  requireWritable(resolve(dataDir, 'clickhouse'));
  const files = clickHouseFiles(dataDir);
  await requireFreePort(clickHouseHost, httpPort, 'CLICKHOUSE_HTTP_PORT');
  await requireFreePort(clickHouseHost, tcpPort, 'CLICKHOUSE_TCP_PORT');
  const env = clickHouseEnv(dataDir, httpPort, password);
  const ours = serverSettings(files, { memoryMb });
  writeServerSettings(files, env.CLICKHOUSE_PASSWORD, options.settings?.(ours) ?? ours, options.ofStatements);

  const server = await spawnServer(files, httpPort, nativePort);
  let relay: AsyncDisposable | undefined;
  // Until then the relay has nothing to protect, and the next server will need its port.
  const exited = server.exited.then(async exit => {
    await relay?.[Symbol.asyncDispose]();
    return exit;
  });
  const stop = async (timeoutMs: number) => {
    await server.stop(timeoutMs);
    await exited;
  };
  const ended = server.exited.then(() => {
    throw startFailure(files);
  });
  ended.catch(() => undefined);
  try {
    await Promise.race([untilItAnswers(env.CLICKHOUSE_URL, server.pid, files, options), ended]);
    relay = await openTcpRelay(clickHouseHost, tcpPort, nativePort);
  } catch (error) {
    await stop(stopTimeoutMs);
    throw error;
  }
  return { ...server, exited, stop, env, [Symbol.asyncDispose]: () => stop(stopTimeoutMs) };
}

async function spawnServer(files: ClickHouseFiles, httpPort: number, tcpPort: number): Promise<Running> {
  const console = openSync(files.console, 'w');
  const args = Object.entries({
    path: files.data,
    'config-file': files.config,
    listen_host: clickHouseHost,
    http_port: httpPort,
    tcp_port: tcpPort,
    query: startStatements.join('; '),
  }).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  // It is a process group of its own, because Ctrl-C in a terminal must not end it before the processes that use it.
  const child = spawn(process.execPath, [join(import.meta.dirname, 'clickhouse-program.ts'), ...args], {
    env: { PATH: process.env['PATH'], NODE_COMPILE_CACHE: compileCache },
    detached: true,
    stdio: ['pipe', console, console],
  });
  closeSync(console);
  // The pipe is broken when the server was killed.
  child.stdin?.on('error', () => undefined);
  const exited = new Promise<Exit>(resolve => child.once('exit', (code, signal) => resolve({ code, signal })));
  await new Promise<void>((resolve, reject) => child.once('spawn', resolve).once('error', reject));
  return {
    pid: child.pid ?? 0,
    exited,
    async stop(timeoutMs) {
      child.stdin?.end();
      const force = setTimeout(() => child.kill('SIGKILL'), timeoutMs);
      await exited;
      clearTimeout(force);
    },
  };
}

async function untilItAnswers(
  url: string,
  pid: number,
  { errorLog, console }: ClickHouseFiles,
  { timeoutMs, say, signal }: StartLimits,
): Promise<void> {
  await untilStarted({
    ...{ name: 'ClickHouse', pid, logs: [errorLog, console], timeoutMs, say, signal },
    isReady: async () => {
      const answer = await fetch(`${url}/ping`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
      return answer?.ok === true;
    },
  });
}

function requireWritable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
  } catch (error) {
    throw new ConfigError(`DATA_DIR: ${directory} cannot be written: ${messageOf(error)}`, { cause: error });
  }
}

function startFailure(files: ClickHouseFiles): Error {
  const read = (path: string) => (existsSync(path) ? readFileSync(path, 'utf8').trimEnd().split('\n') : []);
  const lines = [...read(files.errorLog).slice(-50), ...read(files.console)];
  const reason = lines.findLast(line => /Exception|Error/.test(line)) ?? lines.at(-1) ?? 'no output';
  return new Error(`the embedded ClickHouse ended while starting: ${reason.trim()} (see ${files.errorLog})`);
}
