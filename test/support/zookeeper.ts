/**
 * Apache ZooKeeper as a child process, with its data in a temporary directory. The ClickHouse that `npm start` brings has
 * no Keeper in it, so this is what its replicated tables are made with.
 */
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { findJava } from '../../infra/embedded/java.ts';
import { endWithUs } from './ends-with-us.ts';
import { quietPort } from './quiet-port.ts';

export interface ZooKeeper extends AsyncDisposable {
  readonly host: string;
  readonly port: number;
}

const host = '127.0.0.1';
const startTimeoutMs = 60_000;

export async function startZooKeeper(): Promise<ZooKeeper> {
  const [java, jars, port] = [await findJava(), await zooKeeperJars(), await quietPort()];
  const home = mkdtempSync(join(tmpdir(), 'test-zookeeper-'));
  const config = join(home, 'zoo.cfg');
  writeFileSync(
    config,
    Object.entries({
      dataDir: join(home, 'data'),
      clientPortAddress: host,
      clientPort: port,
      tickTime: 1_000,
      'admin.enableServer': false,
    })
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
  const main = 'org.apache.zookeeper.server.ZooKeeperServerMain';
  const child = spawn(java, ['-Xmx96m', '-cp', join(jars, '*'), main, config], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', text => {
    said = `${said}${text}`.slice(-2_000);
  });
  const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
  endWithUs(child.pid, exited);
  const end = async () => {
    child.kill('SIGKILL');
    await exited;
    rmSync(home, { recursive: true, force: true });
  };
  const deadline = performance.now() + startTimeoutMs;
  while (!(await serves(port))) {
    if (child.exitCode !== null || performance.now() > deadline) {
      await end();
      throw new Error(`ZooKeeper did not come up: ${said}`);
    }
    await sleep(50);
  }
  return { host, port, [Symbol.asyncDispose]: end };
}

/** A server that has just bound its port takes connections before it serves them, and closes them. */
async function serves(port: number): Promise<boolean> {
  const socket = connect({ host, port });
  socket.setTimeout(2_000, () => socket.destroy());
  socket.on('connect', () => socket.end('srvr'));
  let said = '';
  try {
    for await (const chunk of socket) said += chunk;
  } catch {
    return false;
  }
  return said.includes('Mode: standalone');
}

/** Fetched once by Maven, as the embedded broker's are. */
async function zooKeeperJars(): Promise<string> {
  const project = join(import.meta.dirname, 'zookeeper');
  const hash = createHash('sha256')
    .update(readFileSync(join(project, 'pom.xml')))
    .digest('hex');
  const jars = join(project, 'target', `jars-${hash.slice(0, 12)}`);
  if (existsSync(jars)) return jars;
  mkdirSync(join(project, 'target'), { recursive: true });
  const draft = mkdtempSync(join(project, 'target', 'fetch-'));
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${draft}`];
  await promisify(execFile)('mvn', ['-q', '-B', ...goal], { cwd: project });
  try {
    renameSync(draft, jars);
  } catch (error) {
    rmSync(draft, { recursive: true, force: true });
    if (!existsSync(jars)) throw error;
  }
  return jars;
}
