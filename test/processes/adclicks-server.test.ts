/** What runs on servers under one name: its commands and settings, the Node that it needs, and signals and exit codes passed on. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { SinkConfig } from '../../aggregator/config.ts';
import { release } from '../../infra/release.ts';
import { commands } from '../../infra/server/commands.ts';
import { optionOf } from '../../infra/settings-options.ts';
import { quietPort } from '../support/quiet-port.ts';
import { planted } from '../support/service.ts';
import { eventually } from '../support/wait.ts';

const root = join(import.meta.dirname, '../..');
const launcher = 'infra/server/adclicks-server.js';
const launchers = [launcher, 'query-api/cli/adclicks.js'];
/** As if this were Node 20: what a launcher goes by is the version. */
const asOlder = `--import=data:text/javascript,${encodeURIComponent(
  "Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '20.19.0' } });" +
    "Object.defineProperty(process, 'version', { value: 'v20.19.0' });",
)}`;

/** What runs on where a test has failed ends with the tests. */
const groups: number[] = [];
afterAll(() => {
  for (const leader of groups) killGroup(leader);
});

function started(file: string, args: readonly string[], node: readonly string[] = [], env = {}) {
  const child = spawn(process.execPath, [...planted, ...node, file, ...args], {
    cwd: root,
    env: { PATH: process.env['PATH'], MUTATION: process.env['MUTATION'], ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // With whatever it starts.
    detached: true,
  });
  groups.push(child.pid ?? 0);
  const said = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].on('data', piece => {
      said[name] += piece;
    });
  }
  const ended = once(child, 'close').then(([code, signal]) => ({ code, signal, ...said }));
  return { child, said, ended };
}

const run = (...args: readonly string[]) => started(launcher, args).ended;

describe('adclicks-server', () => {
  it('lists its commands, with what each is for', async () => {
    const { code, stdout, stderr } = await run('--help');
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const [name, { does }] of Object.entries(commands))
      expect(stdout).toMatch(new RegExp(`^  ${name} +${does}$`, 'm'));
  });

  it('says its version, which is that of package.json', async () => {
    expect(await run('--version')).toMatchObject({ code: 0, stdout: `${release}\n` });
  });

  it.each([
    [[], 'no command is given'],
    [['ingst'], 'there is no command "ingst"'],
    [['toString'], 'there is no command "toString"'],
  ])('says in one line what may be given instead of %j', async (args, what) => {
    const names = Object.keys(commands).join(', ');
    const stderr = `adclicks-server: ${what}; give one of ${names}, or --help\n`;
    expect(await run(...args)).toEqual({ code: 78, signal: null, stdout: '', stderr });
  });

  it('lists the settings of a command out of its schema, each once, as an option and a variable', async () => {
    const { code, stdout } = await run('sink', '--help');
    expect(code).toBe(0);
    const help = stdout.replaceAll(/\s+/g, ' ');
    expect(help).toContain(`Usage: adclicks-server sink [options] ${commands.sink.does}`);
    for (const [key, property] of Object.entries(SinkConfig.properties)) {
      const { default: byDefault, description } = property as { default?: unknown; description?: string };
      expect(help.split(`${optionOf(key)} <value>`)).toHaveLength(2);
      expect(help).toContain(`${description} (${key}, default ${byDefault === '' ? 'empty' : byDefault})`);
    }
  });

  it('lists what a command takes beside its settings', async () => {
    const { code, stdout } = await run('write-off', '--help');
    expect({ code, stdout }).toEqual({
      code: 0,
      stdout: expect.stringMatching(/--partition <n>[\s\S]*--kafka-brokers <value>/),
    });
  });

  it.each([
    [
      ['sink', '--sink-prot', '1'],
      "unknown option '--sink-prot' (Did you mean --sink-port?): --help lists all options",
    ],
    [['sink', 'now'], 'too many arguments'],
    [['sink', '--sink-port', 'x'], 'SINK_PORT="x": must be'],
  ])('refuses %j with the exit code for what cannot work, and one line', async (args, rule) => {
    const { code, stdout } = await run(...args);
    expect({ code, lines: stdout.trim().split('\n').length }).toEqual({ code: 78, lines: 1 });
    expect(JSON.parse(stdout).msg.replaceAll(/\s+/g, ' ')).toContain(rule);
  });

  it('has programs that begin by the name under which they are started', () => {
    const ofOurs = Object.entries(commands).filter(([name]) => name !== 'feed');
    const wrong = ofOurs.filter(([name, { program }]) => {
      return !new RegExp(`await beginProgram(<[^(]*>)?\\(\\s*'${name}'`).test(
        readFileSync(join(root, program), 'utf8'),
      );
    });
    expect(wrong).toEqual([]);
  });
});

describe.each(launchers)('%s on an older Node', file => {
  it('says in one line which Node it needs', async () => {
    const elsewhere = mkdtempSync(join(tmpdir(), 'launcher-'));
    for (const path of ['infra/launch.js', file, 'package.json']) {
      mkdirSync(dirname(join(elsewhere, path)), { recursive: true });
      copyFileSync(join(root, path), join(elsewhere, path));
    }
    const { code, stdout, stderr } = await started(join(elsewhere, file), ['--help'], [asOlder]).ended;
    rmSync(elsewhere, { recursive: true });
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(
      /^adclicks(-server)?: needs Node 24 or newer \(this is v20\.19\.0\): run npm ci once, .*\n$/,
    );
  });

  it('runs on the Node that npm ci has brought', async () => {
    const { code, stdout, stderr } = await started(file, ['--help'], [asOlder]).ended;
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(/^Usage: adclicks/);
  });
});

it.each([
  ['this Node', []],
  ['an older one', [asOlder]],
])('passes signals on to the command, and its exit code back, on %s', async (_, node) => {
  const port = await quietPort();
  const { child, said, ended } = started(launcher, ['sink', '--sink-port', `${port}`], node, {
    KAFKA_BROKERS: '127.0.0.1:1',
    CLICKHOUSE_URL: 'http://127.0.0.1:1',
    DRAIN_DELAY_MS: '0',
  });
  await eventually(`answer of\n${said.stdout}${said.stderr}`, async () => {
    const response = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    return response?.ok || undefined;
  });
  child.kill('SIGTERM');
  const [code, signal] = await once(child, 'exit');
  // What has been left behind would stay.
  const isLeftBehind = killGroup(child.pid ?? 0);
  expect({ code, signal, isLeftBehind }).toEqual({ code: 0, signal: null, isLeftBehind: false });
  expect((await ended).stdout).toContain('"why":"SIGTERM"');
});

function killGroup(leader: number): boolean {
  try {
    return process.kill(-leader, 'SIGKILL');
  } catch {
    return false;
  }
}
