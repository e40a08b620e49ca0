/** `npm start` as a person uses it: it serves, survives kills, and stops in good order. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { lockDataDir } from '../../../infra/embedded/instance-lock.ts';
import { isAlive } from '../../../infra/embedded/process-identity.ts';
import { quietPort } from '../../support/quiet-port.ts';

describe('npm start', () => {
  let dataDir: string;
  let started: Start[];
  beforeEach(() => {
    dataDir = mkdtempSync(join(tmpdir(), 'npm-start-'));
    started = [];
  });
  afterEach(async () => {
    for (const { child, ended } of started) {
      if (child.exitCode === null) child.kill('SIGTERM');
      await ended;
    }
    rmSync(dataDir, { recursive: true, force: true });
  });
  const start = (env: NodeJS.ProcessEnv = {}) => {
    const running = spawnMain({ ...anyPorts, DATA_DIR: dataDir, ...env });
    started.push(running);
    return running;
  };

  it('serves, starts a killed child again, and stops within ten seconds with nothing left', async () => {
    const main = start();
    const line = await main.says(/curl -s '(http:\S+)\/v1\/clicks'/);
    const ingestUrl = line[1] ?? '';
    expect(main.output()).toMatch(/ready in [\d.]+ s/);
    expect(await postClick(ingestUrl)).toBe(202);

    const pids = () => readdirSync(join(dataDir, 'children')).map(name => pidIn(join(dataDir, 'children', name)));
    const ingest = pidIn(join(dataDir, 'children', 'ingest'));
    process.kill(ingest, 'SIGKILL');
    await main.says(/"child":"ingest".*"signal":"SIGKILL","startsAgainInMs":250/);
    await vi.waitFor(async () => expect(await postClick(ingestUrl)).toBe(202), { timeout: 240_000, interval: 100 });

    const queryApiUrl = /query API +(http:\S+)\/docs/.exec(main.output())?.[1] ?? '';
    const runner = async () => {
      const { job_runner } = (await (await fetch(`${queryApiUrl}/v1/status`)).json()) as {
        job_runner: { since: string };
      };
      return job_runner.since;
    };
    const before = await runner();
    process.kill(pidIn(join(dataDir, 'children', 'jobs')), 'SIGKILL');
    await main.says(/"child":"jobs".*"signal":"SIGKILL","startsAgainInMs":250/);
    await vi.waitFor(async () => expect((await runner()) > before).toBe(true), { timeout: 240_000, interval: 100 });

    const broker = pidIn(join(dataDir, 'kafka', 'broker.pid'));
    const all = [...pids(), broker];
    const askedAt = performance.now();
    main.child.kill('SIGINT');
    expect(await main.ended).toBe(0);
    expect(performance.now() - askedAt).toBeLessThan(10_000);
    expect(all.filter(isAlive)).toEqual([]);
    expect(existsSync(join(dataDir, 'instance.lock'))).toBe(false);
  });

  it('is as it was after a kill: what was left is ended, the data is there', async () => {
    const ports = { INGEST_PORT: `${await quietPort()}`, KAFKA_PORT: `${await quietPort()}` };
    const first = start(ports);
    await first.says(/ready in/);
    const broker = pidIn(join(dataDir, 'kafka', 'broker.pid'));
    const children = ['sink', 'query-api', 'jobs', 'clickhouse'].map(name => pidIn(join(dataDir, 'children', name)));
    first.child.kill('SIGKILL');
    await first.ended;

    const second = start(ports);
    await second.says(/ready in/);
    expect([broker, ...children].filter(isAlive)).toEqual([]);
  });

  it('refuses a second instance on the same data directory', async () => {
    using _lock = await lockDataDir(dataDir);
    expect(await outcome(start())).toEqual({
      code: 78,
      fatal: `another instance (pid ${process.pid}) runs on DATA_DIR=${dataDir}: stop it, or choose another DATA_DIR (and other ports)`,
    });
  });

  it.each([
    'INGEST_PORT',
    'QUERY_API_PORT',
    'AGGREGATOR_PORT',
    'SINK_PORT',
    'JOBS_PORT',
    'KAFKA_PORT',
    'CLICKHOUSE_HTTP_PORT',
    'CLICKHOUSE_TCP_PORT',
  ])('names %s when that port is taken', async key => {
    const port = await quietPort();
    const other = createServer().listen(port, '127.0.0.1');
    await once(other, 'listening');
    expect(await outcome(start({ [key]: `${port}` }))).toEqual({
      code: 78,
      fatal: `port ${port} on 127.0.0.1 is taken: stop what listens there, or choose another ${key}`,
    });
    other.close();
  });

  it('names both who ask for the same port', async () => {
    const port = `${await quietPort()}`;
    const { code, fatal } = await outcome(start({ INGEST_PORT: port, QUERY_API_PORT: port }));
    expect({ code, fatal }).toEqual({
      code: 78,
      fatal: `port ${port} is asked for twice, by INGEST_PORT and QUERY_API_PORT`,
    });
  });

  it('says what to do without Java', async () => {
    const { code, fatal } = await outcome(start({ PATH: '/nowhere', JAVA_HOME: '' }));
    expect(code).toBe(78);
    expect(fatal).toMatch(/^the embedded Kafka broker needs Java 17 or newer, found none: install it/);
  });

  it('does not start on a full disk', async () => {
    const { code, fatal } = await outcome(start({ MIN_FREE_DISK_MB: '1048576' }));
    expect(code).toBe(78);
    expect(fatal).toMatch(/^disk full: only \d+ MB are free for DATA_DIR=/);
  });

  it.each([
    { PARTITIONS: '0' },
    { OUT_OF_ORDERNESS_MS: 'soon' },
    { LOG_LEVEL: 'loud' },
    { CLICKHOUSE_TABLE_ENGINE: 'MergeTree' },
    // Its own server has no replicas.
    { CLICKHOUSE_TABLE_ENGINE: 'Replicated' },
  ])('refuses %o, naming it', async env => {
    const { code, fatal } = await outcome(start(env));
    expect(code).toBe(78);
    expect(fatal).toContain(
      Object.entries(env)
        .map(([key, text]) => `${key}="${text}"`)
        .join(),
    );
  });

  it('ends on Ctrl-C while it starts, with nothing left', async () => {
    const main = start();
    await main.says(/starting the Kafka broker/);
    await sleep(500);
    main.child.kill('SIGINT');
    expect(await main.ended).toBe(0);
    expect(existsSync(join(dataDir, 'kafka', 'broker.pid'))).toBe(false);
  });
});

const anyPorts = {
  INGEST_PORT: '0',
  QUERY_API_PORT: '0',
  AGGREGATOR_PORT: '0',
  KAFKA_PORT: '0',
  KAFKA_HEAP_MB: '256',
  SINK_PORT: '0',
  JOBS_PORT: '0',
  CLICKHOUSE_HTTP_PORT: '0',
  CLICKHOUSE_TCP_PORT: '0',
};

interface Start {
  readonly child: ChildProcess;
  readonly ended: Promise<number | null>;
  readonly output: () => string;
  readonly says: (pattern: RegExp) => Promise<RegExpExecArray>;
}

function spawnMain(env: NodeJS.ProcessEnv): Start {
  const program = join(import.meta.dirname, '../../../infra/embedded/npm-start.ts');
  const child = spawn(process.execPath, [program], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk));
  const ended = new Promise<number | null>(resolve => child.once('close', code => resolve(code)));
  const says = (pattern: RegExp) => {
    return vi.waitFor(
      () => {
        const found = pattern.exec(output);
        if (found) return found;
        throw new Error(`no ${pattern} in: ${output}`);
      },
      { timeout: 240_000, interval: 50 },
    );
  };
  return { child, ended, output: () => output, says };
}

async function outcome(main: Start): Promise<{ code: number | null; fatal: string | undefined }> {
  const code = await main.ended;
  const fatal = /^\{"level":"fatal".*"msg":(".*")\}$/m.exec(main.output())?.[1];
  return { code, fatal: fatal === undefined ? main.output() : JSON.parse(fatal) };
}

async function postClick(ingestUrl: string): Promise<number> {
  const answer = await fetch(`${ingestUrl}/v1/clicks`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ad_id: 'ad-1' }),
  });
  await answer.text();
  return answer.status;
}

function pidIn(path: string): number {
  return Number.parseInt(readFileSync(path, 'utf8'), 10);
}
