/** The embedded ClickHouse as a process: who may use it, and that it ends with whoever has started it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { openClickHouse } from '../../../infra/clickhouse/clickhouse.ts';
import { ClickHouseConfig, loadConfig } from '../../../infra/config.ts';
import { type ClickHouseEnv, startClickHouse } from '../../../infra/embedded/clickhouse.ts';
import { isAlive } from '../../../infra/embedded/process-identity.ts';
import { ConfigError } from '../../../infra/errors.ts';
import { firstOutput } from '../../support/first-output.ts';
import { quietPort } from '../../support/quiet-port.ts';
import { eventually } from '../../support/wait.ts';

const directories: string[] = [];
const newDirectory = () => {
  const directory = mkdtempSync(join(tmpdir(), 'test-embedded-clickhouse-'));
  directories.push(directory);
  return directory;
};
afterEach(() => {
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true, force: true });
});

const optionsIn = async (dataDir: string) => ({
  ...{ dataDir, memoryMb: 1_024 },
  httpPort: await quietPort(),
  tcpPort: await quietPort(),
});

async function ask(env: Pick<ClickHouseEnv, 'CLICKHOUSE_URL'> & Partial<ClickHouseEnv>, sql: string) {
  const { CLICKHOUSE_URL, CLICKHOUSE_USER, CLICKHOUSE_PASSWORD = '' } = env;
  const headers: Record<string, string> =
    CLICKHOUSE_USER === undefined
      ? {}
      : { 'x-clickhouse-user': CLICKHOUSE_USER, 'x-clickhouse-key': CLICKHOUSE_PASSWORD };
  const response = await fetch(CLICKHOUSE_URL, { method: 'POST', headers, body: sql });
  return { ok: response.ok, text: (await response.text()).trim() };
}

describe('the embedded ClickHouse', () => {
  it('keeps tables, and its password, over a stop and a start', async () => {
    const dataDir = newDirectory();
    const before = await startClickHouse(await optionsIn(dataDir));
    await ask(before.env, 'CREATE TABLE sample (id UInt32) ENGINE = MergeTree ORDER BY id');
    await ask(before.env, 'INSERT INTO sample VALUES (7)');
    await before.stop(20_000);
    expect(await before.exited).toEqual({ code: 0, signal: null });
    await using after = await startClickHouse(await optionsIn(dataDir));
    expect(await ask(after.env, 'SELECT id FROM sample')).toEqual({ ok: true, text: '7' });
    expect(after.env.CLICKHOUSE_PASSWORD).toBe(before.env.CLICKHOUSE_PASSWORD);
    expect(statSync(join(dataDir, 'clickhouse-server', 'password')).mode & 0o077).toBe(0);
  });

  it('logs no value of a statement that has failed, because it may say who a person is', async () => {
    const dataDir = newDirectory();
    await using server = await startClickHouse(await optionsIn(dataDir));
    await using clickhouse = openClickHouse(loadConfig(ClickHouseConfig, { ...server.env }), { readers: 1 });
    for (const statement of [
      "SELECT throwIf({user:String} != '')",
      'SELECT toUInt8({user:String})',
      'SELECT count() FROM numbers(1000000000000) WHERE toString(number) = {user:String} SETTINGS max_execution_time = 0.1',
    ])
      await expect(clickhouse.query(statement, { user: 'person-4711' })).rejects.toThrow();
    await server.stop(20_000);
    const files = readdirSync(dataDir, { recursive: true, withFileTypes: true }).filter(entry => entry.isFile());
    const texts = files.map(({ parentPath, name }) => readFileSync(join(parentPath, name), 'latin1'));
    expect(files.map(({ name }) => name)).toContain('error.log');
    expect(texts.filter(text => text.includes('person-4711'))).toEqual([]);
  });

  it('does nothing for who has no password: no table, no file, no statement of the server’s', async () => {
    const dataDir = newDirectory();
    await using server = await startClickHouse(await optionsIn(dataDir));
    await ask(server.env, 'CREATE TABLE sample (id UInt32) ENGINE = MergeTree ORDER BY id');
    const { CLICKHOUSE_URL } = server.env;
    const secret = join(dataDir, 'clickhouse-server', 'password');
    for (const sql of [
      'SELECT * FROM sample',
      'SELECT * FROM system.tables',
      `SELECT * FROM file('${secret}', LineAsString)`,
      'DROP TABLE sample',
      'SYSTEM STOP LISTEN HTTP',
      'INSERT INTO sample VALUES (1)',
    ]) {
      const [nameless, wrong] = [
        await ask({ CLICKHOUSE_URL }, sql),
        await ask({ ...server.env, CLICKHOUSE_PASSWORD: 'guessed' }, sql),
      ];
      expect(nameless.ok, sql).toBe(false);
      expect(nameless.text, sql).toMatch(/QUOTA_EXCEEDED|ACCESS_DENIED/);
      expect(wrong.text, sql).toContain('AUTHENTICATION_FAILED');
    }
    expect((await ask(server.env, 'SELECT count() FROM sample')).text).toBe('0');
    expect(readFileSync(join(dataDir, 'clickhouse-server', 'users.xml'), 'utf8')).not.toContain(
      server.env.CLICKHOUSE_PASSWORD,
    );
  });

  it('listens on loopback, for HTTP and the native protocol', async () => {
    const options = await optionsIn(newDirectory());
    await using server = await startClickHouse(options);
    const { text } = await ask(
      server.env,
      `SELECT count() FROM remote('127.0.0.1:${options.tcpPort}', system.one, '${server.env.CLICKHOUSE_USER}', '${server.env.CLICKHOUSE_PASSWORD}')`,
    );
    expect(text).toBe('1');
    const listening = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8');
    for (const port of [options.httpPort, options.tcpPort]) {
      const local = port.toString(16).toUpperCase().padStart(4, '0');
      const addresses = [...listening.matchAll(new RegExp(` ([0-9A-F]+):${local} [0-9A-F]+:0000 0A`, 'g'))];
      expect(addresses.map(([, address]) => address)).toEqual(['0100007F']);
    }
  });

  it('ends in good order when its parent is killed', async () => {
    const dataDir = newDirectory();
    const program = `
      import { startClickHouse } from './infra/embedded/clickhouse.ts';
      const server = await startClickHouse(${JSON.stringify(await optionsIn(dataDir))});
      console.log(server.pid);
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ['--input-type=module', '--eval', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const pid = Number(await firstOutput(parent));
    expect(isAlive(pid)).toBe(true);
    parent.kill('SIGKILL');
    await eventually('its end', () => !isAlive(pid));
    // What is not closed in good order leaves its mark.
    await using again = await startClickHouse(await optionsIn(dataDir));
    expect((await ask(again.env, 'SELECT 1')).ok).toBe(true);
  });

  it('fails a statement that wants more memory than it may use, and goes on', async () => {
    await using server = await startClickHouse(await optionsIn(newDirectory()));
    const { text } = await ask(
      server.env,
      'SELECT length(groupArray(toString(number))) FROM numbers(100000000) SETTINGS max_memory_usage=0',
    );
    expect(text).toContain('MEMORY_LIMIT_EXCEEDED');
    expect(await ask(server.env, 'SELECT 1')).toEqual({ ok: true, text: '1' });
  });

  it('names the variable of a port that is taken, and the directory it cannot write', async () => {
    const options = await optionsIn(newDirectory());
    const other = createServer().listen(options.tcpPort, '127.0.0.1');
    await once(other, 'listening');
    await expect(startClickHouse(options)).rejects.toThrow(/taken.*CLICKHOUSE_TCP_PORT/);
    other.close();

    const file = join(newDirectory(), 'file');
    writeFileSync(file, '');
    const refused = await startClickHouse({ ...options, dataDir: file }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ConfigError);
    expect(String(refused)).toMatch(/DATA_DIR/);
  });
});
