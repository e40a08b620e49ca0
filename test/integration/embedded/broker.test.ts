/** The embedded broker as a process: it starts, ends, and starts again after a kill. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { KafkaConfig, loadConfig } from '../../../infra/config.ts';
import { type Broker, type BrokerOptions, startBroker } from '../../../infra/embedded/broker.ts';
import type { BrokerSettings } from '../../../infra/embedded/broker-files.ts';
import { ensureBrokerJars } from '../../../infra/embedded/broker-jars.ts';
import { findJava } from '../../../infra/embedded/java.ts';
import { isAlive } from '../../../infra/embedded/process-identity.ts';
import { ConfigError } from '../../../infra/errors.ts';
import { ensureTopics, openAdmin } from '../../../infra/kafka/admin.ts';
import { createKafka } from '../../../infra/kafka/client.ts';
import { createProducer } from '../../../infra/kafka/producer.ts';
import { names } from '../../../infra/topics.ts';
import { firstOutput } from '../../support/first-output.ts';
import { quietPort } from '../../support/quiet-port.ts';

const log = pino({ level: 'silent' });

describe('the embedded broker', () => {
  let options: BrokerOptions;
  let java: string;
  let jars: string;
  beforeAll(async () => {
    java = await findJava();
    jars = await ensureBrokerJars({ onFetch: console.log });
  });
  beforeEach(async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'broker-test-'));
    options = { dataDir, host: '127.0.0.1', port: await quietPort(), heapMb: 256, jars, java, log };
  });
  afterEach(() => rmSync(options.dataDir, { recursive: true, force: true }));

  it('answers, listens on loopback only, and ends in good order', async () => {
    const broker = await startBroker(options);
    expect(broker.brokers).toBe(`127.0.0.1:${options.port}`);
    await ensureTopics(clientOf(broker), names(''), 2);
    expect(listenersOf(broker.pid).every(address => /^(\[::ffff:)?127\.0\.0\.1\]?:/.test(address))).toBe(true);
    await broker[Symbol.asyncDispose]();
    expect(isAlive(broker.pid)).toBe(false);
    expect(existsSync(join(options.dataDir, 'kafka', 'broker.pid'))).toBe(false);
  });

  it.each(['SIGTERM', 'SIGKILL'] as const)('has its topics and records again after %s', async signal => {
    const before = await startBroker(options);
    await ensureTopics(clientOf(before), names(''), 2);
    await using producer = createProducer(clientOf(before), { acks: -1, timeoutMs: 5_000 });
    await producer.send('clicks', [
      { partition: 1, value: 'one' },
      { partition: 1, value: 'two' },
    ]);
    process.kill(before.pid, signal);
    await before.exited;

    await using after = await startBroker(options);
    await using admin = await openAdmin(clientOf(after));
    expect(await admin.endOffsets('clicks')).toEqual(
      new Map([
        [0, 0],
        [1, 2],
      ]),
    );
  });

  it('starts where an earlier start was killed over formatting the storage', async () => {
    mkdirSync(join(options.dataDir, 'kafka', 'logs.draft', 'half'), { recursive: true });
    await using broker = await startBroker(options);
    expect(isAlive(broker.pid)).toBe(true);
    expect(readdirSync(join(options.dataDir, 'kafka'))).not.toContain('logs.draft');
  });

  it('ends the broker that outlived its killed starter, and no other process', async () => {
    const orphan = await startedByOneThatIsKilled(options);
    expect(isAlive(orphan)).toBe(true);
    await using broker = await startBroker(options);
    expect(isAlive(orphan)).toBe(false);
    expect(broker.pid).not.toBe(orphan);
    expect(isAlive(process.pid)).toBe(true);
  });

  it('says in one line that its port is taken', async () => {
    await using first = await startBroker(options);
    const dataDir = join(options.dataDir, 'second');
    const second = startBroker({ ...options, dataDir });
    await expect(second).rejects.toThrow(
      new ConfigError(
        `port ${options.port} on 127.0.0.1 is taken: stop what listens there, or choose another KAFKA_PORT`,
      ),
    );
    expect(isAlive(first.pid)).toBe(true);
  });

  it('takes another port for its controller where somebody was faster', async () => {
    const others = createServer().listen(0, '127.0.0.1');
    await once(others, 'listening');
    const { port } = others.address() as AddressInfo;
    const asked: unknown[] = [];
    const settings = (ours: BrokerSettings) => {
      asked.push(ours['listeners']);
      const listeners = `CLIENT://127.0.0.1:${options.port},CONTROLLER://127.0.0.1:${port}`;
      return asked.length > 1 ? ours : { ...ours, listeners, 'controller.quorum.voters': `1@127.0.0.1:${port}` };
    };
    await using broker = await startBroker({ ...options, settings });
    expect([asked.length, isAlive(broker.pid)]).toEqual([2, true]);
    others.close();
  });

  it('is given up when the signal fires during its start', async () => {
    await expect(startBroker({ ...options, signal: AbortSignal.timeout(1_000) })).rejects.toThrow(/abort/);
    expect(existsSync(join(options.dataDir, 'kafka', 'broker.pid'))).toBe(false);
  });
});

describe('the broker’s jars', () => {
  it('are asked of Maven in one line where there is none', async () => {
    const cacheDir = mkdtempSync(join(tmpdir(), 'jars-test-'));
    const fetched = ensureBrokerJars({ onFetch: () => undefined, cacheDir, env: { PATH: '/nowhere' } });
    await expect(fetched).rejects.toThrow(
      /^Maven is needed once to download Apache Kafka [\d.]+, but `mvn` is not on PATH: install it/,
    );
    expect(readdirSync(cacheDir)).toEqual([]);
  });

  it('leave nothing half when Maven fails', async () => {
    const cacheDir = mkdtempSync(join(tmpdir(), 'jars-test-'));
    const bin = mkdtempSync(join(tmpdir(), 'bin-'));
    symlinkSync('/bin/true', join(bin, 'mvn'));
    const script = `#!/bin/sh\n[ "$1" = --version ] && exit 0\necho '[ERROR] no route to anywhere'\nexit 1\n`;
    rmSync(join(bin, 'mvn'));
    execFileSync('/bin/sh', ['-c', 'cat > "$0" && chmod 755 "$0"', join(bin, 'mvn')], { input: script });
    const fetched = ensureBrokerJars({ onFetch: () => undefined, cacheDir, env: { PATH: bin } });
    await expect(fetched).rejects.toThrow(/^Maven could not fetch Apache Kafka [\d.]+: no route to anywhere$/);
    expect(readdirSync(cacheDir)).toEqual([]);
  });
});

function clientOf({ brokers }: Broker) {
  return createKafka(loadConfig(KafkaConfig, { KAFKA_BROKERS: brokers }), 'test', log);
}

async function startedByOneThatIsKilled({ log: _, ...options }: BrokerOptions): Promise<number> {
  const broker = join(import.meta.dirname, '../../../infra/embedded/broker.ts');
  const program = `
    import { pino } from 'pino';
    import { startBroker } from '${broker}';
    const broker = await startBroker({ ...${JSON.stringify(options)}, log: pino({ level: 'silent' }) });
    console.log(broker.pid);
  `;
  const starter = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = await firstOutput(starter);
  starter.kill('SIGKILL');
  await once(starter, 'exit');
  return Number(pid);
}

/** Local addresses the process listens on; none where the machine has no `ss`. */
function listenersOf(pid: number): string[] {
  try {
    const lines = execFileSync('ss', ['-Hltnp']).toString().split('\n');
    return lines.filter(line => line.includes(`pid=${pid},`)).map(line => line.split(/\s+/)[3] ?? '');
  } catch {
    return [];
  }
}
